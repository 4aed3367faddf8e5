//! HTTP through sockets: the servers that tests start, the functions behind them, and clients that say what they want.

mod admin;
mod bounds;
mod calls;
mod compress;
mod middleware;
mod native;
mod records;
mod routes;
mod static_files;
mod stop;
mod threads;
mod timeouts;
mod tls;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use greenroom::{
    Answer, CallError, Context, ErrorKind, Payload, Runtime,
    executor::{Executor, Instance},
    http::{Options, Servers, Serving},
    registry::http::{EndpointSpec, RouterSpec, ServerSpec, Timeouts},
    spec::{Code, FunctionId, FunctionSpec, Limits, PoolSpec, Transport},
};
use greenroom_actors::call::trace::TraceParent;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};

/// How long anything may take before a test fails rather than hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What the functions of the tests have in common with them.
pub struct Backstage {
    /// Calls of `wait` that have begun.
    pub began: Semaphore,
    /// Calls of `wait` end when there is one for them.
    pub end: Semaphore,
    /// Calls of `wait` that were dropped before their end.
    pub dropped: Semaphore,
}

impl Backstage {
    fn new() -> Arc<Self> {
        Arc::new(Self { began: Semaphore::new(0), end: Semaphore::new(0), dropped: Semaphore::new(0) })
    }

    /// Waits until so many calls of `wait` have begun.
    pub async fn began(&self, calls: u32) {
        timeout(PATIENCE, self.began.acquire_many(calls)).await.expect("calls begin").unwrap().forget();
    }

    /// Waits until so many calls were dropped.
    pub async fn dropped(&self, calls: u32) {
        timeout(PATIENCE, self.dropped.acquire_many(calls)).await.expect("calls are dropped").unwrap().forget();
    }
}

/// A function written in Rust. `echo` gives its arguments and context back; `wait` ends when it may; `large` answers with
/// as many bytes as it is told; `fail` fails; others say their names.
#[derive(Clone)]
struct Play {
    what: &'static str,
    backstage: Arc<Backstage>,
}

impl Executor for Play {
    fn make(&self) -> BoxFuture<'_, Result<Box<dyn Instance>, CallError>> {
        let instance: Box<dyn Instance> = Box::new(self.clone());
        Box::pin(async { Ok(instance) })
    }
}

struct Dropped<'a>(Option<&'a Backstage>);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        if let Some(backstage) = self.0 {
            backstage.dropped.add_permits(1);
        }
    }
}

impl Instance for Play {
    fn run<'a>(&'a mut self, args: Payload, context: &'a Arc<Context>) -> BoxFuture<'a, Result<Answer, CallError>> {
        Box::pin(async move {
            let Payload::Json(args) = args else { panic!("arguments are JSON") };
            if self.what == "fail" {
                return Err(CallError::new(ErrorKind::Internal, "it failed"));
            }
            Ok(Answer::Json(match self.what {
                "echo" => json!({
                    "args": args,
                    "request_id": context.request_id,
                    "traceparent": context.traceparent,
                }),
                "wait" => {
                    let mut dropped = Dropped(Some(&self.backstage));
                    self.backstage.began.add_permits(1);
                    self.backstage.end.acquire().await.unwrap().forget();
                    dropped.0 = None;
                    json!("waited")
                }
                "large" => json!("x".repeat(args[0].as_u64().unwrap() as usize)),
                name => json!(name),
            }))
        })
    }
}

/// The id of an entry of the tests.
pub fn id(name: &str) -> FunctionId {
    FunctionId::new("test", name).unwrap()
}

/// `GET /path` for a function, or another method, `*` for any.
pub fn endpoint(method: &str, path: &str, function: &str) -> EndpointSpec {
    let name: String = format!("{method}{path}").chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    EndpointSpec {
        id: id(&name),
        method: (method != "*").then(|| method.parse().unwrap()),
        path: path.to_owned(),
        function: id(function),
        transport: Transport::Payload,
        max_body_bytes: EndpointSpec::BODY_BYTES_MAX,
    }
}

/// A router with these endpoints below a prefix.
pub fn router(prefix: &str, endpoints: Vec<EndpointSpec>) -> RouterSpec {
    RouterSpec { id: Some(id("router")), prefix: prefix.to_owned(), middleware: Vec::new(), endpoints }
}

/// A server with these routers, on a port that is free.
pub fn server(routers: Vec<RouterSpec>) -> ServerSpec {
    ServerSpec {
        id: None,
        addr: "127.0.0.1:0".to_owned(),
        timeouts: Timeouts { read: PATIENCE * 60, write: PATIENCE * 60, idle: PATIENCE * 60 },
        tls: None,
        routers,
        statics: Vec::new(),
    }
}

/// `echo`, `wait` and `large` behind paths of their names, for POST; `GET /hello` too.
pub fn plain() -> ServerSpec {
    let posts = ["echo", "wait", "large"].map(|name| endpoint("POST", &format!("/{name}"), name));
    let gets = ["hello", "wait"].map(|name| endpoint("GET", &format!("/{name}"), name));
    server(vec![router("", posts.into_iter().chain(gets).collect())])
}

/// A runtime of functions with these names.
pub async fn runtime(name: &str, functions: &[&'static str], backstage: &Arc<Backstage>) -> Runtime {
    let spec = |what: &&'static str| FunctionSpec {
        id: id(what),
        code: Code::Custom(Arc::new(Play { what, backstage: backstage.clone() })),
        pool: PoolSpec::default(),
        limits: Limits::default(),
    };
    functions
        .iter()
        .map(spec)
        .fold(Runtime::builder().name(name), |builder, spec| builder.function(spec))
        .start()
        .await
        .unwrap()
}

/// A server that runs.
pub struct Stage {
    pub runtime: Runtime,
    pub serving: Serving,
    pub address: SocketAddr,
    pub backstage: Arc<Backstage>,
}

/// Serves a server whose functions have the names that its endpoints say. `name` is unique among the tests.
pub async fn serve(name: &str, spec: ServerSpec) -> Stage {
    serve_with(name, spec, &Options::default()).await
}

/// The same with options.
pub async fn serve_with(name: &str, spec: ServerSpec, options: &Options) -> Stage {
    let mut functions: Vec<&'static str> = spec
        .routers
        .iter()
        .flat_map(|router| &router.endpoints)
        .map(|endpoint| &*endpoint.function.name().to_owned().leak())
        .collect();
    functions.sort_unstable();
    functions.dedup();
    let backstage = Backstage::new();
    let runtime = runtime(name, &functions, &backstage).await;
    let servers = Servers::bind(&runtime, &[spec], options).await.unwrap();
    let address = servers.addresses()[0].1;
    Stage { serving: servers.serve(), runtime, address, backstage }
}

impl Stage {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn connect(&self) -> Raw {
        Raw(TcpStream::connect(self.address).await.unwrap())
    }

    /// Sends these bytes on a connection of their own, and reads until the server closes it.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut raw = self.connect().await;
        raw.send(bytes).await;
        raw.rest().await
    }
}

/// A connection on which bytes are said as they are.
pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Everything until the server closes the connection. That it does so rudely is its right.
    pub async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        let mut piece = [0; 4096];
        let read = async {
            while let Ok(bytes @ 1..) = self.0.read(&mut piece).await {
                all.extend_from_slice(&piece[..bytes]);
            }
        };
        timeout(PATIENCE, read).await.expect("the server closes the connection");
        String::from_utf8(all).unwrap()
    }

    /// One response whose length is told: its head and its body.
    pub async fn response(&mut self) -> (String, String) {
        let read = async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.0.read_u8().await.expect("a response"));
            }
            let head = String::from_utf8(head).unwrap().to_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).await.unwrap();
            (head, String::from_utf8(body).unwrap())
        };
        timeout(PATIENCE, read).await.expect("there is a response")
    }
}

/// Clients of HTTP/1.1, and of HTTP/2 by prior knowledge.
pub fn clients() -> [reqwest::Client; 2] {
    // The second time, there is one already.
    drop(tokio_rustls::rustls::crypto::ring::default_provider().install_default());
    let builder = || reqwest::Client::builder().no_proxy().timeout(PATIENCE);
    [builder().http1_only().build().unwrap(), builder().http2_prior_knowledge().build().unwrap()]
}

/// A client of HTTP/1.1.
pub fn client() -> reqwest::Client {
    clients()[0].clone()
}

/// The body as JSON.
pub async fn body(response: reqwest::Response) -> Value {
    let text = response.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_answers_http_1_and_http_2_on_one_port() {
    let stage = serve("http-versions", plain()).await;
    for (client, version) in clients().into_iter().zip([reqwest::Version::HTTP_11, reqwest::Version::HTTP_2]) {
        for _ in 0..2 {
            let response = client.post(stage.url("/echo")).body("[1,2]").send().await.unwrap();
            assert_eq!((response.status().as_u16(), response.version()), (200, version));
            assert_eq!(body(response).await["args"], json!([1, 2]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_on_one_connection_are_answered_in_turn() {
    let stage = serve("http-pipelined", plain()).await;
    let mut raw = stage.connect().await;
    raw.send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n".repeat(3)).await;
    for _ in 0..3 {
        let (head, body) = raw.response().await;
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert_eq!(body, "\"hello\"");
    }
    // HTTP/1.0 closes, unless asked not to.
    let old = stage.raw("GET /hello HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200") && old.ends_with("\"hello\""), "{old}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_is_refused() {
    let stage = serve("http-garbage", plain()).await;
    for bytes in
        ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET /hello HTTP/9.9\r\n\r\n", "GET /hello HTTP/1.1\r\nbad header\r\n\r\n"]
    {
        let answer = stage.raw(bytes).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{bytes:?}: {answer}");
    }
    assert_eq!(client().get(stage.url("/hello")).send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_end_is_in_doubt_is_refused() {
    let stage = serve("http-smuggled", plain()).await;
    // Whoever reads one of these otherwise takes what follows for another request.
    for headers in [
        "content-length: 2\r\ncontent-length: 3",
        "content-length: 2, 3",
        "content-length: -2",
        "content-length: +2",
        "content-length: 0x2",
        "content-length : 2",
        "transfer-encoding: gzip",
        "transfer-encoding: chunked, gzip",
        "transfer-encoding: xchunked",
        "x: y\r\n folded: 2",
    ] {
        let rest = "[]GET /hello HTTP/1.1\r\nhost: x\r\n\r\n";
        let answer = stage.raw(format!("POST /echo HTTP/1.1\r\nhost: x\r\n{headers}\r\n\r\n{rest}")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{headers}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{headers}: {answer}");
    }
    for chunk in ["x\r\n[]\r\n0\r\n\r\n", "-2\r\n[]\r\n0\r\n\r\n", "fffffffffffffffff\r\n[]", "2\r\n[]0\r\n\r\n"] {
        let head = "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = stage.raw(format!("{head}{chunk}")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{chunk:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{chunk:?}: {answer}");
    }
    for hosts in ["", "host: x\r\nhost: y\r\n"] {
        let answer = stage.raw(format!("GET /hello HTTP/1.1\r\n{hosts}connection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("one `Host` header"), "{hosts:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_an_id_which_the_function_and_the_client_see() {
    let stage = serve("http-ids", plain()).await;
    for client in clients() {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let request = client.post(stage.url("/echo")).header("x-request-id", "mine").header("traceparent", trace);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["x-request-id"], "mine");
        let seen = body(response).await;
        // The call is a span of its own in the client's trace.
        let (given, call): (TraceParent, TraceParent) =
            (trace.parse().unwrap(), seen["traceparent"].as_str().unwrap().parse().unwrap());
        assert_eq!((&seen["request_id"], call.trace_id), (&json!("mine"), given.trace_id));
        assert_ne!(call.span_id, given.span_id);

        let request = client.post(stage.url("/echo")).header("x-request-id", "not mine").header("traceparent", "no");
        let response = request.send().await.unwrap();
        let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
        assert!(id.len() == 36 && !id.contains("mine"), "{id}");
        let seen = body(response).await;
        assert_eq!((&seen["request_id"], &seen["traceparent"]), (&json!(id), &Value::Null));

        // Errors have one as well.
        let lost = client.get(stage.url("/nowhere")).send().await.unwrap();
        assert!(lost.headers().contains_key("x-request-id"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_all_bound_or_none() {
    let backstage = Backstage::new();
    let runtime = runtime("http-bound", &["hello"], &backstage).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let at = |name: Option<&str>, addr: &str| {
        let routers = vec![router("", vec![endpoint("GET", "/hello", "hello")])];
        ServerSpec { id: name.map(id), addr: addr.to_owned(), ..server(routers) }
    };
    let bind = async |specs: &[ServerSpec], options: Options| {
        Servers::bind(&runtime, specs, &options).await.map(|servers| servers.addresses())
    };
    let listen = |address: &str| Options { listen: Some(address.to_owned()), ..Options::default() };

    let error = bind(&[at(None, "127.0.0.1:0"), at(Some("api"), &address)], Options::default()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("address in use: {address}; choose another `addr` in test:api"));
    let error = bind(&[at(None, &address)], Options::default()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("address in use: {address}; choose another with --listen HOST:PORT"));
    let error = bind(&[at(None, "nowhere.invalid:1")], Options::default()).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot listen on nowhere.invalid:1: "), "{error}");

    // The default server listens where it is told to, the others where they say.
    let specs = [at(None, &address), at(Some("api"), "127.0.0.1:0")];
    let addresses = bind(&specs, listen("127.0.0.1:0")).await.unwrap();
    assert_eq!(addresses[0].0, None);
    assert_eq!(addresses[1].0, Some(id("api")));
    assert_ne!(addresses[0].1, addresses[1].1);

    let error = bind(&[at(Some("api"), "127.0.0.1:0")], listen("127.0.0.1:1")).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "there is no default server to listen on 127.0.0.1:1: everything belongs to test:api; change its `addr`"
    );
    let error = bind(&[], listen("127.0.0.1:1")).await.unwrap_err().to_string();
    assert!(error.ends_with("the registry has no endpoints, no routers and no static files"), "{error}");
}
