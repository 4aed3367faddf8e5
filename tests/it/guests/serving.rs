//! The guest in JavaScript that serves HTTP with the event `fetch`.

use bytes::Bytes;
use greenroom::CallOptions;
use http::{Request, uri::Scheme};
use http_body_util::{BodyExt, Full};

use super::{built::built, scripting::start};

#[tokio::test]
async fn the_event_fetch_serves_requests() {
    let Some(root) = built("javascript") else { return };
    let runtime = start("guests-fetch", &root).await;
    let answer = async |path: &str, body: &str| {
        let body = Full::new(Bytes::from(body.to_owned())).map_err(|never| match never {}).boxed_unsync();
        let request = Request::post(path).header("host", "a").header("content-type", "text/x").body(body).unwrap();
        let handled = runtime.handle("javascript:server", Scheme::HTTP, request, CallOptions::default());
        let response = handled.await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap_or_else(|error| panic!("{path}: {error}; {head:?}")).to_bytes();
        let kind = head.headers.get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        (head.status.as_u16(), kind.unwrap_or_default(), String::from_utf8(body.into()).unwrap())
    };
    let text = |status: u16, kind: &str, text: &str| (status, kind.to_owned(), text.to_owned());
    let plain = "text/plain;charset=UTF-8";
    assert_eq!(answer("/a?b", "").await, text(200, plain, "Hello from JavaScript: POST /a\n"));
    assert_eq!(answer("/shout", "some text").await, text(200, plain, "SOME TEXT"));
    let large = "x".repeat(300_000);
    assert_eq!(answer("/echo", &large).await, text(200, "text/x", &large));
    // Nothing catches it: the engine answers.
    assert_eq!(answer("/fail", "").await.0, 500);
}
