// Greets whoever asks.

#include "hello.h"

void exports_wasi_http_incoming_handler_handle(wasi_http_types_own_incoming_request_t request,
                                               wasi_http_types_own_response_outparam_t response_out) {
  wasi_http_types_tuple2_field_key_field_value_t type;
  hello_string_set(&type.f0, "content-type");
  hello_string_set((hello_string_t *)&type.f1, "text/plain");
  wasi_http_types_list_tuple2_field_key_field_value_t entries = {.ptr = &type, .len = 1};
  wasi_http_types_own_fields_t headers;
  wasi_http_types_header_error_t refused;
  if (!wasi_http_types_static_fields_from_list(&entries, &headers, &refused)) __builtin_trap();

  wasi_http_types_own_outgoing_response_t response = wasi_http_types_constructor_outgoing_response(headers);
  wasi_http_types_own_outgoing_body_t body;
  wasi_io_streams_own_output_stream_t stream;
  if (!wasi_http_types_method_outgoing_response_body(wasi_http_types_borrow_outgoing_response(response), &body) ||
      !wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &stream)) {
    __builtin_trap();
  }
  wasi_http_types_result_own_outgoing_response_error_code_t result = {.is_err = false, .val = {.ok = response}};
  wasi_http_types_static_response_outparam_set(response_out, &result);

  hello_string_t greeting;
  hello_string_set(&greeting, "Hello, World!\n");
  wasi_io_streams_stream_error_t fault;
  // A client that is gone is no fault of ours.
  bool written = wasi_io_streams_method_output_stream_blocking_write_and_flush(
      wasi_io_streams_borrow_output_stream(stream), (hello_list_u8_t *)&greeting, &fault);
  if (!written) wasi_io_streams_stream_error_free(&fault);
  wasi_io_streams_output_stream_drop_own(stream);
  wasi_http_types_error_code_t code;
  if (!wasi_http_types_static_outgoing_body_finish(body, NULL, &code)) wasi_http_types_error_code_free(&code);
  wasi_http_types_incoming_request_drop_own(request);
}
