// Talks over sockets: TCP, UDP and name look-ups, as a client.

#include "net.h"

#include <stdlib.h>
#include <string.h>

typedef wasi_sockets_network_error_code_t code_t;
typedef wasi_sockets_network_ip_address_t address_t;
typedef wasi_sockets_network_ip_socket_address_t socket_address_t;

static const char *const CODES[] = {
    "unknown",           "access-denied",      "not-supported",        "invalid-argument",
    "out-of-memory",     "timeout",            "concurrency-conflict", "not-in-progress",
    "would-block",       "invalid-state",      "new-socket-limit",     "address-not-bindable",
    "address-in-use",    "remote-unreachable", "connection-refused",   "connection-reset",
    "connection-aborted", "datagram-too-large", "name-unresolvable",   "temporary-resolver-failure",
    "permanent-resolver-failure",
};

/// Sets an error. Returns false, for its caller to return.
static bool failed(net_string_t *err, const char *why) {
  net_string_dup(err, why);
  return false;
}

static wasi_sockets_network_borrow_network_t network(void) {
  static wasi_sockets_network_own_network_t handle;
  if (handle.__handle == 0) handle = wasi_sockets_instance_network_instance_network();
  return wasi_sockets_network_borrow_network(handle);
}

static void wait_and_drop(wasi_io_poll_own_pollable_t pollable) {
  wasi_io_poll_method_pollable_block(wasi_io_poll_borrow_pollable(pollable));
  wasi_io_poll_pollable_drop_own(pollable);
}

/// The addresses of a name, at most `room` of them. Returns how many, or -1 with the code.
static int resolve(net_string_t *name, address_t *found, int room, code_t *code) {
  wasi_sockets_ip_name_lookup_own_resolve_address_stream_t stream;
  if (!wasi_sockets_ip_name_lookup_resolve_addresses(network(), name, &stream, code)) return -1;
  wasi_sockets_ip_name_lookup_borrow_resolve_address_stream_t borrowed =
      wasi_sockets_ip_name_lookup_borrow_resolve_address_stream(stream);
  wait_and_drop(wasi_sockets_ip_name_lookup_method_resolve_address_stream_subscribe(borrowed));
  int count = 0;
  wasi_sockets_ip_name_lookup_option_ip_address_t next;
  while (count >= 0) {
    if (!wasi_sockets_ip_name_lookup_method_resolve_address_stream_resolve_next_address(borrowed, &next, code)) {
      count = -1;
    } else if (next.is_some && count < room) {
      found[count++] = next.val;
    } else {
      break;
    }
  }
  wasi_sockets_ip_name_lookup_resolve_address_stream_drop_own(stream);
  return count;
}

static socket_address_t with_port(address_t address, uint16_t port) {
  socket_address_t full = {.tag = address.tag};
  if (address.tag == WASI_SOCKETS_NETWORK_IP_ADDRESS_IPV4) {
    full.val.ipv4.port = port;
    full.val.ipv4.address = address.val.ipv4;
  } else {
    full.val.ipv6.port = port;
    full.val.ipv6.address = address.val.ipv6;
  }
  return full;
}

/// Whether a text is four numbers with dots between.
static bool parse(const net_string_t *text, wasi_sockets_network_ipv4_address_t *to) {
  unsigned int parts[4] = {0};
  int part = 0, digits = 0;
  for (size_t i = 0; i < text->len; i++) {
    uint8_t byte = text->ptr[i];
    if (byte == '.' && digits > 0 && part < 3) {
      part++;
      digits = 0;
    } else if (byte >= '0' && byte <= '9' && digits < 3) {
      parts[part] = parts[part] * 10 + (byte - '0');
      digits++;
    } else {
      return false;
    }
  }
  to->f0 = parts[0];
  to->f1 = parts[1];
  to->f2 = parts[2];
  to->f3 = parts[3];
  return part == 3 && digits > 0;
}

/// A host's first address: as it is written, or else the one that its name has.
static bool first_address(net_string_t *host, uint16_t port, socket_address_t *to, net_string_t *err) {
  address_t address = {.tag = WASI_SOCKETS_NETWORK_IP_ADDRESS_IPV4};
  if (!parse(host, &address.val.ipv4)) {
    code_t code;
    int count = resolve(host, &address, 1, &code);
    if (count < 0) return failed(err, CODES[code]);
    if (count == 0) return failed(err, "name-unresolvable");
  }
  *to = with_port(address, port);
  return true;
}

static bool exchange(wasi_io_streams_own_input_stream_t input, wasi_io_streams_own_output_stream_t output,
                     wasi_sockets_tcp_borrow_tcp_socket_t socket, net_string_t *text, net_string_t *ret,
                     net_string_t *err) {
  const size_t piece = 4096;
  wasi_io_streams_stream_error_t fault;
  code_t code;
  for (size_t at = 0; at < text->len; at += piece) {
    net_list_u8_t part = {.ptr = text->ptr + at, .len = text->len - at < piece ? text->len - at : piece};
    if (!wasi_io_streams_method_output_stream_blocking_write_and_flush(
            wasi_io_streams_borrow_output_stream(output), &part, &fault)) {
      return failed(err, "connection-reset");
    }
  }
  if (!wasi_sockets_tcp_method_tcp_socket_shutdown(socket, WASI_SOCKETS_TCP_SHUTDOWN_TYPE_SEND, &code)) {
    return failed(err, CODES[code]);
  }
  ret->ptr = NULL;
  ret->len = 0;
  net_list_u8_t part;
  while (wasi_io_streams_method_input_stream_blocking_read(wasi_io_streams_borrow_input_stream(input), 65536, &part,
                                                           &fault)) {
    ret->ptr = realloc(ret->ptr, ret->len + part.len + 1);
    if (ret->ptr == NULL) __builtin_trap();
    memcpy(ret->ptr + ret->len, part.ptr, part.len);
    ret->len += part.len;
    net_list_u8_free(&part);
  }
  if (fault.tag != WASI_IO_STREAMS_STREAM_ERROR_CLOSED) return failed(err, "connection-reset");
  return true;
}

bool exports_net_tcp_exchange(net_string_t *host, uint16_t port, net_string_t *text, net_string_t *ret,
                              net_string_t *err) {
  socket_address_t to;
  code_t code;
  if (!first_address(host, port, &to, err)) return false;
  wasi_sockets_tcp_own_tcp_socket_t socket;
  if (!wasi_sockets_tcp_create_socket_create_tcp_socket(to.tag, &socket, &code)) return failed(err, CODES[code]);
  wasi_sockets_tcp_borrow_tcp_socket_t borrowed = wasi_sockets_tcp_borrow_tcp_socket(socket);
  wasi_sockets_tcp_tuple2_own_input_stream_own_output_stream_t streams;
  bool connected = wasi_sockets_tcp_method_tcp_socket_start_connect(borrowed, network(), &to, &code);
  if (connected) {
    wait_and_drop(wasi_sockets_tcp_method_tcp_socket_subscribe(borrowed));
    connected = wasi_sockets_tcp_method_tcp_socket_finish_connect(borrowed, &streams, &code);
  }
  bool done = connected && exchange(streams.f0, streams.f1, borrowed, text, ret, err);
  if (connected) {
    wasi_io_streams_input_stream_drop_own(streams.f0);
    wasi_io_streams_output_stream_drop_own(streams.f1);
  }
  wasi_sockets_tcp_tcp_socket_drop_own(socket);
  return connected ? done : failed(err, CODES[code]);
}

static bool send_and_receive(wasi_sockets_udp_borrow_incoming_datagram_stream_t incoming,
                             wasi_sockets_udp_borrow_outgoing_datagram_stream_t outgoing, socket_address_t to,
                             net_string_t *text, net_string_t *ret, code_t *code) {
  uint64_t sent;
  wasi_sockets_udp_outgoing_datagram_t datagram = {
      .data = {.ptr = text->ptr, .len = text->len}, .remote_address = {.is_some = true, .val = to}};
  wasi_sockets_udp_list_outgoing_datagram_t datagrams = {.ptr = &datagram, .len = 1};
  do {
    wait_and_drop(wasi_sockets_udp_method_outgoing_datagram_stream_subscribe(outgoing));
    if (!wasi_sockets_udp_method_outgoing_datagram_stream_check_send(outgoing, &sent, code)) return false;
  } while (sent == 0);
  if (!wasi_sockets_udp_method_outgoing_datagram_stream_send(outgoing, &datagrams, &sent, code)) return false;
  wasi_sockets_udp_list_incoming_datagram_t received;
  do {
    wait_and_drop(wasi_sockets_udp_method_incoming_datagram_stream_subscribe(incoming));
    if (!wasi_sockets_udp_method_incoming_datagram_stream_receive(incoming, 1, &received, code)) return false;
  } while (received.len == 0);
  net_string_dup_n(ret, (const char *)received.ptr[0].data.ptr, received.ptr[0].data.len);
  wasi_sockets_udp_list_incoming_datagram_free(&received);
  return true;
}

bool exports_net_udp_exchange(net_string_t *host, uint16_t port, net_string_t *text, net_string_t *ret,
                              net_string_t *err) {
  socket_address_t to, any;
  code_t code;
  if (!first_address(host, port, &to, err)) return false;
  memset(&any, 0, sizeof any);
  any.tag = to.tag;
  wasi_sockets_udp_own_udp_socket_t socket;
  if (!wasi_sockets_udp_create_socket_create_udp_socket(to.tag, &socket, &code)) return failed(err, CODES[code]);
  wasi_sockets_udp_borrow_udp_socket_t borrowed = wasi_sockets_udp_borrow_udp_socket(socket);
  wasi_sockets_udp_tuple2_own_incoming_datagram_stream_own_outgoing_datagram_stream_t streams;
  bool done = wasi_sockets_udp_method_udp_socket_start_bind(borrowed, network(), &any, &code) &&
              wasi_sockets_udp_method_udp_socket_finish_bind(borrowed, &code) &&
              wasi_sockets_udp_method_udp_socket_stream(borrowed, NULL, &streams, &code);
  if (done) {
    done = send_and_receive(wasi_sockets_udp_borrow_incoming_datagram_stream(streams.f0),
                            wasi_sockets_udp_borrow_outgoing_datagram_stream(streams.f1), to, text, ret, &code);
    wasi_sockets_udp_incoming_datagram_stream_drop_own(streams.f0);
    wasi_sockets_udp_outgoing_datagram_stream_drop_own(streams.f1);
  }
  wasi_sockets_udp_udp_socket_drop_own(socket);
  return done ? true : failed(err, CODES[code]);
}

/// Writes a number to `at` in a base. Returns the end of what it wrote.
static char *number(char *at, unsigned int value, unsigned int base) {
  char digits[8];
  int count = 0;
  do {
    digits[count++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value > 0);
  while (count > 0) *at++ = digits[--count];
  return at;
}

static void format(const address_t *address, char *at) {
  bool old = address->tag == WASI_SOCKETS_NETWORK_IP_ADDRESS_IPV4;
  const wasi_sockets_network_ipv4_address_t *v4 = &address->val.ipv4;
  const wasi_sockets_network_ipv6_address_t *v6 = &address->val.ipv6;
  unsigned int four[] = {v4->f0, v4->f1, v4->f2, v4->f3};
  unsigned int eight[] = {v6->f0, v6->f1, v6->f2, v6->f3, v6->f4, v6->f5, v6->f6, v6->f7};
  for (int i = 0; i < (old ? 4 : 8); i++) {
    if (i > 0) *at++ = old ? '.' : ':';
    at = number(at, old ? four[i] : eight[i], old ? 10 : 16);
  }
  *at = '\0';
}

bool exports_net_lookup(net_string_t *name, net_list_string_t *ret, net_string_t *err) {
  address_t found[64];
  code_t code;
  int count = resolve(name, found, 64, &code);
  if (count < 0) return failed(err, CODES[code]);
  ret->ptr = malloc((count + 1) * sizeof *ret->ptr);
  if (ret->ptr == NULL) __builtin_trap();
  ret->len = count;
  for (int i = 0; i < count; i++) {
    char text[64];
    format(&found[i], text);
    net_string_dup(&ret->ptr[i], text);
  }
  return true;
}

bool exports_net_listen(uint16_t port, net_string_t *err) {
  code_t code;
  wasi_sockets_tcp_own_tcp_socket_t socket;
  address_t any = {.tag = WASI_SOCKETS_NETWORK_IP_ADDRESS_IPV4};
  socket_address_t local = with_port(any, port);
  if (!wasi_sockets_tcp_create_socket_create_tcp_socket(local.tag, &socket, &code)) return failed(err, CODES[code]);
  wasi_sockets_tcp_borrow_tcp_socket_t borrowed = wasi_sockets_tcp_borrow_tcp_socket(socket);
  bool done = wasi_sockets_tcp_method_tcp_socket_start_bind(borrowed, network(), &local, &code) &&
              wasi_sockets_tcp_method_tcp_socket_finish_bind(borrowed, &code) &&
              wasi_sockets_tcp_method_tcp_socket_start_listen(borrowed, &code) &&
              wasi_sockets_tcp_method_tcp_socket_finish_listen(borrowed, &code);
  wasi_sockets_tcp_tcp_socket_drop_own(socket);
  return done ? true : failed(err, CODES[code]);
}

uint32_t exports_net_sockets(uint32_t count) {
  wasi_sockets_tcp_own_tcp_socket_t *held = malloc((count + 1) * sizeof *held);
  if (held == NULL) __builtin_trap();
  uint32_t made = 0;
  code_t code;
  while (made < count && wasi_sockets_tcp_create_socket_create_tcp_socket(0, &held[made], &code)) made++;
  for (uint32_t i = 0; i < made; i++) wasi_sockets_tcp_tcp_socket_drop_own(held[i]);
  free(held);
  return made;
}
