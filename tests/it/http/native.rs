//! Components that handle requests themselves, behind sockets.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use greenroom::{
    Runtime,
    http::{Options, Servers},
    spec::{Capability, Code, FunctionSpec, Limits, PoolSpec, Source, Transport, WasiSpec, WasmSpec},
};
use reqwest::{Client, Method, Response, StatusCode};

use super::{PATIENCE, Stage, clients, endpoint, id, router, server};

/// A guest of the tests behind every path, with all that it asks for but a network.
async fn serve(name: &str, guest: &str, change: impl FnOnce(&mut FunctionSpec)) -> Stage {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("actors/tests/guests");
    let all = [Capability::Clocks, Capability::Cli, Capability::Io, Capability::Random, Capability::Filesystem];
    let code = WasmSpec {
        source: Source::File { directory: folder, path: format!("{guest}.wasm") },
        sha256: None,
        wit: None,
        method: "handle".to_owned(),
        imports: all.into_iter().collect(),
        wasi: WasiSpec::default(),
        reuse: 1,
        transport: Transport::WasiHttp,
    };
    let mut spec =
        FunctionSpec { id: id("guest"), code: Code::Wasm(code), pool: PoolSpec::lazy(8), limits: Limits::default() };
    change(&mut spec);
    let runtime = Runtime::builder().name(name).function(spec).start().await.unwrap();
    let mut route = endpoint("*", "/{rest...}", "guest");
    (route.transport, route.max_body_bytes) = (Transport::WasiHttp, 64 << 20);
    let servers = Servers::bind(&runtime, &[server(vec![router("", vec![route])])], &Options::default()).await.unwrap();
    let address = servers.addresses()[0].1;
    Stage { serving: servers.serve(), runtime, address, backstage: super::Backstage::new() }
}

async fn get(client: &Client, stage: &Stage, path: &str) -> Response {
    client.get(stage.url(path)).send().await.unwrap()
}

/// Waits until no instance of any function is left.
async fn until_free(stage: &Stage, room: usize) {
    let free = async {
        while stage.runtime.instances_available() < room {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, free).await.expect("the instances are gone");
}

/// A body of so many bytes that comes in pieces.
fn pieces(bytes: usize) -> reqwest::Body {
    const PIECE: usize = 64 << 10;
    let lengths = (0..bytes.div_ceil(PIECE)).map(move |index| PIECE.min(bytes - index * PIECE));
    let piece = |length| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; length]));
    reqwest::Body::wrap_stream(futures::stream::iter(lengths).map(piece))
}

#[tokio::test(flavor = "multi_thread")]
async fn components_of_every_make_answer() {
    for (guest, path, expected) in [
        ("hello", "/", "Hello, World!\n"),
        ("hello_rust", "/", "Hello from Rust: /, 0 bytes\n"),
        ("spin", "/", "Hello"),
        ("relay", "/status?code=204", ""),
    ] {
        let stage = serve(&format!("native-{guest}"), guest, |_| {}).await;
        for client in clients() {
            let response = get(&client, &stage, path).await;
            assert!(response.status().is_success(), "{guest}: {}", response.status());
            let text = response.text().await.unwrap();
            assert!(text.contains(expected.trim_end()), "{guest}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_sees_what_the_client_asked() {
    let stage = serve("native-request", "relay", |_| {}).await;
    for client in clients() {
        let request = client.request(Method::from_bytes(b"PROPFIND").unwrap(), stage.url("/headers?a=b%20c"));
        let text = request.header("x-one", "1").send().await.unwrap().text().await.unwrap();
        let authority = stage.address.to_string();
        for line in [
            "method: PROPFIND",
            "path: /headers?a=b%20c",
            "scheme: http",
            "x-one: 1",
            &format!("authority: {authority}"),
        ] {
            assert!(text.lines().any(|found| found == line), "`{line}` is not in {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_told_the_id_of_its_request_and_all_cookies_in_one_header() {
    let stage = serve("native-headers", "relay", |_| {}).await;
    for client in clients() {
        let request = client.get(stage.url("/headers")).header("x-request-id", "not visible");
        let response = request.header("cookie", "a=1").header("cookie", "b=2").send().await.unwrap();
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        let text = response.text().await.unwrap();
        let of = |name: &str| text.lines().filter(|line| line.starts_with(name)).collect::<Vec<_>>();
        assert_eq!(of("cookie: "), ["cookie: a=1; b=2"]);
        assert_eq!(of("x-request-id: "), [format!("x-request-id: {id}")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_none_is_refused() {
    let stage = serve("native-host", "relay", |_| {}).await;
    for (host, status) in [("a.b:80", "200"), ("", "200"), ("a b/c", "400"), ("u:p@h", "400"), ("a/b", "400")] {
        let answer = stage.raw(format!("GET /headers HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "`{host}`: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_through_a_guest_both_ways_at_once() {
    let stage = serve("native-echo", "relay", |_| {}).await;
    for client in clients() {
        let (sender, receiver) = futures::channel::mpsc::channel::<Result<Bytes, std::io::Error>>(0);
        let mut sender = sender;
        let asking = client.post(stage.url("/echo")).body(reqwest::Body::wrap_stream(receiver)).send();
        let mut response = asking.await.unwrap();
        for word in ["one", "two", "three"] {
            futures::future::poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
            sender.start_send(Ok(Bytes::from_static(word.as_bytes()))).unwrap();
            assert_eq!(response.chunk().await.unwrap().unwrap(), word, "it comes back before more is sent");
        }
        drop(sender);
        assert_eq!(response.bytes().await.unwrap(), "");
        let many = 10_000_000;
        let echoed = client.post(stage.url("/echo")).body(pieces(many)).send().await.unwrap().bytes().await.unwrap();
        assert_eq!(echoed.len(), many);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_go_through_a_guest() {
    let stage = serve("native-trailers", "relay", |_| {}).await;
    let request = "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\nte: trailers\r\ntrailer: x-sum\r\n\
                   transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n";
    let answer = stage.raw(request).await;
    assert!(answer.ends_with("3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_fails_before_its_response_is_a_problem() {
    let stage = serve("native-fails", "relay", |spec| spec.limits.max_execution = Some(Duration::from_secs(2))).await;
    for client in clients() {
        for (path, status, kind, detail) in [
            ("/trap", 500, "internal", "unreachable"),
            ("/never", 500, "internal", "ended without a response"),
            ("/error", 500, "internal", "an error on purpose"),
            ("/spin", 504, "timeout", "limits.max_execution_ms"),
            ("/sleep?ms=3600000", 504, "timeout", "limits.max_execution_ms"),
        ] {
            let response = get(&client, &stage, path).await;
            assert_eq!(response.status().as_u16(), status, "{path}");
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            let problem = super::body(response).await;
            assert_eq!(problem["kind"], kind, "{path}");
            assert!(problem["detail"].as_str().unwrap().contains(detail), "{path}: {problem}");
            assert_eq!(problem.get("backtrace"), None, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_fails_after_its_response_began_ends_it_with_an_error() {
    let stage = serve("native-breaks", "relay", |spec| spec.limits.max_execution = Some(Duration::from_secs(2))).await;
    for client in clients() {
        for path in ["/trap-after", "/loop-head", "/abandon", "/stream?bytes=3&length=7"] {
            // A stream of HTTP/2 may be reset before its client has looked at the head.
            let ended = match client.get(stage.url(path)).send().await {
                Ok(response) => {
                    assert_eq!(response.status(), StatusCode::OK, "{path}");
                    response.bytes().await
                }
                Err(error) => Err(error),
            };
            assert!(ended.is_err(), "{path}: a clean end after {ended:?}");
        }
    }
    // The last chunk, which is empty, is what a clean end would be.
    let answer = stage.raw("GET /trap-after HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.contains("before the trap") && !answer.ends_with("0\r\n\r\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_frees_the_instance() {
    let stage = serve("native-gone", "relay", |_| {}).await;
    let room = stage.runtime.instances_available();
    for client in clients() {
        for path in ["/sleep?ms=3600000", "/spin", "/stream?bytes=1000000000000"] {
            let asking = tokio::spawn({
                let request = client.get(stage.url(path));
                async move { request.send().await.unwrap().bytes().await.map(drop) }
            });
            let running = async {
                while stage.runtime.instances_available() == room {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(PATIENCE, running).await.expect("it runs");
            asking.abort();
            // A pool of idle workers keeps none: whatever is left would be the call's.
            until_free(&stage, room).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_too_large_is_refused_or_breaks_off() {
    let stage = serve("native-large", "relay", |_| {}).await;
    for client in clients() {
        let counted = client.post(stage.url("/count")).body(pieces(10_000_000)).send().await.unwrap();
        assert_eq!(counted.text().await.unwrap(), "10000000\n");
        let length = (64 << 20) + 1;
        let told = client.post(stage.url("/count")).header("content-length", length).body(pieces(length)).send().await;
        // It may be answered before all of it is sent, which clients may take for a broken connection.
        if let Ok(response) = told {
            assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        }
    }
    let stage = Arc::new(stage);
    let answer = stage.raw(format!("POST /count HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", 1 << 30)).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_is_all_that_head_gets() {
    let stage = serve("native-head", "relay", |_| {}).await;
    for client in clients() {
        let response = client.head(stage.url("/stream?bytes=5&length=5")).send().await.unwrap();
        assert_eq!((response.status(), &response.headers()["content-length"]), (StatusCode::OK, &"5".parse().unwrap()));
        assert_eq!(response.bytes().await.unwrap().len(), 0);
    }
}
