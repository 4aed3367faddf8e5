//! WASI 0.3: what its guests are given, what they are refused, and components as their toolchains make them.

use std::{
    io::Write,
    sync::{Arc, LazyLock},
};

use greenroom_actors::{
    ErrorKind, Runtime,
    spec::{Capability, Code, EnvBinding, FunctionSpec, Network, PoolSpec, Variable, WasmSpec},
};
use serde_json::json;

use super::{fixture::*, log::Log, reach::*};
use crate::{
    handling::{ask, echoes, full, get, post, relay, start, text},
    tree::{metrics, until, within},
};

/// What guests print in threads of a runtime.
static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    log
});

#[derive(Debug)]
struct Green;

impl Variable for Green {
    fn id(&self) -> &str {
        "app:green"
    }

    fn get(&self) -> Result<Option<String>, String> {
        Ok(Some("green".to_owned()))
    }
}

/// A function of `guest`, whose code is changed.
fn changed(guest: &str, name: &str, change: impl FnOnce(&mut WasmSpec)) -> FunctionSpec {
    let mut spec = relay(guest, name, PoolSpec::inline());
    let Code::Wasm(code) = &mut spec.code else { panic!("it is WebAssembly") };
    change(code);
    spec
}

async fn answer(runtime: &Runtime, id: &str, path: &str) -> String {
    text(ask(runtime, id, get(path)).await.unwrap()).await
}

#[tokio::test]
async fn a_guest_is_given_of_wasi_0_3_what_its_entry_says() {
    LazyLock::force(&LOG);
    let spec = changed("relay3", "given", |code| {
        code.wasi.args = vec!["one".to_owned()];
        code.wasi.cwd = Some("/data".to_owned());
        code.wasi.env = vec![EnvBinding { name: "COLOR".to_owned(), required: true, variable: Arc::new(Green) }];
    });
    let (runtime, id) = start(spec).await;
    let given = "[(\"COLOR\", \"green\")]\n[\"given\", \"one\"]\nSome(\"/data\")\n8\ntrue\n";
    assert_eq!(answer(&runtime, &id, "/given").await, given);
    assert_eq!(answer(&runtime, &id, "/late").await, "in time\n");
    let line = (format!("{id} stdout"), "the work after the response is done".to_owned());
    until("the line is logged", || LOG.lines().contains(&line)).await;
}

#[tokio::test]
async fn what_an_entry_does_not_grant_of_wasi_0_3_is_refused_by_name() {
    let (runtime, id) = start(changed("relay3", "denied", |code| code.imports = [].into_iter().collect())).await;
    // A function that is async and one that is not.
    for (path, import, grant) in [
        ("/sleep?ms=1", "wasi:clocks/monotonic-clock@0.3.2", "wasi:clocks"),
        ("/given", "wasi:cli/environment@0.3.2", "wasi:cli"),
    ] {
        let error = ask(&runtime, &id, get(path)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{path}: {error}");
        let grants = format!("`{import}`, which its entry does not grant; add `imports: [{grant}]`");
        assert!(error.message().ends_with(&grants), "{path}: {error}");
    }
    assert_eq!(answer(&runtime, &id, "/count").await, "0\n");
}

#[tokio::test]
async fn a_guest_that_waits_for_what_never_comes_has_its_deadline() {
    let (runtime, id) = start(within(relay("relay3", "never", PoolSpec::inline()), 100)).await;
    assert_eq!(ask(&runtime, &id, get("/never")).await.unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_body_that_is_passed_on_goes_on_after_its_guest() {
    let (runtime, id) = start(relay("relay3", "pass", PoolSpec::inline())).await;
    let answered = || metrics().value("greenroom_calls_total", &[("function", &id), ("outcome", "ok")]);
    echoes(&runtime, &id, "/pass", until("the guest has ended", || answered() == 1.0)).await;
}

#[tokio::test]
async fn a_response_is_sent_when_its_body_has_been_taken() {
    LazyLock::force(&LOG);
    let (runtime, id) = start(relay("relay3", "held", PoolSpec::inline())).await;
    let (other, other_id) = start(relay("relay3", "taken", PoolSpec::inline())).await;
    let lines = |id: &str| LOG.lines().iter().filter(|(source, _)| *source == format!("{id} stdout")).count();
    // The guest works on when its response is sent, and prints.
    let held = ask(&runtime, &id, get("/late")).await.unwrap();
    assert_eq!(answer(&other, &other_id, "/late").await, "in time\n");
    until("the one has worked on", || lines(&other_id) == 1).await;
    assert_eq!(lines(&id), 0);
    assert_eq!(text(held).await, "in time\n");
    until("the other has, too", || lines(&id) == 1).await;
}

#[tokio::test]
async fn what_a_guest_holds_of_streams_is_bounded() {
    let (runtime, id) = start(relay("relay3", "hoard", PoolSpec::inline())).await;
    let error = ask(&runtime, &id, get("/hoard")).await.unwrap_err();
    assert!(error.message().contains("the guest holds 16384 handles"), "{error}");
}

#[tokio::test]
async fn components_of_rust_and_of_spin_run_as_they_are() {
    for (guest, expected) in [
        ("hello", "Hello, World!\n"),
        ("hello_rust", "Hello from Rust: /a, 0 bytes\n"),
        ("spin", "Hello from Spin: GET /a\n"),
        ("spin3", "Hello from Spin: GET /a\n"),
    ] {
        let (runtime, id) = start(relay(guest, "as-it-is", PoolSpec::inline())).await;
        assert_eq!(answer(&runtime, &id, "/a").await, expected, "{guest}");
        let large = post("/a", full(vec![b'x'; 3_000_000]));
        let expected = expected.replace("GET", "POST").replace("0 bytes", "3000000 bytes");
        assert_eq!(text(ask(&runtime, &id, large).await.unwrap()).await, expected, "{guest}");
    }
}

#[tokio::test]
async fn requests_of_guests_reach_what_their_entry_allows() {
    let port = serve(|mut stream| {
        head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npassed").unwrap();
    });
    let address = format!("http://127.0.0.1:{port}/");
    for guest in ["spin", "spin3"] {
        let asking = |name, patterns: &'static [&'static str]| {
            changed(guest, name, |code| {
                code.imports = code.imports.with(Capability::Http);
                let allow = allow(patterns, port).iter().map(|text| text.parse().unwrap()).collect();
                code.wasi.network = Network { allow };
            })
        };
        let request = || {
            let mut request = get("/");
            request.headers_mut().insert("x-ask", address.parse().unwrap());
            request
        };
        let (runtime, id) = start(asking("allowed", &["127.0.0.1:PORT"])).await;
        let response = ask(&runtime, &id, request()).await.unwrap();
        assert_eq!(text(response).await, "passed", "{guest}");

        let (runtime, id) = start(asking("refused", &[])).await;
        // The guest has the error, and makes of it what it likes.
        let words = match ask(&runtime, &id, request()).await {
            Ok(response) => response.status().to_string(),
            Err(error) => error.message().to_owned(),
        };
        let expected = match guest {
            "spin" => "500 Internal Server Error",
            _ => "`spin3:refused` answered with an error instead of a response: ErrorCode::DestinationIpProhibited",
        };
        assert_eq!(words, expected, "{guest}");
    }
}

#[tokio::test]
async fn a_guest_of_wasi_0_3_learns_how_its_request_failed() {
    // One hangs up, the other talks of something else.
    let silent = serve(|mut stream| drop(head(&mut stream)));
    let chatty = serve(|mut stream| {
        head(&mut stream);
        stream.write_all(b"220 mail.example.com ESMTP\r\n\r\n").unwrap();
    });
    for (name, port, code) in [("silent", silent, "HttpResponseIncomplete"), ("chatty", chatty, "HttpProtocolError")] {
        let spec = changed("spin3", name, |code| {
            code.imports = code.imports.with(Capability::Http);
            code.wasi.network = Network { allow: vec![format!("127.0.0.1:{port}").parse().unwrap()] };
        });
        let (runtime, id) = start(spec).await;
        let mut request = get("/");
        request.headers_mut().insert("x-ask", format!("http://127.0.0.1:{port}/").parse().unwrap());
        let error = ask(&runtime, &id, request).await.unwrap_err();
        assert!(error.message().ends_with(code), "{name}: {error}");
    }
}

#[test]
fn a_function_that_is_async_is_called_like_any_other() {
    const ADDS: &str = r#"(component
        (core module $m
            (import "" "return" (func $return (param i32)))
            (func (export "add") (param i32 i32) (result i32)
                (call $return (i32.add (local.get 0) (local.get 1)))
                (i32.const 0))
            (func (export "callback") (param i32 i32 i32) (result i32) unreachable))
        (core func $return (canon task.return (result u32)))
        (core instance $i (instantiate $m (with "" (instance (export "return" (func $return))))))
        (func (export "add") async (param "a" u32) (param "b" u32) (result u32)
            (canon lift (core func $i "add") async (callback (func $i "callback")))))"#;
    assert_eq!(call(&prepare(&super::fixture::text(ADDS, "add")), json!([40, 2])).unwrap(), json!(42));
}

#[test]
fn files_of_wasi_0_3_are_not_provided_and_their_absence_is_no_reason_not_to_load() {
    const OPENS: &str = r#"(component
        (import "wasi:filesystem/preopens@0.3.0" (instance $preopens (export "get-directories" (func))))
        (core func $get (canon lower (func $preopens "get-directories")))
        (core module $m (import "" "get" (func)) (export "open" (func 0)))
        (core instance $i (instantiate $m (with "" (instance (export "get" (func $get))))))
        (func (export "open") (canon lift (core func $i "open"))))"#;
    let mut spec = super::fixture::text(OPENS, "open");
    spec.imports = [Capability::Filesystem].into_iter().collect();
    let prepared = prepare(&spec);
    assert!(prepared.warnings[0].message.contains("which this version does not provide"), "{:?}", prepared.warnings);
    let error = call(&prepared, json!([])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(
        error.message().contains("`wasi:filesystem/preopens@0.3.0`, which this version does not provide"),
        "{error}"
    );
}
