//! What requests for files are answered, without sockets.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, Request, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;

use super::{body::PIECE_BYTES, *};

/// A directory with files, and how they are served.
struct Site {
    dir: tempfile::TempDir,
    spec: StaticSpec,
}

/// What a client got.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Site {
    /// Files below `public`, and a secret beside it.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let public = dir.path().join("public");
        fs::create_dir_all(public.join("docs/empty")).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        for (name, text) in [
            ("index.html", "home"),
            ("a.txt", "0123456789"),
            ("b.bin", "b"),
            ("docs/index.html", "docs"),
            (".dot", "dot"),
        ] {
            fs::write(public.join(name), text).unwrap();
        }
        let spec = StaticSpec {
            id: "myns:site".parse().unwrap(),
            path: "/".to_owned(),
            directory: public,
            index: Some(StaticSpec::INDEX.to_owned()),
            spa: false,
            cache: None,
        };
        Self { dir, spec }
    }

    fn public(&self) -> &Path {
        &self.spec.directory
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let below = parts.uri.path().to_owned();
        match StaticFiles::new(&self.spec).answer(&parts, &below).await {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let body = body.collect().await.unwrap().to_bytes().to_vec();
                Answer { status: parts.status, headers: parts.headers, body }
            }
            Err(problem) => {
                let headers = problem.headers.into_iter().collect();
                Answer { status: problem.status, headers, body: problem.detail.into_bytes() }
            }
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[]).await
    }
}

#[tokio::test]
async fn a_file_is_sent_with_its_type_and_length() {
    let site = Site::new();
    let answer = site.get("/a.txt").await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "0123456789"));
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(answer.header("content-length"), "10");
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(answer.header("cache-control"), "");
    assert_eq!(site.get("/b.bin").await.header("content-type"), "application/octet-stream");
    assert_eq!(site.get("/.dot").await.text(), "dot");
}

#[tokio::test]
async fn a_head_is_answered_like_a_get_without_its_body() {
    let site = Site::new();
    let get = site.get("/a.txt").await;
    let head = site.ask("HEAD", "/a.txt", &[("range", "bytes=0-1")]).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.headers, get.headers);
}

#[tokio::test]
async fn other_methods_are_told_which_are_allowed() {
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PURGE"] {
        let answer = Site::new().ask(method, "/a.txt", &[]).await;
        assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD, OPTIONS"));
    }
}

#[tokio::test]
async fn a_directory_is_its_index() {
    let mut site = Site::new();
    assert_eq!(site.get("/").await.text(), "home");
    assert_eq!(site.get("/").await.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(site.get("/docs/").await.text(), "docs");
    assert_eq!(site.get("/docs/empty/").await.status, StatusCode::NOT_FOUND);
    site.spec.index = Some("a.txt".to_owned());
    assert_eq!(site.get("/").await.text(), "0123456789");
    site.spec.index = None;
    assert_eq!(site.get("/").await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/docs").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_directory_without_a_slash_redirects_and_keeps_the_query() {
    let site = Site::new();
    let answer = site.get("/docs?a=b").await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::PERMANENT_REDIRECT, "./docs/?a=b"));
    // The mount itself, of a server that gives what is below it.
    let (parts, ()) = Request::builder().uri("/site").body(()).unwrap().into_parts();
    let response = StaticFiles::new(&site.spec).answer(&parts, "").await.unwrap();
    assert_eq!(response.headers()[header::LOCATION], "./site/");
    let (parts, ()) = Request::builder().uri("/site/").body(()).unwrap().into_parts();
    for below in ["", "/"] {
        let response = StaticFiles::new(&site.spec).answer(&parts, below).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_file_is_no_directory() {
    let site = Site::new();
    assert_eq!(site.get("/a.txt/").await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/a.txt/b").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nothing_outside_the_directory_is_reached() {
    let site = Site::new();
    let absolute = site.dir.path().join("secret").display().to_string();
    for path in [
        "/../secret",
        "/docs/../../secret",
        "/%2e%2e/secret",
        "/.%2E/secret",
        "/..%2fsecret",
        "/docs%2f..%2f..%2fsecret",
        "/docs%5C..%5C..%5Csecret",
        "/%2e%2e%2fsecret",
        "/a.txt%00",
        "/a.txt%00.html",
        "//a.txt",
        "/docs//index.html",
        "/./a.txt",
        "/docs%2findex.html",
        "/%ff",
        "/%c0%ae%c0%ae/secret",
        "/missing",
        &absolute,
        &format!("/{absolute}"),
        &format!("/{}", "a/".repeat(2000)),
        &format!("/{}", "a".repeat(5000)),
    ] {
        let answer = site.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    let mut site = site;
    site.spec.spa = true;
    assert_eq!(site.get("/docs%2findex.html").await.status, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/..%2fsecret").await.status, StatusCode::NOT_FOUND);
}

#[cfg(unix)]
#[tokio::test]
async fn symbolic_links_are_followed_inside_and_not_out() {
    use std::os::unix::fs::symlink;
    let site = Site::new();
    symlink("a.txt", site.public().join("in")).unwrap();
    symlink("../secret", site.public().join("out")).unwrap();
    symlink(site.dir.path().join("secret"), site.public().join("absolute")).unwrap();
    symlink("..", site.public().join("up")).unwrap();
    symlink("loop", site.public().join("loop")).unwrap();
    assert_eq!(site.get("/in").await.text(), "0123456789");
    for path in ["/out", "/absolute", "/up/secret", "/up/", "/loop"] {
        assert_eq!(site.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn names_with_backslashes_are_not_served_anywhere() {
    let site = Site::new();
    fs::write(site.public().join("docs\\x"), "x").unwrap();
    assert_eq!(site.get("/docs%5Cx").await.status, StatusCode::NOT_FOUND);
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_no_regular_file_is_not_opened() {
    let site = Site::new();
    let made = std::process::Command::new("mkfifo").arg(site.public().join("pipe")).status().unwrap();
    assert!(made.success());
    let _socket = std::os::unix::net::UnixListener::bind(site.public().join("socket")).unwrap();
    for path in ["/pipe", "/socket"] {
        let answer = tokio::time::timeout(Duration::from_secs(60), site.get(path)).await.unwrap();
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn an_application_of_one_page_gets_its_index_for_paths_without_a_file() {
    let mut site = Site::new();
    assert_eq!(site.get("/users/7").await.status, StatusCode::NOT_FOUND);
    site.spec.spa = true;
    let answer = site.get("/users/7").await;
    assert_eq!((answer.status, answer.text()), (StatusCode::OK, "home"));
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(site.get("/docs/empty/").await.text(), "home");
    assert_eq!(site.get("/docs/").await.text(), "docs");
    assert_eq!(site.get("/a.txt").await.text(), "0123456789");
    fs::remove_file(site.public().join("index.html")).unwrap();
    assert_eq!(site.get("/users/7").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_client_that_has_the_file_is_not_sent_it_again() {
    let mut site = Site::new();
    site.spec.cache = Some(HeaderValue::from_static("max-age=60"));
    let answer = site.get("/a.txt").await;
    assert_eq!(answer.header("cache-control"), "max-age=60");
    let (etag, modified) = (answer.header("etag"), answer.header("last-modified"));
    assert!(etag.starts_with('"') && modified.ends_with("GMT"), "{etag} {modified}");
    for headers in [
        [("if-none-match", etag)].as_slice(),
        &[("if-none-match", "*")],
        &[("if-none-match", &format!("\"x\", W/{etag}"))],
        &[("if-modified-since", modified)],
        // The tag decides where both are given.
        &[("if-none-match", etag), ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT")],
        &[("if-none-match", etag), ("range", "bytes=0-1")],
    ] {
        let answer = site.ask("GET", "/a.txt", headers).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::NOT_MODIFIED, 0), "{headers:?}");
        assert_eq!((answer.header("etag"), answer.header("cache-control")), (etag, "max-age=60"));
        assert_eq!(answer.header("content-length"), "");
    }
    for headers in [
        [("if-none-match", "\"x\"")].as_slice(),
        &[("if-none-match", "\"x\""), ("if-modified-since", modified)],
        &[("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT")],
        &[("if-modified-since", "yesterday")],
    ] {
        let answer = site.ask("GET", "/a.txt", headers).await;
        assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 10), "{headers:?}");
    }
}

#[tokio::test]
async fn a_file_that_changes_has_another_tag() {
    let site = Site::new();
    let before = site.get("/a.txt").await.header("etag").to_owned();
    let file = fs::File::options().write(true).open(site.public().join("a.txt")).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(86_400)).unwrap();
    let after = site.ask("GET", "/a.txt", &[("if-none-match", &before)]).await;
    assert_eq!((after.status, after.header("last-modified")), (StatusCode::OK, "Fri, 02 Jan 1970 00:00:00 GMT"));
    assert_ne!(after.header("etag"), before);
    // Before all dates of headers.
    file.set_modified(SystemTime::UNIX_EPOCH - Duration::from_secs(1)).unwrap();
    let early = site.get("/a.txt").await;
    assert_eq!((early.status, early.header("last-modified")), (StatusCode::OK, ""));
}

#[tokio::test]
async fn conditions_that_do_not_hold_are_412() {
    let site = Site::new();
    let etag = site.get("/a.txt").await.header("etag").to_owned();
    let early = "Thu, 01 Jan 1970 00:00:00 GMT";
    for (name, value, status) in [
        ("if-match", etag.as_str(), StatusCode::OK),
        ("if-match", "*", StatusCode::OK),
        ("if-match", "\"x\"", StatusCode::PRECONDITION_FAILED),
        ("if-unmodified-since", "Fri, 31 Dec 9999 00:00:00 GMT", StatusCode::OK),
        ("if-unmodified-since", early, StatusCode::PRECONDITION_FAILED),
    ] {
        assert_eq!(site.ask("GET", "/a.txt", &[(name, value)]).await.status, status, "{name}: {value}");
    }
}

#[tokio::test]
async fn a_part_of_a_file_is_sent_to_who_asks_for_one() {
    let site = Site::new();
    let whole = site.get("/a.txt").await;
    for (range, text, content) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=0-99", "0123456789", "bytes 0-9/10"),
    ] {
        let answer = site.ask("GET", "/a.txt", &[("range", range)]).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::PARTIAL_CONTENT, text), "{range}");
        assert_eq!(answer.header("content-range"), content);
        assert_eq!(answer.header("content-length"), text.len().to_string());
        assert_eq!(answer.header("etag"), whole.header("etag"));
    }
    let answer = site.ask("GET", "/a.txt", &[("range", "bytes=10-")]).await;
    assert_eq!((answer.status, answer.header("content-range")), (StatusCode::RANGE_NOT_SATISFIABLE, "bytes */10"));
    for range in ["bytes=0-1,3-4", "bytes=x", "lines=1-2"] {
        let answer = site.ask("GET", "/a.txt", &[("range", range)]).await;
        assert_eq!((answer.status, answer.text()), (StatusCode::OK, "0123456789"), "{range}");
    }
}

#[tokio::test]
async fn a_part_is_sent_only_of_the_file_that_the_client_has() {
    let site = Site::new();
    let whole = site.get("/a.txt").await;
    for (since, status) in [
        (whole.header("etag"), StatusCode::PARTIAL_CONTENT),
        (whole.header("last-modified"), StatusCode::PARTIAL_CONTENT),
        (&format!("W/{}", whole.header("etag")), StatusCode::OK),
        ("\"x\"", StatusCode::OK),
        ("Thu, 01 Jan 1970 00:00:00 GMT", StatusCode::OK),
        ("nonsense", StatusCode::OK),
    ] {
        let answer = site.ask("GET", "/a.txt", &[("range", "bytes=0-1"), ("if-range", since)]).await;
        assert_eq!(answer.status, status, "{since}");
    }
}

/// The body of a large file, and its bytes.
async fn large(site: &Site, headers: &[(&str, &str)]) -> (Body, Vec<u8>) {
    let bytes: Vec<u8> = (0..PIECE_BYTES * 3 + 17).map(|number| (number % 251) as u8).collect();
    fs::write(site.public().join("large"), &bytes).unwrap();
    let mut request = Request::builder().uri("/large");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let response = StaticFiles::new(&site.spec).answer(&parts, "/large").await.unwrap();
    (response.into_body(), bytes)
}

#[tokio::test]
async fn large_files_come_in_pieces() {
    let site = Site::new();
    let (mut body, bytes) = large(&site, &[]).await;
    assert_eq!(body.size_hint().exact(), Some(bytes.len() as u64));
    let mut read = Vec::new();
    let mut pieces = Vec::new();
    while let Some(frame) = body.frame().await {
        let piece = frame.unwrap().into_data().unwrap();
        pieces.push(piece.len() as u64);
        read.extend(piece);
    }
    assert_eq!(pieces, [PIECE_BYTES, PIECE_BYTES, PIECE_BYTES, 17]);
    assert!(body.is_end_stream() && read == bytes);

    let (body, bytes) = large(&site, &[("range", "bytes=65530-200000")]).await;
    assert!(body.collect().await.unwrap().to_bytes() == bytes[65_530..bytes.len().min(200_001)]);
}

#[tokio::test]
async fn a_file_that_shrinks_breaks_its_body_off() {
    let site = Site::new();
    let (mut body, _) = large(&site, &[]).await;
    assert!(body.frame().await.unwrap().is_ok());
    fs::File::options().write(true).open(site.public().join("large")).unwrap().set_len(PIECE_BYTES + 5).unwrap();
    assert!(body.frame().await.unwrap().is_err());
    assert!(body.frame().await.unwrap().is_err(), "what broke off does not end well");
}

#[tokio::test]
async fn a_directory_that_is_replaced_is_served_anew() {
    let site = Site::new();
    let files = StaticFiles::new(&site.spec);
    fs::rename(site.public(), site.dir.path().join("old")).unwrap();
    let (parts, ()) = Request::builder().uri("/a.txt").body(()).unwrap().into_parts();
    assert_eq!(files.answer(&parts, "a.txt").await.unwrap_err().status, StatusCode::NOT_FOUND);
    fs::create_dir(site.public()).unwrap();
    fs::write(site.public().join("a.txt"), "new").unwrap();
    let body = files.answer(&parts, "a.txt").await.unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "new");
}
