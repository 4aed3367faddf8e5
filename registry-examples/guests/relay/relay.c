// A server whose paths are what a host has to bear. What is not said by a path's function is in `PATHS` at the end.

#include "relay.h"

#include <stdlib.h>
#include <string.h>

typedef wasi_http_types_error_code_t code_t;
typedef wasi_http_types_own_fields_t fields_t;
typedef wasi_http_types_own_incoming_body_t incoming_t;
typedef wasi_http_types_own_outgoing_body_t outgoing_t;
typedef wasi_io_streams_own_input_stream_t input_t;
typedef wasi_io_streams_own_output_stream_t output_t;
typedef wasi_io_poll_own_pollable_t pollable_t;

/// A request, and where its response goes.
typedef struct {
  wasi_http_types_own_incoming_request_t request;
  wasi_http_types_own_response_outparam_t out;
  /// What follows the `?`.
  relay_string_t query;
} exchange_t;

/// A response that has begun.
typedef struct {
  outgoing_t body;
  output_t stream;
} response_t;

static void need(bool holds) {
  if (!holds) __builtin_trap();
}

static bool same(const relay_string_t *text, const char *other) {
  return text->len == strlen(other) && memcmp(text->ptr, other, text->len) == 0;
}

/// The number after `NAME=` in the query.
static uint64_t number(const exchange_t *exchange, const char *name, uint64_t otherwise) {
  const relay_string_t *query = &exchange->query;
  size_t len = strlen(name);
  for (size_t at = 0; at + len < query->len; at++) {
    bool starts = at == 0 || query->ptr[at - 1] == '&';
    if (!starts || memcmp(query->ptr + at, name, len) != 0 || query->ptr[at + len] != '=') continue;
    uint64_t value = 0;
    for (at += len + 1; at < query->len && query->ptr[at] >= '0' && query->ptr[at] <= '9'; at++) {
      value = value * 10 + (query->ptr[at] - '0');
    }
    return value;
  }
  return otherwise;
}

/// Writes a number in decimal, and returns its length.
static size_t decimal(uint64_t value, char *text) {
  size_t len = 1;
  for (uint64_t rest = value; rest >= 10; rest /= 10) len++;
  for (size_t at = len; at > 0; value /= 10) text[--at] = '0' + value % 10;
  return len;
}

static void wait_and_drop(pollable_t pollable) {
  wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(pollable));
  wasi_io_poll_pollable_drop_own(pollable);
}

static void sleep_ms(uint64_t ms) { wait_and_drop(wasi_clocks_monotonic_clock_subscribe_duration(ms * 1000000)); }

static void append(fields_t fields, const char *name, const char *value, size_t len) {
  relay_string_t field;
  relay_string_set(&field, name);
  wasi_http_types_field_value_t bytes = {.ptr = (uint8_t *)value, .len = len};
  wasi_http_types_header_error_t refused;
  need(wasi_http_types_method_fields_append(wasi_http_types_borrow_fields(fields), &field, &bytes, &refused));
}

/// Sends a head; false when its status is none.
static bool respond(exchange_t *exchange, uint16_t status, fields_t headers, response_t *ret) {
  wasi_http_types_own_outgoing_response_t response = wasi_http_types_constructor_outgoing_response(headers);
  wasi_http_types_borrow_outgoing_response_t borrowed = wasi_http_types_borrow_outgoing_response(response);
  if (!wasi_http_types_method_outgoing_response_set_status_code(borrowed, status)) return false;
  need(wasi_http_types_method_outgoing_response_body(borrowed, &ret->body));
  need(wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(ret->body), &ret->stream));
  wasi_http_types_result_own_outgoing_response_error_code_t result = {.is_err = false, .val = {.ok = response}};
  wasi_http_types_static_response_outparam_set(exchange->out, &result);
  return true;
}

static response_t respond_text(exchange_t *exchange, uint16_t status) {
  fields_t headers = wasi_http_types_constructor_fields();
  const char type[] = "text/plain";
  append(headers, "content-type", type, strlen(type));
  response_t response;
  need(respond(exchange, status, headers, &response));
  return response;
}

/// Writes as much as the client takes, when it takes it; false when it is gone.
static bool write(output_t stream, const uint8_t *bytes, size_t len) {
  wasi_io_streams_borrow_output_stream_t borrowed = wasi_io_streams_borrow_output_stream(stream);
  wasi_io_streams_stream_error_t fault;
  bool sound = true;
  while (sound && len > 0) {
    uint64_t room;
    sound = wasi_io_streams_method_output_stream_check_write(borrowed, &room, &fault);
    if (!sound) break;
    if (room == 0) {
      wait_and_drop(wasi_io_streams_method_output_stream_subscribe(borrowed));
      continue;
    }
    relay_list_u8_t part = {.ptr = (uint8_t *)bytes, .len = len < room ? len : room};
    sound = wasi_io_streams_method_output_stream_write(borrowed, &part, &fault);
    bytes += part.len;
    len -= part.len;
  }
  if (!sound) wasi_io_streams_stream_error_free(&fault);
  return sound;
}

/// Writes a text of up to 4 KiB, and waits until it is on its way.
static void say(output_t stream, const char *text) {
  relay_list_u8_t bytes = {.ptr = (uint8_t *)text, .len = strlen(text)};
  wasi_io_streams_stream_error_t fault;
  if (!wasi_io_streams_method_output_stream_blocking_write_and_flush(wasi_io_streams_borrow_output_stream(stream),
                                                                     &bytes, &fault)) {
    wasi_io_streams_stream_error_free(&fault);
  }
}

static void finish(response_t response, fields_t *trailers) {
  wasi_io_streams_output_stream_drop_own(response.stream);
  code_t code;
  if (!wasi_http_types_static_outgoing_body_finish(response.body, trailers, &code)) {
    wasi_http_types_error_code_free(&code);
  }
}

static void answer(exchange_t *exchange, uint16_t status, const char *text) {
  response_t response = respond_text(exchange, status);
  say(response.stream, text);
  finish(response, NULL);
}

static input_t open_body(exchange_t *exchange, incoming_t *body) {
  input_t stream;
  need(wasi_http_types_method_incoming_request_consume(wasi_http_types_borrow_incoming_request(exchange->request),
                                                       body));
  need(wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(*body), &stream));
  return stream;
}

/// Whether a body has come to its end, not broken off.
static bool at_end(wasi_io_streams_stream_error_t *fault) {
  bool end = fault->tag == WASI_IO_STREAMS_STREAM_ERROR_CLOSED;
  wasi_io_streams_stream_error_free(fault);
  return end;
}

/// Copies what fields have to others, or those of one name alone.
static void copy(fields_t from, const char *name, fields_t to) {
  wasi_http_types_list_tuple2_field_name_field_value_t entries;
  wasi_http_types_method_fields_entries(wasi_http_types_borrow_fields(from), &entries);
  for (size_t i = 0; i < entries.len; i++) {
    wasi_http_types_header_error_t refused;
    if (name != NULL && !same(&entries.ptr[i].f0, name)) continue;
    need(wasi_http_types_method_fields_append(wasi_http_types_borrow_fields(to), &entries.ptr[i].f0,
                                              &entries.ptr[i].f1, &refused));
  }
  wasi_http_types_list_tuple2_field_name_field_value_free(&entries);
}

/// The trailers of a request whose body has been read; false when there are none.
static bool trailers_of(incoming_t body, fields_t *ret) {
  wasi_http_types_own_future_trailers_t future = wasi_http_types_static_incoming_body_finish(body);
  wasi_http_types_borrow_future_trailers_t borrowed = wasi_http_types_borrow_future_trailers(future);
  wait_and_drop(wasi_http_types_method_future_trailers_subscribe(borrowed));
  wasi_http_types_result_result_option_own_trailers_error_code_void_t result;
  need(wasi_http_types_method_future_trailers_get(borrowed, &result) && !result.is_err);
  wasi_http_types_future_trailers_drop_own(future);
  if (result.val.ok.is_err) {
    wasi_http_types_error_code_free(&result.val.ok.val.err);
    return false;
  }
  *ret = result.val.ok.val.ok.val;
  return result.val.ok.val.ok.is_some;
}

/// Sends a body back while it comes, reading no more than the client takes. What comes after it goes after it.
static void echo(exchange_t *exchange) {
  fields_t headers = wasi_http_types_constructor_fields();
  fields_t asked =
      wasi_http_types_method_incoming_request_headers(wasi_http_types_borrow_incoming_request(exchange->request));
  copy(asked, "content-type", headers);
  copy(asked, "trailer", headers);
  wasi_http_types_fields_drop_own(asked);
  response_t response;
  need(respond(exchange, 200, headers, &response));

  incoming_t body;
  input_t input = open_body(exchange, &body);
  pollable_t readable = wasi_io_streams_method_input_stream_subscribe(wasi_io_streams_borrow_input_stream(input));
  pollable_t writable =
      wasi_io_streams_method_output_stream_subscribe(wasi_io_streams_borrow_output_stream(response.stream));
  wasi_io_streams_stream_error_t fault;
  bool open = true, whole = false;
  while (open) {
    uint64_t room;
    open = wasi_io_streams_method_output_stream_check_write(wasi_io_streams_borrow_output_stream(response.stream),
                                                            &room, &fault);
    if (!open) {
      wasi_io_streams_stream_error_free(&fault);
      break;
    }
    // What is waited for is one of the two, never both: a poll is for each.
    wasi_io_poll_borrow_pollable_t waited = wasi_io_poll_borrow_pollable(room == 0 ? writable : readable);
    wasi_io_poll_list_borrow_pollable_t list = {.ptr = &waited, .len = 1};
    relay_list_u32_t ready;
    wasi_io_poll_poll(&list, &ready);
    relay_list_u32_free(&ready);
    if (room == 0) continue;
    relay_list_u8_t part;
    if (wasi_io_streams_method_input_stream_read(wasi_io_streams_borrow_input_stream(input), room, &part, &fault)) {
      open = write(response.stream, part.ptr, part.len);
      relay_list_u8_free(&part);
    } else {
      whole = at_end(&fault);
      open = false;
    }
  }
  wasi_io_poll_pollable_drop_own(readable);
  wasi_io_poll_pollable_drop_own(writable);
  wasi_io_streams_input_stream_drop_own(input);

  fields_t trailers;
  if (!whole) {
    // Without an end to the response: the client is not to take a part for the whole.
    wasi_http_types_incoming_body_drop_own(body);
    wasi_io_streams_output_stream_drop_own(response.stream);
    wasi_http_types_outgoing_body_drop_own(response.body);
  } else if (trailers_of(body, &trailers)) {
    fields_t copied = wasi_http_types_constructor_fields();
    copy(trailers, NULL, copied);
    wasi_http_types_fields_drop_own(trailers);
    finish(response, &copied);
  } else {
    finish(response, NULL);
  }
}

/// Reads a body to its end; false when it breaks off.
static bool read_all(exchange_t *exchange, uint64_t *bytes) {
  incoming_t body;
  input_t input = open_body(exchange, &body);
  wasi_io_streams_stream_error_t fault;
  relay_list_u8_t part;
  *bytes = 0;
  while (wasi_io_streams_method_input_stream_blocking_read(wasi_io_streams_borrow_input_stream(input), 65536, &part,
                                                           &fault)) {
    *bytes += part.len;
    relay_list_u8_free(&part);
  }
  wasi_io_streams_input_stream_drop_own(input);
  wasi_http_types_incoming_body_drop_own(body);
  return at_end(&fault);
}

/// Reads a body to its end, and answers its length, or 400 when it breaks off.
static void count(exchange_t *exchange) {
  uint64_t bytes;
  if (!read_all(exchange, &bytes)) {
    answer(exchange, 400, "the body broke off\n");
    return;
  }
  char text[24] = {0};
  text[decimal(bytes, text)] = '\n';
  answer(exchange, 200, text);
}

/// Writes `bytes` bytes, of which `length` were promised when that is given.
static void stream(exchange_t *exchange) {
  static uint8_t filler[16384];
  memset(filler, 'x', sizeof filler);
  fields_t headers = wasi_http_types_constructor_fields();
  uint64_t left = number(exchange, "bytes", 0), length = number(exchange, "length", UINT64_MAX);
  char text[24];
  if (length != UINT64_MAX) append(headers, "content-length", text, decimal(length, text));
  response_t response;
  need(respond(exchange, 200, headers, &response));
  bool open = true;
  while (open && left > 0) {
    size_t part = left < sizeof filler ? left : sizeof filler;
    open = write(response.stream, filler, part);
    left -= part;
  }
  finish(response, NULL);
}

/// Sleeps for `ms` milliseconds, then answers.
static void nap(exchange_t *exchange) {
  sleep_ms(number(exchange, "ms", 0));
  answer(exchange, 200, "slept\n");
}

static void trap(exchange_t *exchange) {
  (void)exchange;
  __builtin_trap();
}

/// Begins a response, reads the request's body, and traps: the client says when by ending its body.
static void trap_after(exchange_t *exchange) {
  response_t response = respond_text(exchange, 200);
  say(response.stream, "before the trap\n");
  uint64_t bytes;
  read_all(exchange, &bytes);
  __builtin_trap();
}

static void never(exchange_t *exchange) { wasi_http_types_response_outparam_drop_own(exchange->out); }

static void error(exchange_t *exchange) {
  wasi_http_types_result_own_outgoing_response_error_code_t result = {.is_err = true};
  result.val.err.tag = WASI_HTTP_TYPES_ERROR_CODE_INTERNAL_ERROR;
  result.val.err.val.internal_error.is_some = true;
  relay_string_set(&result.val.err.val.internal_error.val, "an error on purpose");
  wasi_http_types_static_response_outparam_set(exchange->out, &result);
}

/// Begins a response, reads the request's body, and gives the response up.
static void abandon(exchange_t *exchange) {
  response_t response = respond_text(exchange, 200);
  say(response.stream, "before giving up\n");
  uint64_t bytes;
  read_all(exchange, &bytes);
  wasi_io_streams_output_stream_drop_own(response.stream);
  wasi_http_types_outgoing_body_drop_own(response.body);
}

/// Begins a response, and ends with its body held: no word about its end.
static void leave(exchange_t *exchange) {
  response_t response = respond_text(exchange, 200);
  say(response.stream, "before leaving\n");
}

static void line(output_t stream, const char *name, const relay_string_t *value) {
  write(stream, (const uint8_t *)name, strlen(name));
  write(stream, value->ptr, value->len);
  write(stream, (const uint8_t *)"\n", 1);
}

/// Answers with what it was asked: a line each for method, path, authority and scheme, then the headers.
static void headers(exchange_t *exchange) {
  static const char *const METHODS[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                        "CONNECT", "OPTIONS", "TRACE", "PATCH"};
  static const char *const SCHEMES[] = {"http", "https"};
  wasi_http_types_borrow_incoming_request_t request = wasi_http_types_borrow_incoming_request(exchange->request);
  response_t response = respond_text(exchange, 200);
  relay_string_t text;

  wasi_http_types_method_t method;
  wasi_http_types_method_incoming_request_method(request, &method);
  if (method.tag == WASI_HTTP_TYPES_METHOD_OTHER) {
    text = method.val.other;
  } else {
    relay_string_set(&text, METHODS[method.tag]);
  }
  line(response.stream, "method: ", &text);

  if (!wasi_http_types_method_incoming_request_path_with_query(request, &text)) relay_string_set(&text, "none");
  line(response.stream, "path: ", &text);
  if (!wasi_http_types_method_incoming_request_authority(request, &text)) relay_string_set(&text, "none");
  line(response.stream, "authority: ", &text);

  wasi_http_types_scheme_t scheme;
  if (!wasi_http_types_method_incoming_request_scheme(request, &scheme)) {
    relay_string_set(&text, "none");
  } else if (scheme.tag == WASI_HTTP_TYPES_SCHEME_OTHER) {
    text = scheme.val.other;
  } else {
    relay_string_set(&text, SCHEMES[scheme.tag]);
  }
  line(response.stream, "scheme: ", &text);

  fields_t fields = wasi_http_types_method_incoming_request_headers(request);
  wasi_http_types_list_tuple2_field_name_field_value_t entries;
  wasi_http_types_method_fields_entries(wasi_http_types_borrow_fields(fields), &entries);
  for (size_t i = 0; i < entries.len; i++) {
    write(response.stream, entries.ptr[i].f0.ptr, entries.ptr[i].f0.len);
    relay_string_t value = {.ptr = entries.ptr[i].f1.ptr, .len = entries.ptr[i].f1.len};
    line(response.stream, ": ", &value);
  }
  wasi_http_types_list_tuple2_field_name_field_value_free(&entries);
  wasi_http_types_fields_drop_own(fields);
  finish(response, NULL);
}

/// Ends the response, then works on for `ms` milliseconds, then says so on its standard output.
static void late(exchange_t *exchange) {
  answer(exchange, 200, "in time\n");
  sleep_ms(number(exchange, "ms", 0));
  output_t stdout = wasi_cli_stdout_get_stdout();
  say(stdout, "the work after the response is done\n");
  wasi_io_streams_output_stream_drop_own(stdout);
}

static void spin(exchange_t *exchange) {
  (void)exchange;
  for (volatile uint32_t turns = 0;; turns++) {
  }
}

static void loop_head(exchange_t *exchange) {
  response_t response = respond_text(exchange, 200);
  say(response.stream, "before the loop\n");
  spin(exchange);
}

/// Answers with the status `code`.
static void status(exchange_t *exchange) {
  response_t response;
  need(respond(exchange, number(exchange, "code", 200), wasi_http_types_constructor_fields(), &response));
  finish(response, NULL);
}

/// Asks for `mb` MiB of memory, and says whether it got them.
static void grow(exchange_t *exchange) {
  bool grown = __builtin_wasm_memory_grow(0, number(exchange, "mb", 1) * 16) != SIZE_MAX;
  if (grown) {
    answer(exchange, 200, "grown\n");
  } else {
    answer(exchange, 507, "refused\n");
  }
}

static const struct {
  const char *path;
  void (*serve)(exchange_t *exchange);
} PATHS[] = {
    {"/echo", echo},
    {"/count", count},
    {"/stream", stream},
    {"/sleep", nap},
    {"/trap", trap},
    {"/trap-after", trap_after},
    {"/never", never},
    {"/error", error},
    {"/abandon", abandon},
    {"/leave", leave},
    {"/headers", headers},
    {"/late", late},
    {"/spin", spin},
    {"/loop-head", loop_head},
    {"/status", status},
    {"/grow", grow},
};

void exports_wasi_http_incoming_handler_handle(wasi_http_types_own_incoming_request_t request,
                                               wasi_http_types_own_response_outparam_t out) {
  exchange_t exchange = {.request = request, .out = out};
  relay_string_t path;
  if (!wasi_http_types_method_incoming_request_path_with_query(wasi_http_types_borrow_incoming_request(request),
                                                               &path)) {
    relay_string_set(&path, "/");
  }
  const uint8_t *mark = memchr(path.ptr, '?', path.len);
  if (mark != NULL) {
    size_t len = mark - path.ptr;
    exchange.query.ptr = path.ptr + len + 1;
    exchange.query.len = path.len - len - 1;
    path.len = len;
  }
  void (*serve)(exchange_t *) = NULL;
  for (size_t i = 0; i < sizeof PATHS / sizeof *PATHS; i++) {
    if (same(&path, PATHS[i].path)) serve = PATHS[i].serve;
  }
  if (serve == NULL) {
    answer(&exchange, 404, "no such path\n");
  } else {
    serve(&exchange);
  }
  wasi_http_types_incoming_request_drop_own(request);
}
