//! How much a request may be.

use std::time::Duration;

use greenroom::{
    http::{HEAD_BYTES_MAX, HEADERS_MAX, Options, STREAMS_MAX, URI_BYTES_MAX},
    registry::http::EndpointSpec,
};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{body, clients, endpoint, plain, router, serve, serve_with, server};

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused() {
    let stage = serve("http-heads", plain()).await;
    let large = "x".repeat(HEAD_BYTES_MAX);
    let answer = stage.raw(format!("GET /hello HTTP/1.1\r\nhost: x\r\nlarge: {large}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many = "x: y\r\n".repeat(HEADERS_MAX + 1);
    let answer = stage.raw(format!("GET /hello HTTP/1.1\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let enough = "x: y\r\n".repeat(HEADERS_MAX - 2);
    let answer = stage.raw(format!("GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{enough}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    let [_, http2] = clients();
    let with = |headers: Vec<(String, String)>| {
        let request = http2.get(stage.url("/hello"));
        headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)).send()
    };
    let named = |count: usize| (0..count).map(|number| (format!("x-{number}"), "y".to_owned())).collect();
    assert_eq!(with(vec![("large".to_owned(), large)]).await.unwrap().status(), 431);
    assert_eq!(with(named(HEADERS_MAX + 1)).await.unwrap().status(), 431);
    assert_eq!(with(named(HEADERS_MAX / 2)).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_holds_no_more_of_bodies_than_it_may() {
    let mut spec = plain();
    for endpoint in &mut spec.routers[0].endpoints {
        endpoint.max_body_bytes = 10_000;
    }
    for (body_bytes, status) in [(0, 503), (2_000_000, 200)] {
        let options = Options { body_bytes, ..Options::default() };
        let stage = serve_with(&format!("http-room-{body_bytes}"), spec.clone(), &options).await;
        let [client, _] = clients();
        // Numbers take more as arguments than as text.
        let post = |path: &str| client.post(stage.url(path)).body(format!("[{}0]", "0,".repeat(4_900))).send();
        let held = tokio::spawn(post("/wait"));
        stage.backstage.began(1).await;
        let second = post("/echo").await.unwrap();
        assert_eq!(second.status().as_u16(), status);
        if status == 503 {
            assert_eq!(second.headers()["retry-after"], "1");
            assert_eq!(body(second).await["detail"], "the server holds as many bytes of requests as it may");
        }
        stage.backstage.end.add_permits(1);
        assert_eq!(held.await.unwrap().unwrap().status(), 200);
        // The room is given back when the response is over, which its client may know first.
        let again = async {
            while post("/echo").await.unwrap().status() != 200 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(super::PATIENCE, again).await.expect("there is room again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_too_long_is_refused() {
    let stage = serve("http-uris", plain()).await;
    let query = |length: usize| format!("/hello?{}", "q".repeat(length - "/hello?".len()));
    for client in clients() {
        assert_eq!(client.get(stage.url(&query(URI_BYTES_MAX))).send().await.unwrap().status(), 200);
        let refused = client.get(stage.url(&query(URI_BYTES_MAX + 1))).send().await.unwrap();
        assert_eq!(refused.status(), 414);
        let detail = body(refused).await["detail"].as_str().unwrap().to_owned();
        assert_eq!(detail, format!("path and query have {} bytes; {URI_BYTES_MAX} is the most", URI_BYTES_MAX + 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_refused_when_its_length_is_told_and_when_it_is_not() {
    let small = EndpointSpec { max_body_bytes: 5, ..endpoint("POST", "/echo", "echo") };
    let stage = serve("http-bodies", server(vec![router("", vec![small])])).await;
    for client in clients() {
        let fits = client.post(stage.url("/echo")).body("[123]").send().await.unwrap();
        assert_eq!(body(fits).await["args"], json!([123]));
        let refused = client.post(stage.url("/echo")).body("[1234]").send().await.unwrap();
        assert_eq!(refused.status(), 413);
        assert_eq!(body(refused).await["detail"], "the request's body is larger than 5 bytes");
        let pieces = futures::stream::iter(["[1", "23", "4]"].map(Ok::<_, std::io::Error>));
        let streamed = client.post(stage.url("/echo")).body(reqwest::Body::wrap_stream(pieces)).send().await.unwrap();
        assert_eq!(streamed.status(), 413);
    }
    // What is told is not waited for.
    let answer = stage.raw("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // Nor asked for.
    let answer = stage.raw("POST /echo HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 6\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_a_server_has_wait_until_one_is_over() {
    let options = Options { connections: 2, ..Options::default() };
    let stage = serve_with("http-connections", plain(), &options).await;
    let mut first = stage.connect().await;
    let mut second = stage.connect().await;
    for raw in [&mut first, &mut second] {
        raw.send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert_eq!(raw.response().await.1, "\"hello\"");
    }
    let mut third = stage.connect().await;
    third.send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let early = tokio::time::timeout(Duration::from_millis(300), third.0.readable()).await;
    assert!(early.is_err(), "it was accepted");
    drop(first);
    assert_eq!(third.response().await.1, "\"hello\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_http_2_hear_how_much_they_may_ask_for() {
    let stage = serve("http-settings", plain()).await;
    let mut raw = stage.connect().await;
    raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let mut head = [0; 9];
    raw.0.read_exact(&mut head).await.unwrap();
    assert_eq!(head[3], 4, "the first frame is SETTINGS");
    let mut settings = vec![0; usize::from(head[2])];
    raw.0.read_exact(&mut settings).await.unwrap();
    let value = |id: u8| {
        settings.chunks(6).find(|setting| setting[1] == id).map(|it| u32::from_be_bytes(it[2..].try_into().unwrap()))
    };
    // MAX_CONCURRENT_STREAMS and MAX_HEADER_LIST_SIZE.
    assert_eq!((value(3), value(6)), (Some(STREAMS_MAX), Some(HEAD_BYTES_MAX as u32)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_opens_and_resets_requests_all_the_time_loses_its_connection() {
    let stage = serve("http-rapid-reset", plain()).await;
    let mut raw = stage.connect().await;
    let mut all = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in (1..5000_u32).step_by(2) {
        // `GET /`, and RST_STREAM with the reason CANCEL.
        all.extend([0, 0, 3, 1, 5]);
        all.extend(stream.to_be_bytes());
        all.extend([0x82, 0x86, 0x84, 0, 0, 4, 3, 0]);
        all.extend(stream.to_be_bytes());
        all.extend([0, 0, 0, 8]);
    }
    // It is closed before all is written, or after.
    drop(raw.0.write_all(&all).await);
    let closed = async {
        let mut piece = [0; 4096];
        while let Ok(1..) = raw.0.read(&mut piece).await {}
    };
    tokio::time::timeout(super::PATIENCE, closed).await.expect("the connection is closed");
    assert_eq!(clients()[1].get(stage.url("/hello")).send().await.unwrap().status(), 200);
}
