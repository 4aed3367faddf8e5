//! Functions of a registry behind endpoints: what clients send and get.

use std::net::SocketAddr;

use greenroom::{
    Runtime,
    http::{BindError, Options, Servers, Serving},
};
use serde_json::{Value, json};

use super::{body, client, clients, endpoint, router, runtime, server};
use crate::registry::Root;

/// A registry of functions that are each behind an endpoint of their own name, for any method.
pub struct Behind {
    address: SocketAddr,
    _serving: Serving,
    _runtime: Runtime,
    _root: Root,
}

async fn bind(name: &str, root: &Root, dev: bool) -> (Runtime, Result<Servers, BindError>) {
    let runtime = Runtime::builder().name(name).guest_threads(1).instances_max(100).registry(root.path());
    let runtime = runtime.start().await.unwrap();
    let options = Options { listen: Some("127.0.0.1:0".to_owned()), dev, ..Options::default() };
    let servers = Servers::bind(&runtime, runtime.registry().unwrap().servers(), &options).await;
    (runtime, servers)
}

impl Behind {
    /// `functions` are the fields of each.
    async fn new<const N: usize>(name: &str, functions: [(&str, &str); N], dev: bool) -> Self {
        let root = Root::with(&entries(functions));
        Self::of(name, root, dev).await
    }

    pub async fn of(name: &str, root: Root, dev: bool) -> Self {
        let (runtime, servers) = bind(name, &root, dev).await;
        let servers = servers.unwrap();
        let address = servers.addresses()[0].1;
        Self { address, _serving: servers.serve(), _runtime: runtime, _root: root }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> reqwest::Response {
        client().post(self.url(path)).body(body).send().await.unwrap()
    }
}

pub fn entries<const N: usize>(functions: [(&str, &str); N]) -> String {
    let entry = |(name, fields): (&str, &str)| {
        let fields: String = fields.trim().lines().map(|line| format!("    {line}\n")).collect();
        format!(
            "  - name: {name}\n{fields}  - name: at_{name}\n    kind: http.endpoint\n    method: \"*\"\n    path: \
             /{name}\n    func: {name}\n"
        )
    };
    format!("entries:\n{}", functions.map(entry).concat())
}

const ECHO: &str = r#"
kind: function.wat
source: |
  (module
    (memory (export "memory") 1)
    (global $free (mut i32) (i32.const 1024))
    (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (global.get $free))
      (global.set $free (i32.add (local.get $at) (local.get $size)))
      (drop (memory.grow (i32.add (i32.div_u (local.get $size) (i32.const 65536)) (i32.const 1))))
      (local.get $at))
    (func (export "echo") (param i32 i32) (result i32)
      (i32.store (i32.const 0) (local.get 0))
      (i32.store (i32.const 4) (local.get 1))
      (i32.const 0)))
method: echo
transport: wasi-http
"#;

fn echo_of(ty: &str, more: &str) -> String {
    format!("{ECHO}wit: \"echo: func(content: {ty}) -> {ty};\"\n{more}")
}

const TRAP: &str = r#"
kind: function.wat
source: (module (func $inner unreachable) (func (export "trap") (result i32) (call $inner) (i32.const 1)))
method: trap
"#;

#[tokio::test(flavor = "multi_thread")]
async fn bodies_come_and_go_as_they_are() {
    let (text, bytes) = (echo_of("string", ""), echo_of("list<u8>", ""));
    let behind = Behind::new("http-calls-echo", [("text", &text), ("bytes", &bytes)], false).await;
    for client in clients() {
        let response = client.post(behind.url("/text")).body("hé").send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(response.text().await.unwrap(), "hé");
        let sent: Vec<u8> = (0..1_000_000).map(|n| (n % 251) as u8).collect();
        let response = client.post(behind.url("/bytes")).body(sent.clone()).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "application/octet-stream");
        assert!(response.bytes().await.unwrap() == sent);
        let response = client.get(behind.url("/text?content=a+b")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "a b");
        let head = client.head(behind.url("/text?content=abc")).send().await.unwrap();
        assert_eq!((head.status().as_u16(), &head.headers()["content-length"]), (200, &"3".parse().unwrap()));
        let refused = client.post(behind.url("/text")).body(vec![255]).send().await.unwrap();
        assert_eq!(refused.status(), 400);
        assert_eq!(body(refused).await["kind"], "invalid");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_have_as_many_bytes_as_its_function_says() {
    let small = echo_of("string", "limits:\n  max_body_bytes: 4\n");
    let behind = Behind::new("http-calls-limit", [("small", &small)], false).await;
    assert_eq!(behind.post("/small", "abcd").await.text().await.unwrap(), "abcd");
    // Once with its length told, and once without.
    let pieces = || futures::stream::iter(["abc", "de"].map(Ok::<_, std::io::Error>));
    for sent in [reqwest::Body::from("abcde"), reqwest::Body::wrap_stream(pieces())] {
        let refused = behind.post("/small", sent).await;
        assert_eq!(refused.status(), 413);
        assert_eq!(refused.headers()["content-type"], "application/problem+json");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_is_a_problem_and_its_backtrace_is_for_developers() {
    let mapped = format!("{TRAP}transport: wasi-http\n");
    for dev in [false, true] {
        let name = format!("http-calls-trap-{dev}");
        let behind = Behind::new(&name, [("payload", TRAP), ("mapped", &mapped)], dev).await;
        for path in ["/payload", "/mapped"] {
            let response = behind.post(path, "").await;
            assert_eq!(response.status(), 500);
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            let problem = body(response).await;
            assert_eq!((&problem["kind"], &problem["retryable"]), (&json!("internal"), &json!(false)));
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("the guest trapped") && !detail.contains("inner"), "{detail}");
            let backtrace = problem["backtrace"].as_str();
            assert_eq!(backtrace.is_some_and(|frames| frames.contains("inner")), dev, "{problem}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_passes_is_a_problem_that_may_be_tried_again() {
    let spin = r#"
kind: function.wat
source: (module (func (export "spin") (loop (br 0))))
method: spin
transport: wasi-http
limits:
  max_execution_ms: 20
"#;
    let behind = Behind::new("http-calls-spin", [("spin", spin)], false).await;
    let response = behind.post("/spin", "").await;
    assert_eq!(response.status(), 504);
    let problem = body(response).await;
    assert_eq!((&problem["kind"], &problem["retryable"]), (&json!("timeout"), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_says_its_own_status_within_bounds() {
    let status = r#"
kind: function.wat
source: (module (func (export "answer") (param i32) (result i32) (local.get 0)))
wit: |
  package a:b;
  world w { record response { status: u32 } export answer: func(code: u32) -> response; }
method: answer
transport: wasi-http
"#;
    let behind = Behind::new("http-calls-status", [("status", status)], false).await;
    for code in [200, 204, 301, 404, 418, 599] {
        let response = client().get(behind.url(&format!("/status?code={code}"))).send().await.unwrap();
        assert_eq!(response.status().as_u16(), code);
    }
    for code in [0, 101, 600, 65_736] {
        let response = client().get(behind.url(&format!("/status?code={code}"))).send().await.unwrap();
        assert_eq!(response.status(), 500);
        let problem = body(response).await;
        let told = format!("`myns:status`: the result is no response: `status` is {code}, and must be 200 to 599");
        assert_eq!((&problem["kind"], &problem["detail"]), (&json!("internal"), &json!(told)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payload_functions_take_an_array_of_arguments() {
    let add = r#"
kind: function.wat
source: (module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
method: add
"#;
    let nothing = r#"
kind: function.wat
source: (module (func (export "nothing")))
method: nothing
"#;
    let behind = Behind::new("http-calls-payload", [("add", add), ("nothing", nothing)], false).await;
    let sent = |path: &str, kind: Option<&'static str>, body: &'static str| {
        let request = client().post(behind.url(path)).body(body);
        match kind {
            Some(kind) => request.header("content-type", kind),
            None => request,
        }
    };
    for kind in [None, Some("application/json"), Some("application/json; charset=utf-8"), Some("application/a+json")] {
        let response = sent("/add", kind, "[6, 7]").send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &"application/json".parse().unwrap())
        );
        assert_eq!(body(response).await, json!(13), "{kind:?}");
    }
    assert_eq!(body(sent("/nothing", None, "").send().await.unwrap()).await, Value::Null);
    assert_eq!(body(client().get(behind.url("/nothing")).send().await.unwrap()).await, Value::Null);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "json"] {
        let refused = sent("/add", Some(kind), "[6, 7]").send().await.unwrap();
        assert_eq!(refused.status(), 415, "{kind}");
        assert!(body(refused).await["detail"].as_str().unwrap().contains("application/json"));
    }
    for (wrong, told) in [
        ("{\"a\": 6}", "body: expected a JSON array of arguments, got an object; wrap it: `[…]`"),
        ("6", "body: expected a JSON array of arguments, got a number; wrap it: `[…]`"),
        ("[6, \"x\"]", "args[1]: expected s32, got string"),
        ("[6]", "expected 2 arguments (p0: s32, p1: s32), got 1"),
        ("[6, ", "body: expected JSON: EOF while parsing a value at line 1 column 4"),
    ] {
        let refused = sent("/add", None, wrong).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{wrong}");
        let problem = body(refused).await;
        assert_eq!(problem["kind"], "invalid");
        assert_eq!(problem["detail"], told);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_called_by_requests_is_said_before_the_first() {
    let wrong = r#"
kind: function.wat
source: (module (func (export "f") (param i32)))
wit: |
  package a:b;
  world w { record request { cookies: u32 } export f: func(request: request); }
method: f
transport: wasi-http
"#;
    let (_runtime, servers) = bind("http-calls-wrong", &Root::with(&entries([("f", wrong)])), false).await;
    let Err(BindError::Entry { id, field, message }) = servers.map(drop) else { panic!("it is bound") };
    assert_eq!((id.unwrap().as_str(), field), ("myns:at_f", "func"));
    let told = "`myns:f` is func(request: record { cookies: u32 }): the parameter `request` has the field `cookies`";
    assert!(message.starts_with(told), "{message}");

    // A function of another language has no parameters to bind.
    let backstage = super::Backstage::new();
    let runtime = runtime("http-calls-custom", &["echo"], &backstage).await;
    let mut spec = endpoint("POST", "/echo", "echo");
    spec.transport = greenroom::spec::Transport::WasiHttp;
    let specs = [server(vec![router("", vec![spec])])];
    let error = Servers::bind(&runtime, &specs, &Options::default()).await.map(drop).unwrap_err().to_string();
    assert!(error.contains("func: `test:echo` is no WebAssembly function"), "{error}");
}
