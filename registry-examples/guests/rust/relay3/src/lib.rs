//! A server whose paths are what a host has to bear: the guest `relay`, for WASI 0.3.

use core::arch::wasm32::{memory_grow, unreachable};
use std::{hint, mem};

use wasip3::{
    cli::{environment, stdout},
    clocks::{monotonic_clock, system_clock},
    http::types::{ErrorCode, Fields, Method, Request, Response, Scheme},
    random::random,
    wit_bindgen::{FutureReader, FutureWriter, StreamReader, StreamResult, StreamWriter, spawn_local},
    wit_future, wit_stream,
};

wasip3::http::service::export!(Relay);

struct Relay;

impl wasip3::exports::http::handler::Guest for Relay {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request.get_path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let number = |name: &str, otherwise: u64| {
            let pair = query.split('&').filter_map(|pair| pair.split_once('=')).find(|pair| pair.0 == name);
            pair.map_or(otherwise, |pair| pair.1.parse().expect("a number"))
        };
        match path {
            "/echo" => Ok(echo(request)),
            "/pass" => Ok(pass(request)),
            "/count" => Ok(count(request).await),
            "/stream" => Ok(stream(number("bytes", 0), number("length", u64::MAX))),
            "/sleep" => {
                sleep(number("ms", 0)).await;
                Ok(answer(200, "slept\n"))
            }
            "/trap" => unreachable(),
            "/trap-after" => Ok(begin(request, "before the trap\n", |_| unreachable())),
            // Nobody else writes to the future.
            "/never" => {
                let (_writer, reader) = wit_future::new(|| Ok(None));
                let never: Trailers = reader.await;
                never.map(|_| answer(200, "it came all the same\n"))
            }
            "/error" => Err(ErrorCode::InternalError(Some("an error on purpose".to_owned()))),
            "/abandon" => Ok(begin(request, "before giving up\n", drop)),
            "/given" => Ok(answer(200, &given())),
            "/headers" => Ok(answer(200, &headers(&request))),
            "/late" => Ok(late(number("ms", 0))),
            "/spin" => spin(),
            "/loop-head" => Ok(begin(request, "before the loop\n", |_| spin())),
            "/status" => {
                let (response, body, _) = respond(number("code", 200) as u16, Fields::new());
                body.finish(None);
                Ok(response)
            }
            "/grow" => {
                let pages = number("mb", 1) as usize * 16;
                match memory_grow::<0>(pages) {
                    usize::MAX => Ok(answer(507, "refused\n")),
                    _ => Ok(answer(200, "grown\n")),
                }
            }
            "/hoard" => loop {
                let (writer, reader) = wit_stream::new::<u8>();
                mem::forget((writer, reader));
            },
            _ => Ok(answer(404, "no such path\n")),
        }
    }
}

type Trailers = Result<Option<Fields>, ErrorCode>;

/// A response's body. One that is dropped unfinished ends with an error.
struct Body {
    stream: StreamWriter<u8>,
    end: FutureWriter<Trailers>,
}

impl Body {
    /// Writes when the client takes it; false when it is gone.
    async fn write(&mut self, bytes: Vec<u8>) -> bool {
        self.stream.write_all(bytes).await.is_empty()
    }

    fn finish(self, trailers: Option<Fields>) {
        drop(self.stream);
        spawn_local(async move {
            let _ = self.end.write(Ok(trailers)).await;
        });
    }
}

/// A response, its body, and what becomes of it.
fn respond(status: u16, headers: Fields) -> (Response, Body, FutureReader<Result<(), ErrorCode>>) {
    let (stream, contents) = wit_stream::new();
    let (end, trailers) = wit_future::new(|| Err(ErrorCode::InternalError(Some("given up".to_owned()))));
    let (response, sent) = Response::new(headers, Some(contents), trailers);
    response.set_status_code(status).expect("a status");
    (response, Body { stream, end }, sent)
}

fn plain() -> Fields {
    Fields::from_list(&[("content-type".to_owned(), b"text/plain".to_vec())]).expect("a plain header")
}

fn answer(status: u16, text: &str) -> Response {
    let (response, mut body, _) = respond(status, plain());
    let text = text.as_bytes().to_vec();
    spawn_local(async move {
        body.write(text).await;
        body.finish(None);
    });
    response
}

fn read(request: Request) -> (StreamReader<u8>, FutureReader<Trailers>) {
    let (_, handled) = wit_future::new(|| Ok(()));
    Request::consume_body(request, handled)
}

/// Sends a body back while it comes, reading no more than the client takes. What comes after it goes after it.
fn echo(request: Request) -> Response {
    let copied =
        |name: &'static str| request.get_headers().get(name).into_iter().map(move |value| (name.to_owned(), value));
    let headers: Vec<_> = copied("content-type").chain(copied("trailer")).collect();
    let (response, mut body, _) = respond(200, Fields::from_list(&headers).expect("headers that were sent"));
    let (mut sent, trailers) = read(request);
    spawn_local(async move {
        loop {
            let (result, part) = sent.read(Vec::with_capacity(16 << 10)).await;
            if matches!(result, StreamResult::Dropped) && part.is_empty() {
                break;
            }
            if !body.write(part).await {
                return;
            }
        }
        // Without an end to the response when the request breaks off: a part is not to be taken for the whole.
        if let Ok(trailers) = trailers.await {
            body.finish(trailers);
        }
    });
    response
}

/// Has the host send the request's body back, while it comes and when this has ended.
fn pass(request: Request) -> Response {
    let (sent, trailers) = read(request);
    Response::new(Fields::new(), Some(sent), trailers).0
}

/// The length of a body, or nothing when it breaks off.
async fn measure(request: Request) -> Option<u64> {
    let (mut sent, trailers) = read(request);
    let mut bytes = 0;
    loop {
        let (result, part) = sent.read(Vec::with_capacity(64 << 10)).await;
        bytes += part.len() as u64;
        if matches!(result, StreamResult::Dropped) {
            break;
        }
    }
    trailers.await.ok().map(|_| bytes)
}

async fn count(request: Request) -> Response {
    match measure(request).await {
        Some(bytes) => answer(200, &format!("{bytes}\n")),
        None => answer(400, "the body broke off\n"),
    }
}

/// Writes `bytes` bytes, of which `length` were promised when that is given.
fn stream(mut bytes: u64, length: u64) -> Response {
    let headers = Fields::new();
    if length != u64::MAX {
        headers.append("content-length", length.to_string().as_bytes()).expect("a plain header");
    }
    let (response, mut body, _) = respond(200, headers);
    spawn_local(async move {
        while bytes > 0 {
            let part = bytes.min(16 << 10);
            if !body.write(vec![b'x'; part as usize]).await {
                return;
            }
            bytes -= part;
        }
        body.finish(None);
    });
    response
}

/// Begins a response, reads the request's body, and goes on: the client says when by ending its body.
fn begin(request: Request, text: &'static str, go_on: fn(Body)) -> Response {
    let (response, mut body, _) = respond(200, plain());
    spawn_local(async move {
        body.write(text.as_bytes().to_vec()).await;
        measure(request).await;
        go_on(body);
    });
    response
}

/// Answers, then works on for so many milliseconds, then says so on its standard output.
fn late(ms: u64) -> Response {
    let (response, mut body, sent) = respond(200, plain());
    spawn_local(async move {
        body.write(b"in time\n".to_vec()).await;
        body.finish(None);
        let _: Result<(), ErrorCode> = sent.await;
        sleep(ms).await;
        let (mut out, contents) = wit_stream::new();
        let printed = stdout::write_via_stream(contents);
        out.write_all(b"the work after the response is done\n".to_vec()).await;
        drop(out);
        printed.await.expect("standard output takes what is written");
    });
    response
}

/// What the host gives besides the request: a line each for variables, arguments and directory, then how many random
/// bytes there are for eight, and whether it is later than when this was written.
fn given() -> String {
    let (variables, arguments) = (environment::get_environment(), environment::get_arguments());
    let (directory, bytes) = (environment::get_initial_cwd(), random::get_random_bytes(8).len());
    let is_later = system_clock::now().seconds > 1_700_000_000;
    format!("{variables:?}\n{arguments:?}\n{directory:?}\n{bytes}\n{is_later}\n")
}

/// What was asked: a line each for method, path, authority and scheme, then the headers.
fn headers(request: &Request) -> String {
    let method = match request.get_method() {
        Method::Other(name) => name,
        known => format!("{known:?}").trim_start_matches("Method::").to_uppercase(),
    };
    let scheme = request.get_scheme().map(|scheme| match scheme {
        Scheme::Http => "http".to_owned(),
        Scheme::Https => "https".to_owned(),
        Scheme::Other(name) => name,
    });
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
    let mut text = format!("method: {method}\npath: {}\n", or_none(request.get_path_with_query()));
    text += &format!("authority: {}\nscheme: {}\n", or_none(request.get_authority()), or_none(scheme));
    for (name, value) in request.get_headers().copy_all() {
        text += &format!("{name}: {}\n", String::from_utf8_lossy(&value));
    }
    text
}

async fn sleep(ms: u64) {
    monotonic_clock::wait_for(ms * 1_000_000).await;
}

fn spin() -> ! {
    loop {
        hint::black_box(());
    }
}
