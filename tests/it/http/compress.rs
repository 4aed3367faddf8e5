//! `compress`: what clients get compressed, and what is left as it is.

use std::collections::HashMap;

use greenroom::registry::http::{CompressLevel, CompressSpec, Middleware};
use reqwest::{Client, Response};
use serde_json::json;

use super::{
    calls::{Behind, entries},
    clients,
    middleware::{behind, text},
};
use crate::registry::Root;

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_compressed_as_the_client_accepts() {
    let spec = CompressSpec { level: CompressLevel::Default, min_bytes: 1000 };
    let stage = behind("http-compress", vec![Middleware::Compress(spec)]).await;
    for client in clients() {
        let large = async |path: &str, bytes: usize, accept: &str| {
            let request = client.post(stage.url(path)).header("accept-encoding", accept);
            request.body(format!("[{bytes}]")).send().await.unwrap()
        };
        for (accept, encoding) in [
            ("gzip", Some("gzip")),
            ("br", Some("br")),
            ("zstd", Some("zstd")),
            ("gzip;q=0.5, br", Some("br")),
            ("deflate", None),
            ("identity", None),
        ] {
            let response = large("/api/large", 5000, accept).await;
            assert_eq!(text(response.headers(), "content-encoding"), encoding, "{accept}");
            assert_eq!(text(response.headers(), "vary"), Some("accept-encoding"));
            let bytes = response.bytes().await.unwrap();
            assert_eq!(bytes.len() < 1000, encoding.is_some(), "{accept}: {}", bytes.len());
        }
        // With its quotation marks, the shortest that is worth it.
        for (bytes, encoding) in [(997, None), (998, Some("gzip"))] {
            let response = large("/api/large", bytes, "gzip").await;
            assert_eq!(text(response.headers(), "content-encoding"), encoding, "{bytes}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_level_of_compression_is_as_the_router_says() {
    let mut sizes = HashMap::new();
    for level in [CompressLevel::Fastest, CompressLevel::Default, CompressLevel::Best] {
        let spec = CompressSpec { level, min_bytes: 0 };
        let stage = behind(&format!("http-compress-{level:?}"), vec![Middleware::Compress(spec)]).await;
        let request = clients()[0].post(stage.url("/api/large")).header("accept-encoding", "gzip");
        let response = request.body("[1000000]").send().await.unwrap();
        sizes.insert(format!("{level:?}"), response.bytes().await.unwrap().len());
    }
    assert!(sizes["Fastest"] > sizes["Best"], "{sizes:?}");
    assert!(sizes["Fastest"] > sizes["Default"], "{sizes:?}");
}

/// Answers with the response that it is given.
const ANSWER: &str = r#"
kind: function.wat
source: |
  (module
    (memory (export "memory") 1)
    (global $free (mut i32) (i32.const 1024))
    (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
      (global.set $free (i32.add (local.get $at) (local.get $size)))
      (local.get $at))
    (func (export "answer") (param i32 i32 i32 i32 i32 i32) (result i32)
      (i32.store16 (i32.const 0) (local.get 0))
      (i32.store (i32.const 4) (local.get 1))
      (i32.store (i32.const 8) (local.get 2))
      (i32.store8 (i32.const 12) (local.get 3))
      (i32.store (i32.const 16) (local.get 4))
      (i32.store (i32.const 20) (local.get 5))
      (i32.const 0)))
wit: |
  package a:b;
  world w {
    record response { status: u16, headers: list<tuple<string, string>>, body: option<string> }
    export answer: func(answer: response) -> response;
  }
method: answer
transport: wasi-http
"#;

/// `ANSWER` behind a router that compresses whatever may be.
async fn compressing(name: &str) -> Behind {
    let router =
        "  - {name: r, kind: http.router, middleware: [compress], options: {compress.min.length: 0}}\n".to_owned();
    Behind::of(name, Root::with(&(entries([("answer", ANSWER)]) + &router)), false).await
}

async fn answer(
    client: &Client,
    behind: &Behind,
    accept: &str,
    status: u16,
    header: (&str, &str),
    body: Option<String>,
) -> Response {
    let answer = json!({"answer": {"status": status, "headers": [[header.0, header.1]], "body": body}});
    let request = client.post(behind.url("/answer")).header("accept-encoding", accept);
    request.body(answer.to_string()).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_whole_content_is_not_compressed() {
    let behind = compressing("http-compress-statuses").await;
    let content = || Some("x".repeat(3000));
    for client in clients() {
        for (status, body, encoding) in [
            (200, content(), Some("gzip")),
            (404, content(), Some("gzip")),
            (206, content(), None),
            (204, None, None),
            (304, None, None),
        ] {
            let length = body.as_ref().map_or(0, String::len);
            let response = answer(&client, &behind, "gzip", status, ("etag", "\"a\""), body).await;
            assert_eq!(response.status(), status);
            assert_eq!(text(response.headers(), "content-encoding"), encoding, "{status}");
            assert_eq!(text(response.headers(), "etag").unwrap().starts_with("W/"), encoding.is_some(), "{status}");
            if encoding.is_none() {
                assert_eq!(response.bytes().await.unwrap().len(), length, "{status}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_transformed_is_not_compressed() {
    let behind = compressing("http-compress-no-transform").await;
    for client in clients() {
        for (cache, encoding) in [
            ("no-transform", None),
            ("max-age=5, No-Transform", None),
            ("max-age=5", Some("gzip")),
            ("x=no-transform", Some("gzip")),
        ] {
            let content = Some("x".repeat(3000));
            let response = answer(&client, &behind, "gzip", 200, ("cache-control", cache), content).await;
            assert_eq!(text(response.headers(), "content-encoding"), encoding, "{cache}");
            assert_eq!(text(response.headers(), "cache-control"), Some(cache));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_of_what_was_compressed_is_weak() {
    let behind = compressing("http-compress-tags").await;
    for client in clients() {
        for (accept, given, tag) in
            [("gzip", "\"a\"", "W/\"a\""), ("gzip", "W/\"a\"", "W/\"a\""), ("identity", "\"a\"", "\"a\"")]
        {
            let content = Some("x".repeat(3000));
            let response = answer(&client, &behind, accept, 200, ("etag", given), content).await;
            assert_eq!(text(response.headers(), "etag"), Some(tag), "{accept}: {given}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_accept_nothing_get_the_answer_as_it_is() {
    let behind = compressing("http-compress-nothing").await;
    for client in clients() {
        for accept in ["*;q=0", "identity;q=0", "identity;q=0, deflate", "gzip;q=0, *;q=0"] {
            for status in [200, 404, 406] {
                let content = "x".repeat(3000);
                let response = answer(&client, &behind, accept, status, ("x-one", "1"), Some(content.clone())).await;
                assert_eq!(response.status(), status, "{accept}");
                assert_eq!(text(response.headers(), "content-encoding"), None, "{accept}");
                assert_eq!(text(response.headers(), "vary"), Some("accept-encoding"), "{accept}");
                assert_eq!(response.text().await.unwrap(), content);
            }
        }
    }
}
