//! Guests that call other functions: what such calls inherit, how they fail, and that they never block each other for good.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use greenroom_actors::{
    Answer, CallError, CallOptions, Context, ErrorKind, Payload, Runtime, StartError,
    call::DEPTH_MAX,
    executor::{Executor, Instance},
    spec::{
        Capabilities, Capability, Code, FunctionSpec, Limits, OnFull, PoolSpec, Source, Transport, WasiSpec, WasmSpec,
    },
};
use serde_json::{Value, json};

use crate::tree::{lab, until};

/// An export of the guest that calls others.
fn pricing(id: &str, method: &str, pool: PoolSpec) -> FunctionSpec {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../registry-examples/funcs/wasm");
    let code = WasmSpec {
        source: Source::File { directory: folder, path: "pricing.wasm".to_owned() },
        sha256: None,
        wit: None,
        method: method.to_owned(),
        imports: Capabilities::NONE.with(Capability::Funcs),
        wasi: WasiSpec::default(),
        reuse: 1,
        transport: Transport::Payload,
    };
    FunctionSpec { id: id.parse().unwrap(), code: Code::Wasm(code), pool, limits: Limits::default() }
}

/// A function that is written in Rust.
fn native(id: &str, executor: impl Executor) -> FunctionSpec {
    let code = Code::Custom(Arc::new(executor));
    FunctionSpec { id: id.parse().unwrap(), code, pool: PoolSpec::lazy(4), limits: Limits::default() }
}

/// Answers with the context of its call.
struct Mirror;

impl Executor for Mirror {
    fn make(&self) -> BoxFuture<'_, Result<Box<dyn Instance>, CallError>> {
        async { Ok(Box::new(Self) as Box<dyn Instance>) }.boxed()
    }
}

impl Instance for Mirror {
    fn run<'a>(&'a mut self, _: Payload, context: &'a Arc<Context>) -> BoxFuture<'a, Result<Answer, CallError>> {
        let left = context.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()).as_secs());
        let seen = json!({
            "request": context.request_id, "trace": context.traceparent, "values": context.values,
            "depth": context.depth, "seconds_left": left,
        });
        async { Ok(Answer::Json(seen)) }.boxed()
    }
}

/// Never answers; counts the calls that run.
#[derive(Clone, Default)]
struct Stuck(Arc<AtomicUsize>);

impl Executor for Stuck {
    fn make(&self) -> BoxFuture<'_, Result<Box<dyn Instance>, CallError>> {
        async { Ok(Box::new(self.clone()) as Box<dyn Instance>) }.boxed()
    }
}

impl Instance for Stuck {
    fn run<'a>(&'a mut self, _: Payload, _: &'a Arc<Context>) -> BoxFuture<'a, Result<Answer, CallError>> {
        struct Running(Arc<AtomicUsize>);
        impl Drop for Running {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.0.fetch_add(1, Ordering::SeqCst);
        let running = Running(self.0.clone());
        async move {
            let _running = running;
            std::future::pending().await
        }
        .boxed()
    }
}

async fn start(name: &str, functions: impl IntoIterator<Item = FunctionSpec>) -> Result<Runtime, StartError> {
    Runtime::builder().name(name).instances_max(200).guest_threads(2).functions(functions).start().await
}

async fn call(runtime: &Runtime, id: &str, args: Value) -> Result<Value, CallError> {
    let Value::Array(args) = args else { panic!("arguments are an array") };
    runtime.call_json(id, args, CallOptions::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_calls_functions_of_its_own_namespace_and_of_others() {
    let compute = lab("shop:compute", "add", PoolSpec::lazy(2));
    let functions = [
        compute,
        lab("other:add", "add", PoolSpec::lazy(2)),
        pricing("shop:total", "total", PoolSpec::lazy(2)),
        pricing("shop:ask", "ask", PoolSpec::lazy(2)),
    ];
    let gate = crate::tree::Gate::new();
    let runtime = gate.builder("funcs-call").functions(functions).start().await.unwrap();
    let items = json!([[{"name": "a", "price": 3, "quantity": 4}, {"name": "b", "price": -10, "quantity": 2}]]);
    assert_eq!(call(&runtime, "shop:total", items).await.unwrap(), json!({"ok": 7 - 8}));
    assert_eq!(call(&runtime, "shop:ask", json!(["other:add", "[20, 22]"])).await.unwrap(), json!({"ok": "42"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_grant_the_first_call_fails() {
    let mut spec = pricing("app:ask", "ask", PoolSpec::lazy(1));
    if let Code::Wasm(wasm) = &mut spec.code {
        wasm.imports = Capabilities::NONE;
    }
    let runtime = start("funcs-denied", [spec]).await.unwrap();
    let error = call(&runtime, "app:ask", json!(["app:ask", "[]"])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(
        error.message(),
        "function `app:ask` used `greenroom:runtime/funcs@0.1.0`, which its entry does not grant; add `imports: [funcs]`"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nested_call_inherits_the_context() {
    let functions = [pricing("app:ask", "ask", PoolSpec::lazy(2)), native("app:mirror", Mirror)];
    let runtime = start("funcs-context", functions).await.unwrap();
    let seen = |result: Value| -> Value { serde_json::from_str(result["ok"].as_str().unwrap()).unwrap() };

    let plain = call(&runtime, "app:ask", json!(["mirror", ""])).await.unwrap();
    let nothing = json!({"request": null, "trace": null, "values": {}, "depth": 1, "seconds_left": null});
    assert_eq!(seen(plain), nothing);

    let context = Context {
        request_id: Some("r-1".to_owned()),
        traceparent: Some("00-1-2-01".to_owned()),
        values: [("user".to_owned(), "u-7".to_owned())].into(),
        ..Context::default()
    };
    // A timeout of the caller is a deadline of the whole chain.
    let options = CallOptions::timeout(Duration::from_secs(5000)).with_context(context);
    let full = runtime.call_json("app:ask", vec!["mirror".into(), "[]".into()], options).await.unwrap();
    let full = seen(full);
    assert!((1..5000).contains(&full["seconds_left"].as_u64().unwrap()), "{full}");
    assert_eq!((&full["request"], &full["trace"]), (&json!("r-1"), &json!("00-1-2-01")));
    assert_eq!((&full["values"], &full["depth"]), (&json!({"user": "u-7"}), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_come_back_as_values_with_their_kind() {
    let functions = [
        pricing("app:ask", "ask", PoolSpec::lazy(4)),
        lab("app:trap", "trap", PoolSpec::lazy(1)),
        lab("app:add", "add", PoolSpec::lazy(1)),
    ];
    let gate = crate::tree::Gate::new();
    let runtime = gate.builder("funcs-errors").functions(functions).start().await.unwrap();
    for (id, args, expected) in [
        ("app:nobody", "[]", "not_found: there is no function `app:nobody`"),
        ("app:add", "[1]", "invalid: expected 2 arguments"),
        ("app:add", "[1, true]", "invalid: args[1]: expected s32, got boolean"),
        ("app:add", "7", "invalid: the arguments of a call are a JSON array"),
        ("app:add", "[7", "invalid: the arguments of a call are a JSON array"),
        ("app:trap", "", "internal: `app:trap`"),
        ("", "", "not_found: there is no function `app:`"),
    ] {
        let error = call(&runtime, "app:ask", json!([id, args])).await.unwrap();
        let text = error["err"].as_str().unwrap_or_else(|| panic!("{id} {args}: {error}"));
        assert!(text.starts_with(expected), "{id} {args}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_call_is_the_end_of_what_it_called() {
    let stuck = Stuck::default();
    let mut limited = pricing("app:limited", "ask", PoolSpec::lazy(2));
    limited.limits.max_execution = Some(Duration::from_millis(300));
    let functions = [pricing("app:ask", "ask", PoolSpec::lazy(2)), limited, native("app:stuck", stuck.clone())];
    let runtime = start("funcs-end", functions).await.unwrap();
    let running = || stuck.0.load(Ordering::SeqCst);
    let args = || vec!["stuck".into(), "".into()];

    // The caller's own timeout.
    let outer = runtime.call_json("app:ask", args(), CallOptions::timeout(Duration::from_millis(300))).await;
    assert_eq!(outer.unwrap_err().kind(), ErrorKind::Timeout);
    until("the nested call of a call that timed out has ended", || running() == 0).await;
    // The limit of the function.
    let outer = runtime.call_json("app:limited", args(), CallOptions::default()).await;
    assert_eq!(outer.unwrap_err().kind(), ErrorKind::Timeout);
    until("the nested call of a call that ran too long has ended", || running() == 0).await;
    // A caller that goes away.
    let outer = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.call_json("app:ask", args(), CallOptions::default()).await }
    });
    until("the nested call runs", || running() == 1).await;
    outer.abort();
    until("the nested call of a call that was cancelled has ended", || running() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_nest_as_deep_as_they_may_and_no_deeper() {
    let functions = [pricing("app:a", "bounce", PoolSpec::lazy(50)), pricing("app:b", "bounce", PoolSpec::lazy(50))];
    let runtime = start("funcs-depth", functions).await.unwrap();
    let bounce = |left: u32| call(&runtime, "app:a", json!([["app:a", "app:b"], left]));
    assert_eq!(bounce(DEPTH_MAX).await.unwrap(), json!({"ok": DEPTH_MAX}));
    let error = bounce(DEPTH_MAX + 1).await.unwrap();
    let text = error["err"].as_str().unwrap();
    assert!(text.contains("invalid: calls are nested 32 deep"), "{text}");
    // A call from outside says how deep it is, and cannot be deeper.
    let context = Context { depth: DEPTH_MAX, ..Context::default() };
    let args = vec![json!(["app:a"]), json!(1)];
    let error = runtime.call_json("app:a", args, CallOptions::default().with_context(context)).await.unwrap();
    assert!(error["err"].as_str().unwrap().starts_with("invalid: calls are nested"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_call_each_other_with_one_worker_each_end_with_an_error() {
    let pools = || [PoolSpec::inline(), PoolSpec::fixed(1, 1), PoolSpec::lazy(1), PoolSpec::adaptive(1, false)];
    let named = |kind: &str, index: usize| format!("app:{kind}{index}");
    let functions = pools()
        .into_iter()
        .enumerate()
        .flat_map(|(index, pool)| ["ping", "pong"].map(|kind| pricing(&named(kind, index), "bounce", pool.clone())));
    let runtime = start("funcs-cycle", functions.collect::<Vec<_>>()).await.unwrap();
    let cycles = (0..pools().len()).flat_map(|index| {
        let (ping, pong) = (named("ping", index), named("pong", index));
        // Each the other, and itself.
        [(ping.clone(), json!([&ping, &pong])), (pong.clone(), json!([&pong]))]
    });
    let outcomes = cycles.map(|(id, ids)| {
        let runtime = &runtime;
        async move { (id.clone(), call(runtime, &id, json!([ids, 10])).await.unwrap()) }
    });
    for (id, outcome) in futures::future::join_all(outcomes).await {
        let text = outcome["err"].as_str().unwrap_or_else(|| panic!("{id}: {outcome}"));
        assert!(text.contains("rate_limited: the nested call of `app:p"), "{id}: {text}");
        assert!(text.contains("waited 1000 ms for a worker"), "{id}: {text}");
    }
    // Nothing is left behind: each serves calls as before.
    for index in 0..pools().len() {
        assert_eq!(call(&runtime, &named("ping", index), json!([[], 0])).await.unwrap(), json!({"ok": 0}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_that_lets_calls_wait_lets_nested_ones_go_in_time() {
    let pool = PoolSpec { on_full: OnFull::Wait, ..PoolSpec::lazy(1).with_buffer(0) };
    let runtime = start("funcs-full", [pricing("app:a", "bounce", pool)]).await.unwrap();
    let error = call(&runtime, "app:a", json!([["app:a"], 3])).await.unwrap();
    assert!(error["err"].as_str().unwrap().starts_with("rate_limited: the nested call of `app:a` waited"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_needs_more_instances_than_there_may_be_ends_with_an_error() {
    let functions = [pricing("app:a", "bounce", PoolSpec::lazy(50)), pricing("app:b", "bounce", PoolSpec::lazy(50))];
    let runtime = Runtime::builder().name("funcs-room").instances_max(3).functions(functions).start().await.unwrap();
    let bounce = |left: u32| call(&runtime, "app:a", json!([["app:a", "app:b"], left]));
    let error = bounce(10).await.unwrap();
    assert!(error["err"].as_str().unwrap().contains("rate_limited: the nested call of `app:"), "{error}");
    assert_eq!(bounce(1).await.unwrap(), json!({"ok": 1}));
}

/// Answers 1 when it is let.
#[derive(Clone)]
struct Held {
    come: Arc<AtomicUsize>,
    open: Arc<tokio::sync::Semaphore>,
}

impl Executor for Held {
    fn make(&self) -> BoxFuture<'_, Result<Box<dyn Instance>, CallError>> {
        async { Ok(Box::new(self.clone()) as Box<dyn Instance>) }.boxed()
    }
}

impl Instance for Held {
    fn run<'a>(&'a mut self, _: Payload, _: &'a Arc<Context>) -> BoxFuture<'a, Result<Answer, CallError>> {
        async {
            self.come.fetch_add(1, Ordering::SeqCst);
            self.open.acquire().await.unwrap().forget();
            Ok(Answer::Json(1.into()))
        }
        .boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_run_make_their_nested_calls_while_the_runtime_drains() {
    let held = Held { come: Arc::default(), open: Arc::new(tokio::sync::Semaphore::new(0)) };
    let functions = [pricing("app:total", "total", PoolSpec::lazy(2)), native("app:compute", held.clone())];
    let runtime = start("funcs-drain", functions).await.unwrap();
    let items = || json!([[{"name": "a", "price": 1, "quantity": 1}, {"name": "b", "price": 1, "quantity": 1}]]);
    let outer = tokio::spawn({
        let runtime = runtime.clone();
        async move { call(&runtime, "app:total", items()).await }
    });
    until("the first of two nested calls runs", || held.come.load(Ordering::SeqCst) == 1).await;
    assert_eq!(runtime.drain(Duration::ZERO).await, 2);
    held.open.add_permits(1);
    until("the second is made", || held.come.load(Ordering::SeqCst) == 2).await;
    held.open.add_permits(1);
    assert_eq!(outer.await.unwrap().unwrap(), json!({"ok": 2}));
    assert_eq!(runtime.drain(Duration::from_secs(60)).await, 0);
    assert_eq!(call(&runtime, "app:total", items()).await.unwrap_err().kind(), ErrorKind::Unavailable);
}
