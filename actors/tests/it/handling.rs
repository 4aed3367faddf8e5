//! Components that handle HTTP requests themselves: bodies stream both ways, and whatever ends a call ends its response.

use std::{convert::Infallible, path::Path, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use greenroom_actors::{
    CallOptions, ErrorKind, HttpBody, ResponseBody, Runtime,
    spec::{
        Capabilities, Capability, Code, FunctionId, FunctionSpec, Limits, PoolSpec, Source, Transport, WasiSpec,
        WasmSpec,
    },
    wasm::{Engine, EngineOptions},
};
use http::{HeaderMap, Method, Request, Response, StatusCode, uri::Scheme};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, Limited, StreamBody};

use crate::tree::{lab, metrics, reusing, until, within};

/// What holds for components of WASI 0.2 and for those of 0.3.
macro_rules! of_both {
    ($($test:ident)*) => {
        mod wasi_0_2 {
            $(#[tokio::test] async fn $test() { super::$test("relay").await })*
        }
        mod wasi_0_3 {
            $(#[tokio::test] async fn $test() { super::$test("relay3").await })*
        }
    };
}

of_both! {
    a_guest_sees_the_request_as_it_came
    bodies_stream_both_ways_and_trailers_follow_them
    nobody_reads_or_writes_ahead_of_the_slower_side
    a_client_that_goes_away_cancels_the_call_and_frees_the_instance
    a_client_that_has_the_whole_response_cancels_nothing
    a_guest_that_fails_before_its_response_fails_the_call
    a_guest_that_fails_after_its_response_began_breaks_it_off
    deadlines_end_handlers_that_sleep_or_compute
    a_request_that_breaks_off_is_an_error_to_the_guest
    an_instance_serves_as_many_requests_as_its_pool_says
    memory_of_handlers_is_bounded
    a_handler_needs_its_transport_and_has_its_types_by_it
}

/// The function `name` of a guest whose paths are what a host has to bear. Its namespace is the guest's name.
pub fn relay(guest: &str, name: &str, pool: PoolSpec) -> FunctionSpec {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests");
    let code = WasmSpec {
        source: Source::File { directory: folder, path: format!("{guest}.wasm") },
        sha256: None,
        wit: None,
        method: "handle".to_owned(),
        imports: [Capability::Clocks, Capability::Cli, Capability::Random].into_iter().collect(),
        wasi: WasiSpec::default(),
        reuse: 1,
        transport: Transport::WasiHttp,
    };
    FunctionSpec { id: FunctionId::new(guest, name).unwrap(), code: Code::Wasm(code), pool, limits: Limits::default() }
}

/// A runtime with one function, and the function's id.
pub async fn start(spec: FunctionSpec) -> (Runtime, String) {
    metrics();
    let id = spec.id.to_string();
    let runtime = Runtime::builder().name(format!("handling-{id}").replace(':', "-")).function(spec).start().await;
    (runtime.unwrap(), id)
}

fn never<E>(error: Infallible) -> E {
    match error {}
}

pub fn get(path: &str) -> Request<HttpBody> {
    Request::get(path).header("host", "example.com").body(Empty::new().map_err(never).boxed_unsync()).unwrap()
}

pub fn post(path: &str, body: HttpBody) -> Request<HttpBody> {
    Request::post(path).header("host", "example.com").body(body).unwrap()
}

pub fn full(bytes: impl Into<Bytes>) -> HttpBody {
    Full::new(bytes.into()).map_err(never).boxed_unsync()
}

pub async fn ask(
    runtime: &Runtime,
    id: &str,
    request: Request<HttpBody>,
) -> Result<Response<ResponseBody>, greenroom_actors::CallError> {
    within_reason(runtime.handle(id, Scheme::HTTP, request, CallOptions::default())).await
}

/// Fails the test when something never ends.
async fn within_reason<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it came to no end")
}

pub async fn text(response: Response<ResponseBody>) -> String {
    let body = within_reason(response.into_body().collect()).await.unwrap().to_bytes();
    String::from_utf8(body.into()).unwrap()
}

/// Reads a body that breaks off: what came before, and why.
async fn broken(response: Response<ResponseBody>) -> (String, String) {
    let (mut body, mut before) = (response.into_body(), Vec::new());
    loop {
        match within_reason(body.frame()).await.unwrap_or_else(|| panic!("a clean end after {before:?}")) {
            Ok(frame) => before.extend_from_slice(&frame.into_data().unwrap()),
            Err(error) => return (String::from_utf8(before).unwrap(), error.to_string()),
        }
    }
}

async fn a_guest_sees_the_request_as_it_came(guest: &str) {
    let (runtime, id) = start(relay(guest, "request", PoolSpec::inline())).await;
    let id = &*id;
    assert!(runtime.handles_http(id).unwrap());
    let request = Request::builder()
        .method("PROPFIND")
        .uri("/headers?a=b%20c")
        .header("host", "example.com:81")
        .header("x-one", "1")
        .body(full(""))
        .unwrap();
    let response = runtime.handle(id, Scheme::HTTPS, request, CallOptions::default()).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &"text/plain".parse().unwrap())
    );
    let text = text(response).await;
    let seen: Vec<_> = text.lines().take(4).collect();
    assert_eq!(seen, ["method: PROPFIND", "path: /headers?a=b%20c", "authority: example.com:81", "scheme: https"]);
    assert!(text.contains("x-one: 1\n"), "{text}");
    // HTTP/1.0 has no Host.
    let request = Request::get("/headers").body(full("")).unwrap();
    let response = ask(&runtime, id, request).await.unwrap();
    assert!(self::text(response).await.contains("authority: localhost\n"));
    assert_eq!(ask(&runtime, id, get("/status?code=418")).await.unwrap().status(), StatusCode::IM_A_TEAPOT);
}

async fn bodies_stream_both_ways_and_trailers_follow_them(guest: &str) {
    let (runtime, id) = start(relay(guest, "echo", PoolSpec::inline())).await;
    echoes(&runtime, &id, "/echo", async {}).await;
}

/// Fails when what is posted does not come back piece by piece, with its trailers. It is sent when the response has begun
/// and `ready` is there.
pub async fn echoes(runtime: &Runtime, id: &str, path: &str, ready: impl Future<Output = ()>) {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Frame<Bytes>>(1);
    let frames = stream::unfold(receiver, |mut frames| async { Some((Ok(frames.recv().await?), frames)) });
    let request = post(path, StreamBody::new(frames).boxed_unsync());
    let mut body = ask(runtime, id, request).await.unwrap().into_body();
    ready.await;
    for word in ["one", "two", "three"] {
        // Each piece is waited for before it is sent, and comes back before the next.
        let sent = sender.send(Frame::data(Bytes::from_static(word.as_bytes())));
        let (frame, sent) = futures::future::join(within_reason(body.frame()), sent).await;
        sent.unwrap();
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), word);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "6".parse().unwrap());
    sender.send(Frame::trailers(trailers.clone())).await.unwrap();
    drop(sender);
    let frame = within_reason(body.frame()).await.unwrap().unwrap();
    assert_eq!(frame.into_trailers().unwrap(), trailers);
    assert!(within_reason(body.frame()).await.is_none());
}

async fn nobody_reads_or_writes_ahead_of_the_slower_side(guest: &str) {
    let (runtime, id) = start(relay(guest, "pressure", PoolSpec::inline())).await;
    let id = &*id;
    let (count, pulled) = (1024, std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0)));
    let counter = pulled.clone();
    let frames = stream::iter(0..count).map(move |_| {
        counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(Frame::data(Bytes::from(vec![b'x'; 64 << 10])))
    });
    let response = ask(&runtime, id, post("/echo", StreamBody::new(frames).boxed_unsync())).await.unwrap();
    let pulled_now = || pulled.load(std::sync::atomic::Ordering::SeqCst);
    // The guest has come as far as it can when it wants no more for a while; however slow it is, it is bounded.
    until("the guest has begun", || pulled_now() > 0).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
        assert!(pulled_now() < 16, "{} pieces were read for a client that takes nothing", pulled_now());
    }
    let mut body = response.into_body();
    let mut bytes = 0;
    while let Some(frame) = within_reason(body.frame()).await {
        bytes += frame.unwrap().into_data().unwrap().len();
        assert!(pulled_now() * (64 << 10) < bytes + (16 * (64 << 10)), "far ahead of the client");
    }
    assert_eq!(bytes, count * (64 << 10));
}

#[tokio::test]
async fn a_guest_that_writes_a_few_words_in_pieces_waits_for_nobody() {
    let (runtime, id) = start(relay("hello_rust", "pieces", PoolSpec::inline())).await;
    let response = ask(&runtime, &id, get("/")).await.unwrap();
    let answered = || metrics().value("greenroom_calls_total", &[("function", &id), ("outcome", "ok")]);
    until("it has written all, and nobody has read", || answered() == 1.0).await;
    assert_eq!(text(response).await, "Hello from Rust: /, 0 bytes\n");
}

async fn a_client_that_goes_away_cancels_the_call_and_frees_the_instance(guest: &str) {
    let (runtime, id) = start(relay(guest, "gone", PoolSpec::lazy(4))).await;
    let id = &*id;
    let room = runtime.instances_available();
    let canceled = || metrics().value("greenroom_worker_ends_total", &[("function", id), ("reason", "canceled")]);
    // Before the response, while it sleeps, and while it computes.
    for path in ["/sleep?ms=3600000", "/spin"] {
        let before = canceled();
        let asking = tokio::spawn({
            let (runtime, id) = (runtime.clone(), id.to_owned());
            async move { ask(&runtime, &id, get(path)).await.map(drop) }
        });
        until("it runs", || metrics().instances(id, "running") == 1.0).await;
        asking.abort();
        until("it is cancelled", || canceled() == before + 1.0).await;
    }
    // In the middle of the response.
    let before = canceled();
    let mut body = ask(&runtime, id, get("/loop-head")).await.unwrap().into_body();
    within_reason(body.frame()).await.unwrap().unwrap();
    drop(body);
    until("it is cancelled", || canceled() == before + 1.0).await;
    // This one may see for itself that nobody reads, and end well.
    let mut body = ask(&runtime, id, get("/stream?bytes=1000000000000")).await.unwrap().into_body();
    within_reason(body.frame()).await.unwrap().unwrap();
    drop(body);
    until("no instance is left", || runtime.instances_available() == room).await;
}

async fn a_client_that_has_the_whole_response_cancels_nothing(guest: &str) {
    let (runtime, id) = start(relay(guest, "whole", PoolSpec::inline())).await;
    let id = &*id;
    let answered = || metrics().value("greenroom_calls_total", &[("function", id), ("outcome", "ok")]);
    // As many bytes as were announced are all that servers ask for.
    let mut body = ask(&runtime, id, get("/stream?bytes=5&length=5")).await.unwrap().into_body();
    assert_eq!(within_reason(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "xxxxx");
    drop(body);
    until("it ended well", || answered() == 1.0).await;
    // The work after the response is the guest's own business.
    let mut body = ask(&runtime, id, get("/late?ms=100")).await.unwrap().into_body();
    assert_eq!(within_reason(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "in time\n");
    assert!(within_reason(body.frame()).await.is_none(), "the end waits for nothing");
    assert_eq!(answered(), 1.0, "the guest sleeps on");
    drop(body);
    until("it ended well", || answered() == 2.0).await;
    // Nobody reads the body of a response to HEAD.
    let request =
        Request::builder().method(Method::HEAD).uri("/late?ms=50").header("host", "a").body(full("")).unwrap();
    drop(ask(&runtime, id, request).await.unwrap());
    until("it ended well", || answered() == 3.0).await;
    assert_eq!(metrics().value("greenroom_worker_ends_total", &[("function", id), ("reason", "canceled")]), 0.0);
}

async fn a_guest_that_fails_before_its_response_fails_the_call(guest: &str) {
    let (runtime, id) = start(relay(guest, "fails", PoolSpec::inline())).await;
    let id = &*id;
    for (path, words) in [
        ("/trap", "(`unreachable`)"),
        (
            "/error",
            "answered with an error instead of a response: ErrorCode::InternalError(Some(\"an error on purpose\"))",
        ),
    ] {
        let error = ask(&runtime, id, get(path)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{path}");
        assert!(error.message().contains(words), "{path}: {error}");
        assert_eq!(error.backtrace().is_some(), path == "/trap", "{path}");
    }
    assert_eq!(ask(&runtime, id, get("/headers")).await.unwrap().status(), StatusCode::OK);
}

async fn a_guest_that_fails_after_its_response_began_breaks_it_off(guest: &str) {
    let (runtime, id) = start(within(relay(guest, "breaks", PoolSpec::lazy(2)), 2_000)).await;
    let id = &*id;
    for (path, before, why) in [
        ("/trap-after", "before the trap\n", "(`unreachable`)"),
        ("/loop-head", "before the loop\n", "the call ran longer than limits.max_execution_ms (2000 ms)"),
        ("/abandon", "before giving up\n", ""),
        ("/stream?bytes=3&length=7", "xxx", ""),
    ] {
        let (text, error) = broken(ask(&runtime, id, get(path)).await.unwrap()).await;
        assert_eq!(text, before, "{path}");
        assert!(error.contains(why), "{path}: {error}");
    }
}

async fn deadlines_end_handlers_that_sleep_or_compute(guest: &str) {
    let (runtime, id) = start(within(relay(guest, "deadline", PoolSpec::lazy(2)), 50)).await;
    let id = &*id;
    for path in ["/sleep?ms=3600000", "/spin"] {
        let error = ask(&runtime, id, get(path)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{path}: {error}");
    }
}

async fn a_request_that_breaks_off_is_an_error_to_the_guest(guest: &str) {
    let (runtime, id) = start(relay(guest, "body", PoolSpec::inline())).await;
    let id = &*id;
    let whole = ask(&runtime, id, post("/count", full(vec![0; 100_000]))).await.unwrap();
    assert_eq!(text(whole).await, "100000\n");
    let too_long = Limited::new(full(vec![0; 100_000]), 99_999).boxed_unsync();
    let response = ask(&runtime, id, post("/count", too_long)).await.unwrap();
    assert_eq!((response.status(), &*text(response).await), (StatusCode::BAD_REQUEST, "the body broke off\n"));
    let frames = stream::iter([Ok(Frame::data(Bytes::from_static(b"some"))), Err("the client is gone".into())]);
    let response = ask(&runtime, id, post("/count", StreamBody::new(frames).boxed_unsync())).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

async fn memory_of_handlers_is_bounded(guest: &str) {
    let (runtime, id) = start(relay(guest, "memory", PoolSpec::inline())).await;
    assert_eq!(text(ask(&runtime, &id, get("/grow?mb=200")).await.unwrap()).await, "grown\n");
    assert_eq!(text(ask(&runtime, &id, get("/grow?mb=256")).await.unwrap()).await, "refused\n");
}

async fn an_instance_serves_as_many_requests_as_its_pool_says(guest: &str) {
    let (runtime, id) = start(reusing(relay(guest, "reuse", PoolSpec::fixed(1, 1)), 3)).await;
    let id = &*id;
    let made = || metrics().value("greenroom_instances_made_total", &[("function", id)]);
    until("the first is made", || made() == 1.0).await;
    for _ in 0..3 {
        text(ask(&runtime, id, get("/headers")).await.unwrap()).await;
    }
    until("the second is made", || made() == 2.0).await;
    // One that failed serves no more.
    ask(&runtime, id, get("/trap")).await.unwrap_err();
    until("the third is made", || made() == 3.0).await;
}

#[tokio::test]
async fn a_guest_that_ends_well_without_ending_its_body_has_written_all_of_it() {
    // The instance that holds the body lives on.
    let (runtime, id) = start(reusing(relay("relay", "leave", PoolSpec::fixed(1, 1)), 2)).await;
    assert_eq!(text(ask(&runtime, &id, get("/leave")).await.unwrap()).await, "before leaving\n");
}

#[tokio::test]
async fn requests_and_arguments_are_not_taken_for_each_other() {
    let runtime = Runtime::builder()
        .name("handling-kinds")
        .host("test:lab/gate", |linker| linker.func_wrap("pass", |_, (_,): (u32,)| Ok(())))
        .function(relay("relay", "handler", PoolSpec::inline()))
        .function(lab("h:add", "add", PoolSpec::inline()))
        .start()
        .await
        .unwrap();
    let error = ask(&runtime, "h:add", get("/")).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Invalid, "this function takes arguments; it does not handle HTTP requests")
    );
    let error = runtime.call::<()>("relay:handler", ()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("reach it through an endpoint"), "{error}");
    assert!(!runtime.handles_http("h:add").unwrap());
    assert_eq!(ask(&runtime, "h:nobody", get("/")).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn a_handler_needs_its_transport_and_has_its_types_by_it(guest: &str) {
    let engine = Engine::new(EngineOptions { instances_max: 4, ..EngineOptions::default() }).unwrap();
    let prepare = |transport, imports: Capabilities| {
        let FunctionSpec { id, code: Code::Wasm(mut spec), limits, .. } = relay(guest, "f", PoolSpec::inline()) else {
            panic!("it is WebAssembly")
        };
        (spec.transport, spec.imports) = (transport, imports);
        engine.prepare(&id, &spec, &limits)
    };
    let errors = prepare(Transport::Payload, Capabilities::NONE).unwrap_err();
    assert_eq!((errors.len(), errors[0].field), (1, "method"));
    assert_eq!(errors[0].notes, ["to have it handle HTTP requests, write `transport: wasi-http`"]);
    let prepared = prepare(Transport::WasiHttp, Capabilities::NONE).unwrap();
    let missing = &prepared.warnings[0].message;
    assert!(missing.contains("wasi:clocks") && !missing.contains("wasi:http"), "{missing}");
    let all = [Capability::Clocks, Capability::Cli, Capability::Random].into_iter().collect();
    assert!(prepare(Transport::WasiHttp, all).unwrap().warnings.is_empty());
}
