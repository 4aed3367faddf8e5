//! How much a request may be.

use greenroom::{
    http::{HEAD_BYTES_MAX, HEADERS_MAX, URI_BYTES_MAX},
    registry::http::EndpointSpec,
};
use serde_json::json;

use super::{body, clients, endpoint, plain, router, serve, server};

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_large_is_refused() {
    let stage = serve("http-heads", plain()).await;
    let large = "x".repeat(HEAD_BYTES_MAX);
    let answer = stage.raw(format!("GET /hello HTTP/1.1\r\nhost: x\r\nlarge: {large}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let many = "x: y\r\n".repeat(HEADERS_MAX + 1);
    let answer = stage.raw(format!("GET /hello HTTP/1.1\r\n{many}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let enough = "x: y\r\n".repeat(HEADERS_MAX - 1);
    let answer = stage.raw(format!("GET /hello HTTP/1.1\r\nconnection: close\r\n{enough}\r\n")).await;
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
        assert_eq!(body(refused).await["detail"], "the body is larger than 5 bytes");
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
