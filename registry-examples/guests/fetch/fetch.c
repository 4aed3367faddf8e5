// Makes HTTP requests.

#include "fetch.h"

#include <stdlib.h>
#include <string.h>

typedef wasi_http_types_error_code_t code_t;
typedef wasi_http_types_own_future_incoming_response_t future_t;
typedef wasi_http_types_own_incoming_response_t response_t;

static const char *const CODES[] = {
    "DNS-timeout",
    "DNS-error",
    "destination-not-found",
    "destination-unavailable",
    "destination-IP-prohibited",
    "destination-IP-unroutable",
    "connection-refused",
    "connection-terminated",
    "connection-timeout",
    "connection-read-timeout",
    "connection-write-timeout",
    "connection-limit-reached",
    "TLS-protocol-error",
    "TLS-certificate-error",
    "TLS-alert-received",
    "HTTP-request-denied",
    "HTTP-request-length-required",
    "HTTP-request-body-size",
    "HTTP-request-method-invalid",
    "HTTP-request-URI-invalid",
    "HTTP-request-URI-too-long",
    "HTTP-request-header-section-size",
    "HTTP-request-header-size",
    "HTTP-request-trailer-section-size",
    "HTTP-request-trailer-size",
    "HTTP-response-incomplete",
    "HTTP-response-header-section-size",
    "HTTP-response-header-size",
    "HTTP-response-body-size",
    "HTTP-response-trailer-section-size",
    "HTTP-response-trailer-size",
    "HTTP-response-transfer-coding",
    "HTTP-response-content-coding",
    "HTTP-response-timeout",
    "HTTP-upgrade-failed",
    "HTTP-protocol-error",
    "loop-detected",
    "configuration-error",
    "internal-error",
};

static void *need(void *found) {
  if (found == NULL) __builtin_trap();
  return found;
}

/// Sets an error. Returns false, for its caller to return.
static bool failed(fetch_string_t *err, const char *why) {
  fetch_string_dup(err, why);
  return false;
}

static void wait_and_drop(wasi_io_poll_own_pollable_t pollable) {
  wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(pollable));
  wasi_io_poll_pollable_drop_own(pollable);
}

/// A request for a URL, without its body.
static bool request_for(const fetch_string_t *url, uint8_t method, wasi_http_types_own_outgoing_request_t *ret,
                        fetch_string_t *err) {
  const char *text = (const char *)url->ptr;
  const size_t http = strlen("http://"), https = strlen("https://");
  bool secure = url->len >= https && memcmp(text, "https://", https) == 0;
  if (!secure && (url->len < http || memcmp(text, "http://", http) != 0)) return failed(err, "no URL");
  size_t start = secure ? https : http, end = start;
  while (end < url->len && text[end] != '/' && text[end] != '?') end++;
  fetch_string_t authority = {.ptr = url->ptr + start, .len = end - start};
  fetch_string_t path = {.ptr = url->ptr + end, .len = url->len - end};
  if (path.len == 0) fetch_string_set(&path, "/");
  wasi_http_types_scheme_t scheme = {.tag = secure ? WASI_HTTP_TYPES_SCHEME_HTTPS : WASI_HTTP_TYPES_SCHEME_HTTP};
  wasi_http_types_method_t verb = {.tag = method};
  *ret = wasi_http_types_constructor_outgoing_request(wasi_http_types_constructor_fields());
  wasi_http_types_borrow_outgoing_request_t request = wasi_http_types_borrow_outgoing_request(*ret);
  if (wasi_http_types_method_outgoing_request_set_method(request, &verb) &&
      wasi_http_types_method_outgoing_request_set_scheme(request, &scheme) &&
      wasi_http_types_method_outgoing_request_set_authority(request, &authority) &&
      wasi_http_types_method_outgoing_request_set_path_with_query(request, &path)) {
    return true;
  }
  wasi_http_types_outgoing_request_drop_own(*ret);
  return failed(err, "no URL");
}

static bool handle(wasi_http_types_own_outgoing_request_t request, wasi_http_types_own_request_options_t *options,
                   future_t *ret, fetch_string_t *err) {
  code_t code;
  return wasi_http_outgoing_handler_handle(request, options, ret, &code) ? true : failed(err, CODES[code.tag]);
}

/// Waits for a response.
static bool settle(future_t future, response_t *ret, fetch_string_t *err) {
  wasi_http_types_borrow_future_incoming_response_t borrowed = wasi_http_types_borrow_future_incoming_response(future);
  wait_and_drop(wasi_http_types_method_future_incoming_response_subscribe(borrowed));
  wasi_http_types_result_result_own_incoming_response_error_code_void_t result;
  if (!wasi_http_types_method_future_incoming_response_get(borrowed, &result) || result.is_err) __builtin_trap();
  wasi_http_types_future_incoming_response_drop_own(future);
  if (result.val.ok.is_err) return failed(err, CODES[result.val.ok.val.err.tag]);
  *ret = result.val.ok.val.ok;
  return true;
}

/// Reads a body to its end, and keeps it when `text` is there.
static bool read_body(response_t response, fetch_string_t *text, uint64_t *bytes, fetch_string_t *err) {
  wasi_http_types_own_incoming_body_t body;
  wasi_io_streams_own_input_stream_t stream;
  if (!wasi_http_types_method_incoming_response_consume(wasi_http_types_borrow_incoming_response(response), &body) ||
      !wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(body), &stream)) {
    __builtin_trap();
  }
  wasi_io_streams_stream_error_t fault;
  fetch_list_u8_t part;
  *bytes = 0;
  while (wasi_io_streams_method_input_stream_blocking_read(wasi_io_streams_borrow_input_stream(stream), 65536, &part,
                                                           &fault)) {
    if (text != NULL) {
      text->ptr = need(realloc(text->ptr, *bytes + part.len + 1));
      memcpy(text->ptr + *bytes, part.ptr, part.len);
      text->len = *bytes + part.len;
    }
    *bytes += part.len;
    fetch_list_u8_free(&part);
  }
  bool whole = fault.tag == WASI_IO_STREAMS_STREAM_ERROR_CLOSED;
  if (!whole) {
    code_t code;
    bool known = wasi_http_types_http_error_code(wasi_io_error_borrow_error(fault.val.last_operation_failed), &code);
    failed(err, known ? CODES[code.tag] : "the body broke off");
    wasi_io_error_error_drop_own(fault.val.last_operation_failed);
  }
  wasi_io_streams_input_stream_drop_own(stream);
  wasi_http_types_incoming_body_drop_own(body);
  return whole;
}

static void read_headers(response_t response, fetch_list_tuple2_string_string_t *ret) {
  wasi_http_types_own_fields_t fields =
      wasi_http_types_method_incoming_response_headers(wasi_http_types_borrow_incoming_response(response));
  wasi_http_types_list_tuple2_field_name_field_value_t entries;
  wasi_http_types_method_fields_entries(wasi_http_types_borrow_fields(fields), &entries);
  ret->len = entries.len;
  ret->ptr = need(malloc((entries.len + 1) * sizeof *ret->ptr));
  for (size_t i = 0; i < entries.len; i++) {
    fetch_string_dup_n(&ret->ptr[i].f0, (const char *)entries.ptr[i].f0.ptr, entries.ptr[i].f0.len);
    fetch_string_dup_n(&ret->ptr[i].f1, (const char *)entries.ptr[i].f1.ptr, entries.ptr[i].f1.len);
  }
  wasi_http_types_list_tuple2_field_name_field_value_free(&entries);
  wasi_http_types_fields_drop_own(fields);
}

static bool read_response(response_t response, fetch_response_t *ret, fetch_string_t *err) {
  uint64_t bytes;
  memset(ret, 0, sizeof *ret);
  ret->status = wasi_http_types_method_incoming_response_status(wasi_http_types_borrow_incoming_response(response));
  read_headers(response, &ret->headers);
  bool whole = read_body(response, &ret->body, &bytes, err);
  wasi_http_types_incoming_response_drop_own(response);
  return whole;
}

static wasi_http_types_own_request_options_t options_of(const fetch_patience_t *patience) {
  const uint64_t nanos = 1000000;
  wasi_http_types_own_request_options_t options = wasi_http_types_constructor_request_options();
  wasi_http_types_borrow_request_options_t borrowed = wasi_http_types_borrow_request_options(options);
  uint64_t time = patience->connect.val * nanos;
  if (patience->connect.is_some) {
    wasi_http_types_method_request_options_set_connect_timeout(borrowed, &time);
  }
  time = patience->first_byte.val * nanos;
  if (patience->first_byte.is_some) {
    wasi_http_types_method_request_options_set_first_byte_timeout(borrowed, &time);
  }
  time = patience->between_bytes.val * nanos;
  if (patience->between_bytes.is_some) {
    wasi_http_types_method_request_options_set_between_bytes_timeout(borrowed, &time);
  }
  return options;
}

bool exports_fetch_get_within(fetch_string_t *url, fetch_patience_t *patience, fetch_response_t *ret,
                              fetch_string_t *err) {
  wasi_http_types_own_outgoing_request_t request;
  future_t future;
  response_t response;
  if (!request_for(url, WASI_HTTP_TYPES_METHOD_GET, &request, err)) return false;
  wasi_http_types_own_request_options_t options = options_of(patience);
  return handle(request, &options, &future, err) && settle(future, &response, err) &&
         read_response(response, ret, err);
}

bool exports_fetch_get(fetch_string_t *url, fetch_response_t *ret, fetch_string_t *err) {
  fetch_patience_t patience;
  memset(&patience, 0, sizeof patience);
  return exports_fetch_get_within(url, &patience, ret, err);
}

/// Writes `bytes` of a body: the text, or as many `x` when there is none.
static bool write_body(wasi_http_types_own_outgoing_body_t body, const fetch_string_t *text, uint64_t bytes,
                       fetch_string_t *err) {
  static uint8_t filler[4096];
  memset(filler, 'x', sizeof filler);
  wasi_io_streams_own_output_stream_t stream;
  wasi_io_streams_stream_error_t fault;
  if (!wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &stream)) {
    __builtin_trap();
  }
  wasi_io_streams_borrow_output_stream_t borrowed = wasi_io_streams_borrow_output_stream(stream);
  bool sound = true;
  for (uint64_t at = 0; sound && at < bytes;) {
    uint64_t room;
    wait_and_drop(wasi_io_streams_method_output_stream_subscribe(borrowed));
    sound = wasi_io_streams_method_output_stream_check_write(borrowed, &room, &fault);
    if (!sound || room == 0) continue;
    uint64_t most = text == NULL && room > sizeof filler ? sizeof filler : room;
    uint64_t len = bytes - at < most ? bytes - at : most;
    fetch_list_u8_t part = {.ptr = text == NULL ? filler : text->ptr + at, .len = len};
    sound = wasi_io_streams_method_output_stream_write(borrowed, &part, &fault);
    at += len;
  }
  sound = sound && wasi_io_streams_method_output_stream_blocking_flush(borrowed, &fault);
  wasi_io_streams_output_stream_drop_own(stream);
  code_t code;
  if (!wasi_http_types_static_outgoing_body_finish(body, NULL, &code)) return failed(err, CODES[code.tag]);
  return sound ? true : failed(err, "the request broke off");
}

static bool send(fetch_string_t *url, const fetch_string_t *text, uint64_t bytes, response_t *ret,
                 fetch_string_t *err) {
  wasi_http_types_own_outgoing_request_t request;
  wasi_http_types_own_outgoing_body_t body;
  future_t future;
  if (!request_for(url, WASI_HTTP_TYPES_METHOD_POST, &request, err)) return false;
  if (!wasi_http_types_method_outgoing_request_body(wasi_http_types_borrow_outgoing_request(request), &body)) {
    __builtin_trap();
  }
  if (!handle(request, NULL, &future, err)) return false;
  // A request that is refused breaks off its body; why is in the response's place.
  fetch_string_t broken;
  bool written = write_body(body, text, bytes, &broken);
  if (!settle(future, ret, err)) return false;
  if (!written) *err = broken;
  return written;
}

bool exports_fetch_post(fetch_string_t *url, fetch_string_t *body, fetch_response_t *ret, fetch_string_t *err) {
  response_t response;
  return send(url, body, body->len, &response, err) && read_response(response, ret, err);
}

bool exports_fetch_upload(fetch_string_t *url, uint64_t bytes, fetch_string_t *ret, fetch_string_t *err) {
  response_t response;
  uint64_t read;
  if (!send(url, NULL, bytes, &response, err)) return false;
  ret->ptr = NULL;
  ret->len = 0;
  return read_body(response, ret, &read, err);
}

bool exports_fetch_measure(fetch_string_t *url, uint64_t *ret, fetch_string_t *err) {
  wasi_http_types_own_outgoing_request_t request;
  future_t future;
  response_t response;
  return request_for(url, WASI_HTTP_TYPES_METHOD_GET, &request, err) && handle(request, NULL, &future, err) &&
         settle(future, &response, err) && read_body(response, NULL, ret, err);
}

bool exports_fetch_many(fetch_string_t *url, uint32_t count, uint16_t *ret, fetch_string_t *err) {
  if (count == 0) return failed(err, "none");
  future_t *futures = need(malloc(count * sizeof *futures));
  for (uint32_t i = 0; i < count; i++) {
    wasi_http_types_own_outgoing_request_t request;
    if (!request_for(url, WASI_HTTP_TYPES_METHOD_GET, &request, err)) return false;
    if (!handle(request, NULL, &futures[i], err)) return false;
  }
  response_t response;
  if (!settle(futures[count - 1], &response, err)) return false;
  *ret = wasi_http_types_method_incoming_response_status(wasi_http_types_borrow_incoming_response(response));
  return true;
}
