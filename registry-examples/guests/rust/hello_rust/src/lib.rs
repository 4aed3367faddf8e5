//! Greets whoever asks, and counts what it was sent.

use std::io::{Read, Write};

use wasip2::{
    exports::http::incoming_handler::Guest,
    http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam},
};

wasip2::http::proxy::export!(Hello);

struct Hello;

impl Guest for Hello {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let sent = request.consume().expect("a body is there once");
        let mut body = Vec::new();
        let read = sent.stream().expect("a stream is there once").read_to_end(&mut body);

        let headers = Fields::from_list(&[("content-type".to_owned(), b"text/plain".to_vec())]);
        let response = OutgoingResponse::new(headers.expect("a plain header"));
        let outgoing = response.body().expect("a body is there once");
        ResponseOutparam::set(out, Ok(response));
        let mut stream = outgoing.write().expect("a stream is there once");
        let path = request.path_with_query().unwrap_or_default();
        // A client that is gone is no fault of ours.
        drop(match read {
            Ok(_) => writeln!(stream, "Hello from Rust: {path}, {} bytes", body.len()),
            Err(error) => writeln!(stream, "the body broke off: {error}"),
        });
        drop(stream);
        drop(OutgoingBody::finish(outgoing, None));
    }
}
