//! Static files through sockets, beside endpoints.

use std::{fs, path::Path};

use greenroom::registry::http::{ServerSpec, StaticSpec};
use tokio::{io::AsyncReadExt, time::timeout};

use super::{PATIENCE, Stage, client, clients, endpoint, id, router, serve, server};

/// Files below `path`.
fn files(name: &str, path: &str, directory: &Path) -> StaticSpec {
    StaticSpec {
        id: id(name),
        path: path.to_owned(),
        directory: directory.to_owned(),
        index: Some(StaticSpec::INDEX.to_owned()),
        spa: false,
        cache: None,
    }
}

/// A site with files at `/` and below `/docs`, and endpoints.
async fn site(name: &str, dir: &Path) -> Stage {
    for (path, text) in [
        ("site/index.html", "home"),
        ("site/api/file", "file"),
        ("site/docs/hidden", "hidden"),
        ("site/docsy", "docsy"),
        ("docs/index.html", "docs"),
        ("docs/a.txt", "0123456789"),
        ("docs/sub/index.html", "sub"),
    ] {
        fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
        fs::write(dir.join(path), text).unwrap();
    }
    let endpoints = vec![endpoint("GET", "/hello", "hello"), endpoint("POST", "/file", "upload")];
    let statics = vec![files("site", "/", &dir.join("site")), files("docs", "/docs", &dir.join("docs"))];
    serve(name, ServerSpec { statics, ..server(vec![router("/api", endpoints)]) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_mount_has_the_file_and_endpoints_come_first() {
    let dir = tempfile::tempdir().unwrap();
    let stage = site("http-static-mounts", dir.path()).await;
    for client in clients() {
        for (method, path, status, text) in [
            ("GET", "/", 200, "home"),
            ("GET", "/docs/", 200, "docs"),
            ("GET", "/docs/a.txt", 200, "0123456789"),
            ("GET", "/docs/sub", 200, "sub"),
            ("GET", "/docs", 200, "docs"),
            ("GET", "/docsy", 200, "docsy"),
            ("GET", "/api/hello", 200, "\"hello\""),
            ("POST", "/api/file", 200, "\"upload\""),
            ("GET", "/api/file", 200, "file"),
        ] {
            let response = client.request(method.parse().unwrap(), stage.url(path)).send().await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{method} {path}");
            assert_eq!(response.text().await.unwrap(), text, "{method} {path}");
        }
        for path in ["/docs/hidden", "/nowhere", "/docs%2fa.txt", "/docs/..%2fsite%2findex.html", "/docs/a.txt%00"] {
            let response = client.get(stage.url(path)).send().await.unwrap();
            assert_eq!(response.status(), 404, "{path}");
            assert_eq!(response.headers()["content-type"], "application/problem+json");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_options_and_other_methods_are_answered_for_files() {
    let dir = tempfile::tempdir().unwrap();
    let stage = site("http-static-methods", dir.path()).await;
    for client in clients() {
        let ask = async |method: &str| {
            client.request(method.parse().unwrap(), stage.url("/docs/a.txt")).send().await.unwrap()
        };
        let head = ask("HEAD").await;
        assert_eq!((head.status().as_u16(), &head.headers()["content-length"]), (200, &"10".parse().unwrap()));
        assert_eq!(head.text().await.unwrap(), "");
        let options = ask("OPTIONS").await;
        assert_eq!(
            (options.status().as_u16(), &options.headers()["allow"]),
            (204, &"GET, HEAD, OPTIONS".parse().unwrap())
        );
        let put = ask("PUT").await;
        assert_eq!((put.status().as_u16(), &put.headers()["allow"]), (405, &"GET, HEAD, OPTIONS".parse().unwrap()));
    }
    // The connection is good for more, whatever was asked on it.
    let mut raw = stage.connect().await;
    for _ in 0..2 {
        raw.send("HEAD /docs/a.txt HTTP/1.1\r\nhost: x\r\n\r\nGET /docs/a.txt HTTP/1.1\r\nhost: x\r\nrange: bytes=3-4\r\n\r\n").await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(raw.0.read_u8().await.unwrap());
        }
        let (head, body) = raw.response().await;
        assert!(head.starts_with("http/1.1 206") && head.contains("content-range: bytes 3-4/10"), "{head}");
        assert_eq!(body, "34");
    }
    // No path that clients do not normalise leads anywhere.
    for path in ["/../secret", "/docs/../../secret", "//docs/a.txt", "/docs//a.txt"] {
        let answer = stage.raw(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_has_a_file_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let stage = site("http-static-cached", dir.path()).await;
    for client in clients() {
        let first = client.get(stage.url("/docs/a.txt")).send().await.unwrap();
        let etag = first.headers()["etag"].clone();
        let again = client.get(stage.url("/docs/a.txt")).header("if-none-match", &etag).send().await.unwrap();
        assert_eq!((again.status().as_u16(), again.headers().get("etag")), (304, Some(&etag)));
    }
}

#[test]
fn slow_clients_of_large_files_hold_no_threads() {
    const BYTES: usize = 32 << 20;
    let threads = tokio::runtime::Builder::new_multi_thread().max_blocking_threads(4).enable_all().build().unwrap();
    threads.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let stage = site("http-static-slow", dir.path()).await;
        fs::write(dir.path().join("docs/large"), vec![b'x'; BYTES]).unwrap();
        let mut slow = Vec::new();
        for _ in 0..16 {
            let mut raw = stage.connect().await;
            raw.send("GET /docs/large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
            // The answer has begun, and is not taken.
            raw.0.read_u8().await.unwrap();
            slow.push(raw);
        }
        let whole = async { client().get(stage.url("/docs/large")).send().await.unwrap().bytes().await.unwrap() };
        let whole = timeout(PATIENCE, whole).await.expect("threads are free");
        assert_eq!(whole.len(), BYTES);
    });
}
