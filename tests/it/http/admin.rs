//! What operators are answered, through sockets.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use greenroom::{
    Runtime,
    http::{ADMIN_BODY_BYTES_MAX, ADMIN_CALLS_MAX, ADMIN_CONNECTIONS_MAX, Admin, AdminOptions, AdminToken},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};

use super::{Backstage, PATIENCE, Raw, body, client, runtime};

/// An admin listener, and functions that it may tell of.
struct Ward {
    admin: Arc<Admin>,
    address: SocketAddr,
    runtime: Runtime,
    backstage: Arc<Backstage>,
    serving: JoinHandle<std::convert::Infallible>,
}

impl Drop for Ward {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

const TOKEN: &str = "s3cret";

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

async fn ward(name: &str, options: AdminOptions) -> Ward {
    let backstage = Backstage::new();
    let runtime = runtime(name, &["echo", "wait"], &backstage).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let admin = Arc::new(Admin::new(options));
    let serving = tokio::spawn(admin.clone().serve(listener));
    Ward { admin, address, runtime, backstage, serving }
}

async fn ready(name: &str, options: AdminOptions) -> Ward {
    let ward = ward(name, options).await;
    ward.admin.ready(&ward.runtime);
    ward
}

fn with_token() -> AdminOptions {
    AdminOptions { token: Some(AdminToken::new(TOKEN).unwrap()), ..AdminOptions::default() }
}

impl Ward {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        client().get(self.url(path)).send().await.unwrap()
    }

    fn call(&self, id: &str, token: &str) -> reqwest::RequestBuilder {
        client().post(self.url(&format!("/call/{id}"))).bearer_auth(token)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_alive_all_the_time_and_ready_while_it_takes_calls() {
    let ward = ward("admin-phases", with_token()).await;
    let state = async |path| {
        let response = ward.get(path).await;
        (response.status().as_u16(), response.headers().contains_key("retry-after"))
    };
    assert_eq!(state("/healthz").await, (200, false));
    assert_eq!(state("/readyz").await, (503, true));
    assert_eq!(state("/tree").await, (503, true));
    let refused = ward.call("test:echo", TOKEN).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), &body(refused).await["kind"]), (503, &json!("unavailable")));
    // There is nothing to drain yet.
    ward.admin.draining();
    ward.admin.ready(&ward.runtime);
    assert_eq!(state("/healthz").await, (200, false));
    let readiness = ward.get("/readyz").await;
    assert_eq!(
        (readiness.status().as_u16(), &readiness.headers()["cache-control"]),
        (200, &"no-store".parse().unwrap())
    );
    assert_eq!(body(readiness).await, json!({"status": "ready", "degraded": []}));
    ward.admin.draining();
    assert_eq!(state("/readyz").await, (503, true));
    assert_eq!(state("/healthz").await, (200, false));
    assert_eq!(state("/tree").await, (200, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn degraded_functions_are_listed_and_fail_nothing() {
    use greenroom::{
        CallError, ErrorKind,
        executor::{Executor, Instance},
        spec::{Code, FunctionSpec, Limits, PoolSpec},
    };
    struct Broken;
    impl Executor for Broken {
        fn make(&self) -> futures::future::BoxFuture<'_, Result<Box<dyn Instance>, CallError>> {
            Box::pin(async { Err(CallError::new(ErrorKind::Internal, "not today")) })
        }
    }
    let spec = FunctionSpec {
        id: "test:broken".parse().unwrap(),
        code: Code::Custom(Arc::new(Broken)),
        pool: PoolSpec::lazy(1),
        limits: Limits::default(),
    };
    let runtime = Runtime::builder().name("admin-degraded").function(spec).start().await.unwrap();
    runtime.call::<Value>("test:broken", ()).await.unwrap_err();
    let ward = ward("admin-degraded-ward", AdminOptions::default()).await;
    ward.admin.ready(&runtime);
    let readiness = ward.get("/readyz").await;
    assert_eq!(readiness.status(), 200);
    assert_eq!(body(readiness).await, json!({"status": "ready", "degraded": ["test:broken"]}));
    let tree = body(ward.get("/tree").await).await;
    assert_eq!(tree["functions"][0]["state"], "degraded");
    assert_eq!(tree["functions"][0]["pool"]["degraded"]["why"], "not today");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tree_shows_what_runs() {
    let ward = ready("admin-tree", AdminOptions::default()).await;
    let runtime = ward.runtime.clone();
    let call = tokio::spawn(async move { runtime.call::<Value>("test:wait", ()).await });
    ward.backstage.began(1).await;
    let response = ward.get("/tree").await;
    assert_eq!(response.headers()["content-type"], "application/json");
    let tree = body(response).await;
    assert_eq!((&tree["runtime"], tree["functions"].as_array().unwrap().len()), (&json!("admin-tree"), 2));
    let waits = &tree["functions"][1];
    assert_eq!((&waits["id"], &waits["calls"]), (&json!("test:wait"), &json!(1)));
    assert_eq!(waits["pool"]["workers"][0]["state"], "running");
    ward.backstage.end.add_permits(1);
    call.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_rendered_where_there_are_some() {
    let none = ready("admin-no-metrics", AdminOptions::default()).await;
    assert_eq!(none.get("/metrics").await.status(), 404);
    let render: Box<dyn Fn() -> String + Send + Sync> = Box::new(|| "up 1\n".to_owned());
    let ward = ward("admin-metrics", AdminOptions { metrics: Some(render), ..AdminOptions::default() }).await;
    let metrics = ward.get("/metrics").await;
    assert_eq!(metrics.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(metrics.text().await.unwrap(), "up 1\n");
    let head = client().head(ward.url("/metrics")).send().await.unwrap();
    assert_eq!((head.status().as_u16(), &head.headers()["content-length"]), (200, &"5".parse().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_the_token_may_call() {
    let ward = ready("admin-call", with_token()).await;
    let request =
        ward.call("test:echo", TOKEN).header("x-request-id", "mine").header("traceparent", TRACE).body("[1, \"a\"]");
    let response = request.send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["x-request-id"]), (200, &"mine".parse().unwrap()));
    let seen = body(response).await;
    assert_eq!((&seen["args"], &seen["request_id"]), (&json!([1, "a"]), &json!("mine")));
    // The call is a span of the caller's trace.
    assert_eq!(seen["traceparent"].as_str().unwrap()[..36], TRACE[..36]);
    assert_eq!(body(ward.call("test%3Aecho", TOKEN).send().await.unwrap()).await["args"], json!([]));
    for (id, sent, status) in [("test:nope", "[]", 404), ("test:echo", "{}", 400), ("test%FF", "[]", 400)] {
        let refused = ward.call(id, TOKEN).body(sent).send().await.unwrap();
        assert_eq!(refused.status(), status, "{id} {sent}");
        assert_eq!(refused.headers()["content-type"], "application/problem+json");
    }
    let large = vec![b' '; ADMIN_BODY_BYTES_MAX + 1];
    assert_eq!(ward.call("test:echo", TOKEN).body(large).send().await.unwrap().status(), 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_may_call() {
    let ward = ready("admin-strangers", with_token()).await;
    for wrong in ["", "s3cre", "s3cret2", "S3CRET"] {
        let refused = ward.call("test:echo", wrong).body("[]").send().await.unwrap();
        assert_eq!(refused.status(), 401, "{wrong}");
        assert_eq!(refused.headers()["www-authenticate"], "Bearer");
    }
    let of = |value: &'static str| client().post(ward.url("/call/test:echo")).header("authorization", value).send();
    assert_eq!(of("Basic s3cret").await.unwrap().status(), 401);
    assert_eq!(of("s3cret").await.unwrap().status(), 401);
    assert_eq!(of("bearer s3cret").await.unwrap().status(), 200);
    assert_eq!(client().post(ward.url("/call/test:nope")).send().await.unwrap().status(), 401);

    let closed = ready("admin-closed", AdminOptions::default()).await;
    let refused = closed.call("test:echo", TOKEN).body("[]").send().await.unwrap();
    assert_eq!(refused.status(), 403);
    assert!(body(refused).await["detail"].as_str().unwrap().contains("--admin-token-file"));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_leave_connections_for_other_answers_and_end_with_their_callers() {
    let ward = ready("admin-many", with_token()).await;
    let calls: Vec<_> = (0..ADMIN_CALLS_MAX).map(|_| tokio::spawn(ward.call("test:wait", TOKEN).send())).collect();
    ward.backstage.began(u32::try_from(ADMIN_CALLS_MAX).unwrap()).await;
    let refused = ward.call("test:wait", TOKEN).send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(body(refused).await["kind"], "rate_limited");
    assert_eq!(ward.get("/healthz").await.status(), 200);
    for call in &calls[1..] {
        call.abort();
    }
    ward.backstage.dropped(u32::try_from(ADMIN_CALLS_MAX).unwrap() - 1).await;
    ward.backstage.end.add_permits(1);
    let answered = calls.into_iter().next().unwrap().await.unwrap().unwrap();
    assert_eq!(body(answered).await, json!("waited"));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_and_methods_are_problems() {
    let ward = ready("admin-routes", with_token()).await;
    let of = |method: &str, path: &str| client().request(method.parse().unwrap(), ward.url(path)).send();
    for (method, path, status, allow) in [
        ("GET", "/", 404, None),
        ("POST", "/", 401, None),
        ("GET", "/call", 404, None),
        ("POST", "/metrics", 401, None),
        ("PUT", "/metrics", 405, Some("GET, HEAD")),
        ("DELETE", "/tree", 405, Some("GET, HEAD")),
        ("GET", "/call/test:echo", 405, Some("POST")),
    ] {
        let refused = of(method, path).await.unwrap();
        assert_eq!(refused.status(), status, "{method} {path}");
        assert_eq!(refused.headers().get("allow").map(|allow| allow.to_str().unwrap()), allow, "{method} {path}");
        assert_eq!(refused.headers()["content-type"], "application/problem+json");
        assert!(refused.headers().contains_key("x-request-id"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_nothing_or_too_much_is_let_go() {
    let ward = ready("admin-slow", AdminOptions::default()).await;
    // As many as may connect at once; the next waits until one of them is let go.
    let mut silent = Vec::new();
    for _ in 0..ADMIN_CONNECTIONS_MAX {
        silent.push(tokio::net::TcpStream::connect(ward.address).await.unwrap());
    }
    let health = timeout(PATIENCE, ward.get("/healthz")).await.expect("somebody is let go");
    assert_eq!(health.status(), 200);
    drop(silent);

    let mut raw = Raw(tokio::net::TcpStream::connect(ward.address).await.unwrap());
    let long = format!("GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(300_000));
    // The server may close before it has all of it.
    drop(tokio::io::AsyncWriteExt::write_all(&mut raw.0, long.as_bytes()).await);
    let answer = raw.rest().await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(ward.runtime.shutdown(Duration::ZERO).await);
}
