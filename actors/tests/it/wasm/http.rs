//! Outgoing `wasi:http`: where requests go, what comes back, and what ends them.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use greenroom_actors::{
    CallOptions, Context, ErrorKind, Runtime,
    executor::Executor,
    spec::{Capability, Code, FunctionSpec, Limits, PoolSpec, WasmSpec},
    wasm::{Prepared, REQUESTS_MAX},
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{fixture::*, reach::*};
use crate::tree::until;

const GRANTED: &[Capability] = &[Capability::Http];

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-answer: 42\r\n\r\nhi";

fn fetch(method: &str, patterns: &[String]) -> WasmSpec {
    guest("fetch.wasm", method, GRANTED, patterns)
}

fn names() -> Names {
    Names::default().with("localhost", &[&["127.0.0.1"]]).with("api.test", &[&["127.0.0.1"]])
}

fn prepared(method: &str, patterns: &[&str], port: u16) -> Prepared {
    prepare_with(names().options(), &fetch(method, &allow(patterns, port)))
}

/// The outcome of a `get`, with its status and body alone.
fn get(prepared: &Prepared, url: &str) -> Value {
    match call(prepared, json!([url])).unwrap() {
        Value::Object(result) if result.contains_key("ok") => {
            let response = &result["ok"];
            json!({ "ok": [response["status"], response["body"]] })
        }
        other => other,
    }
}

fn refused(code: &str) -> Value {
    json!({ "err": code })
}

#[test]
fn a_response_comes_back_whole() {
    let (sender, heads) = mpsc::channel();
    let port = serve(move |mut stream| {
        sender.send(head(&mut stream)).unwrap();
        stream.write_all(OK.as_bytes()).unwrap();
    });
    let prepared = prepared("get", &["127.0.0.1:PORT"], port);
    // Versions of packages are mixed, as toolchains mix them; types alone need no grant.
    assert!(prepared.warnings.is_empty(), "{:?}", prepared.warnings);
    let response = call(&prepared, json!([format!("http://127.0.0.1:{port}/a?b=c")])).unwrap();
    let headers = json!([["content-length", "2"], ["x-answer", "42"]]);
    assert_eq!(response, json!({ "ok": { "status": 200, "headers": headers, "body": "hi" } }));
    let head = heads.recv().unwrap();
    assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: 127.0.0.1:{port}\r\n")), "{head}");
}

#[test]
fn a_request_carries_the_trace_of_its_call() {
    let (sender, heads) = mpsc::channel();
    let port = serve(move |mut stream| {
        sender.send(head(&mut stream)).unwrap();
        stream.write_all(OK.as_bytes()).unwrap();
    });
    let prepared = prepared("get", &["127.0.0.1:PORT"], port);
    let url = json!([format!("http://127.0.0.1:{port}/")]);
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let context = Context { traceparent: Some(trace.to_owned()), ..Context::default() };
    call_with(&prepared, context.clone(), url.clone()).unwrap();
    let traced = heads.recv().unwrap();
    assert!(traced.contains(&format!("traceparent: {trace}\r\n")), "{traced}");
    call(&prepared, url.clone()).unwrap();
    assert!(!heads.recv().unwrap().contains("traceparent"));
    // Of its own call, when one instance serves several.
    block_on(async {
        let mut instance = prepared.function.make().await.unwrap();
        for (context, is_traced) in [(context.clone(), true), (Context::default(), false), (context, true)] {
            run_with(&prepared, &mut instance, context, url.clone()).await.unwrap();
            assert_eq!(heads.recv().unwrap().contains(trace), is_traced);
        }
    });
}

#[test]
fn a_body_goes_out_in_pieces() {
    // Sends back how many bytes came, each chunk with its length before it.
    let port = serve(|mut stream| {
        let head = head(&mut stream);
        assert!(head.starts_with("POST / HTTP/1.1\r\n") && head.contains("transfer-encoding: chunked\r\n"), "{head}");
        let mut bytes = 0;
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                line.push(0);
                let last = line.len() - 1;
                stream.read_exact(&mut line[last..]).unwrap();
            }
            let length = u64::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            let mut chunk = vec![0; usize::try_from(length).unwrap() + 2];
            stream.read_exact(&mut chunk).unwrap();
            bytes += length;
            if length == 0 {
                break;
            }
        }
        let body = bytes.to_string();
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    });
    let url = format!("http://127.0.0.1:{port}");
    let posted = call(&prepared("post", &["127.0.0.1:PORT"], port), json!([url, "hello"])).unwrap();
    assert_eq!(posted["ok"]["body"], json!("5"), "{posted}");
    let uploaded = call(&prepared("upload", &["127.0.0.1:PORT"], port), json!([url, 10_000_000])).unwrap();
    assert_eq!(uploaded, json!({ "ok": "10000000" }));
}

#[test]
fn a_request_goes_where_it_may_and_nowhere_else() {
    let port = http(OK);
    let reached = json!({ "ok": [200, "hi"] });
    let (denied, prohibited) = (refused("HTTP-request-denied"), refused("destination-IP-prohibited"));
    for (patterns, host, expected) in [
        (&[][..], "127.0.0.1", &prohibited),
        (&[], "api.test", &denied),
        (&["127.0.0.1:PORT"], "127.0.0.1", &reached),
        (&["127.0.0.1:1"], "127.0.0.1", &prohibited),
        (&["127.0.0.0/8:*"], "127.0.0.1", &reached),
        (&["127.0.0.0/8:*"], "[::ffff:127.0.0.1]", &reached),
        (&["*:*"], "127.0.0.1", &prohibited),
        (&["*:*"], "[::ffff:127.0.0.1]", &prohibited),
        (&["*:*"], "2130706433", &prohibited),
        (&["*:*"], "[::1]", &prohibited),
        (&["*:*"], "169.254.169.254", &prohibited),
        (&["*:*"], "api.test", &prohibited),
        (&["localhost:PORT"], "localhost", &reached),
        (&["localhost:PORT"], "127.0.0.1", &reached),
        (&["localhost:PORT"], "api.test", &denied),
        (&["localhost:PORT", "api.test:PORT"], "API.test", &reached),
        (&["127.0.0.1:PORT", "api.test:1"], "api.test", &denied),
        (&["127.0.0.1:1", "api.test:PORT"], "api.test", &prohibited),
        (&["127.0.0.1:PORT", "*.test:PORT"], "api.test", &reached),
        (&["127.0.0.1:PORT", "*.api.test:PORT"], "api.test", &denied),
    ] {
        let url = format!("http://{host}:{port}/");
        assert_eq!(get(&prepared("get", patterns, port), &url), *expected, "{patterns:?} to {host}");
    }
}

#[test]
fn the_port_of_a_url_without_one_is_that_of_its_scheme() {
    let outcome = |pattern, url| get(&prepared("get", &[pattern], 0), url);
    // 127.0.0.2 has no server, and it is the policy that answers first.
    for (pattern, url) in [("127.0.0.2:443", "http://127.0.0.2/"), ("127.0.0.2:80", "https://127.0.0.2/")] {
        assert_eq!(outcome(pattern, url), refused("destination-IP-prohibited"), "{url}");
    }
    for (pattern, url) in [("127.0.0.2:80", "http://127.0.0.2"), ("127.0.0.2:443", "https://127.0.0.2")] {
        let outcome = outcome(pattern, url);
        assert_eq!(outcome, refused("connection-refused"), "{url}");
    }
}

#[test]
fn a_request_connects_to_the_address_that_was_checked() {
    let port = http(OK);
    // The second answer leads elsewhere, as that of an attacker does who waits for the check.
    let names = Names::default().with("api.test", &[&["127.0.0.1"], &["10.0.0.5"]]);
    let spec = fetch("get", &allow(&["api.test:PORT", "127.0.0.1:PORT"], port));
    let prepared = prepare_with(names.options(), &spec);
    let url = format!("http://api.test:{port}/");
    assert_eq!(get(&prepared, &url), json!({ "ok": [200, "hi"] }));
    assert_eq!(names.asked(), ["api.test"]);
    assert_eq!(get(&prepared, &url), refused("destination-IP-prohibited"));
}

#[test]
fn of_several_addresses_those_that_may_be_reached_are_tried_in_turn() {
    let port = http(OK);
    // The first is not listed, the second has no server.
    let names = Names::default().with("api.test", &[&["10.0.0.5", "127.0.0.2", "127.0.0.1"]]);
    let spec = fetch("get", &allow(&["api.test:PORT", "127.0.0.0/8:PORT"], port));
    let url = format!("http://api.test:{port}/");
    assert_eq!(get(&prepare_with(names.options(), &spec), &url), json!({ "ok": [200, "hi"] }));
}

#[test]
fn a_redirect_is_for_the_guest_to_follow() {
    let port = http("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n");
    let prepared = prepared("get", &["localhost:PORT"], port);
    assert_eq!(get(&prepared, &format!("http://localhost:{port}/")), json!({ "ok": [302, ""] }));
}

#[test]
fn what_goes_wrong_has_a_code() {
    let url = |port: u16| format!("http://127.0.0.1:{port}/");
    let outcome = |url: &str| get(&prepared("get", &["127.0.0.0/8:*", "*.test:*"], 0), url);
    // Servers of tests listen on 127.0.0.1 alone.
    assert_eq!(outcome(&format!("http://127.0.0.2:{}/", http(OK))), refused("connection-refused"));
    assert_eq!(outcome("http://nobody.test/"), refused("DNS-error"));
    assert_eq!(outcome("http://user@127.0.0.1/"), refused("HTTP-request-URI-invalid"));
    assert_eq!(outcome(&url(http("no HTTP at all\r\n\r\n"))), refused("HTTP-protocol-error"));
    assert_eq!(outcome(&url(http(""))), refused("HTTP-response-incomplete"));
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhi";
    assert_eq!(outcome(&url(http(cut))), refused("HTTP-response-incomplete"));
    let long = format!("HTTP/1.1 200 OK\r\nx-long: {}\r\n\r\n", "x".repeat(1 << 20));
    assert_eq!(outcome(&url(http(long))), refused("HTTP-response-header-section-size"));
}

/// Answers with these bytes, and then says nothing more until the other side lets go.
fn silent_after(text: &'static str) -> u16 {
    serve(move |mut stream| {
        // What comes before the request's first byte answers nothing.
        drop(stream.peek(&mut [0]));
        stream.write_all(text.as_bytes()).unwrap();
        drop(stream.read_to_end(&mut Vec::new()));
    })
}

#[test]
fn patience_ends_where_the_guest_says() {
    let within = |port, scheme: &str, patience| {
        let prepared = prepared("get-within", &["127.0.0.1:PORT"], port);
        call(&prepared, json!([format!("{scheme}://127.0.0.1:{port}/"), patience])).unwrap()
    };
    let silent = silent_after("");
    assert_eq!(within(silent, "http", json!({ "first-byte": 20 })), refused("connection-read-timeout"));
    // The handshake is part of connecting.
    assert_eq!(within(silent, "https", json!({ "connect": 20 })), refused("connection-timeout"));
    let half = silent_after("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf");
    assert_eq!(within(half, "http", json!({ "between-bytes": 20 })), refused("connection-read-timeout"));
    let whole = http(OK);
    let patience = json!({ "connect": 60_000, "first-byte": 60_000, "between-bytes": 60_000 });
    assert_eq!(within(whole, "http", patience)["ok"]["body"], json!("hi"));
}

#[test]
fn an_instance_has_so_many_requests_and_no_more() {
    let held = Arc::new(Mutex::new(Vec::new()));
    let last = Arc::clone(&held);
    // Holds all but the last that is allowed.
    let port = serve(move |mut stream| {
        head(&mut stream);
        let mut held = held.lock().unwrap();
        if held.len() + 1 < REQUESTS_MAX {
            held.push(stream);
        } else {
            for mut stream in held.drain(..).chain([stream]) {
                drop(stream.write_all(OK.as_bytes()));
            }
        }
    });
    let prepared = prepared("many", &["127.0.0.1:PORT"], port);
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(call(&prepared, json!([url, REQUESTS_MAX])).unwrap(), json!({ "ok": 200 }));
    last.lock().unwrap().clear();
    assert_eq!(call(&prepared, json!([url, REQUESTS_MAX + 1])).unwrap(), refused("connection-limit-reached"));
}

#[test]
fn a_body_larger_than_all_memory_passes_through() {
    const MIB: usize = 1 << 20;
    const BODY_MIB: usize = 64;
    let port = serve(|mut stream| {
        head(&mut stream);
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", BODY_MIB * MIB).unwrap();
        let piece = vec![b'x'; MIB];
        (0..BODY_MIB).for_each(|_| stream.write_all(&piece).unwrap());
    });
    let spec = fetch("measure", &allow(&["127.0.0.1:PORT"], port));
    let limits = Limits { max_memory_bytes: 2 << 20, ..Limits::default() };
    let prepared = engine().prepare(&id(), &spec, &limits).unwrap();
    let measured = call(&prepared, json!([format!("http://127.0.0.1:{port}/")])).unwrap();
    assert_eq!(measured, json!({ "ok": BODY_MIB * MIB }));
}

#[test]
fn http_that_is_not_granted_traps_with_its_import() {
    let mut spec = fetch("get", &allow(&["*:*"], 0));
    spec.imports = [Capability::Sockets].into_iter().collect();
    let prepared = prepare_with(names().options(), &spec);
    assert_eq!(prepared.warnings[0].notes, ["to grant it, write `imports: [wasi:sockets, wasi:http]`"]);
    let error = call(&prepared, json!(["http://api.test/"])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(
        error.message(),
        "function `app:f` used `wasi:http/types@0.2.10`, which its entry does not grant; add \
         `imports: [wasi:sockets, wasi:http]`"
    );
}

mod tls;
mod tree;
