//! Calls of other entries: awaited, in the background, with options, and in chains.

use greenroom::{CallOptions, Context, ErrorKind};
use serde_json::json;

use super::{call, entry, item, lua, once, start};
use crate::registry::Root;

const ADD: &str = "  - {name: add, kind: function.wat, method: add, source: \"(module (func (export \\\"add\\\") (param i32 i32) \
    (result i32) (i32.add (local.get 0) (local.get 1))))\"}\n";

fn with_add(source: &str) -> Root {
    Root::with(&(entry("f", "modules: [funcs, time]", source) + ADD))
}

#[tokio::test]
async fn a_call_gives_a_result_or_nothing_and_an_error() {
    let source = "local sum, none = funcs.call('myns:add', 40, 2)\nlocal nothing, err = funcs.call('myns:none')\n\
        return { sum, none == nil, nothing == nil, err:kind(), err:message(), err:retryable() }";
    let runtime = start("call", &with_add(source)).await;
    let expected = json!([42, true, true, "not_found", "there is no function `myns:none`", false]);
    assert_eq!(call(&runtime, json!([])).await.unwrap(), expected);
}

#[tokio::test]
async fn a_name_without_a_namespace_is_of_the_functions_own() {
    let runtime = start("own", &with_add("return funcs.call('add', 1, 2)")).await;
    assert_eq!(call(&runtime, json!([])).await.unwrap(), json!(3));
}

#[tokio::test]
async fn a_call_in_the_background_is_a_future() {
    let source = "local future = funcs.async('add', 40, 2)\n\
        local payload, ok = future:response():receive()\n\
        local again, more = future:channel():receive()\n\
        local result, err = future:result()\n\
        local failed, has_failed = future:error()\n\
        return { payload:data(), ok, again:data(), more, result:data(), err == nil, failed == nil, has_failed, \
        future:is_complete(), future:is_canceled() }";
    let runtime = start("future", &with_add(source)).await;
    let expected = json!([42, true, 42, true, 42, true, true, false, true, false]);
    assert_eq!(call(&runtime, json!([])).await.unwrap(), expected);
}

#[tokio::test]
async fn a_future_without_a_result_closes_its_channel_and_tells_why() {
    let source = "local future = funcs.async('add', 'x', 2)\nif not future then return 'no future' end\n\
        local payload, ok = future:response():receive()\nlocal err, has = future:error()\n\
        local result, why = future:result()\n\
        return { payload == nil, ok, err:kind(), has, result == nil, why:kind(), future:is_complete() }";
    let yaml = entry("f", "modules: [funcs]", &source.replace("'add', 'x', 2", "'fails'"));
    let yaml = yaml + &item("fails", "", "error(errors.new('unavailable', 'later'))");
    let runtime = start("future-fails", &Root::with(&yaml)).await;
    let expected = json!([true, false, "unavailable", true, true, "unavailable", true]);
    assert_eq!(call(&runtime, json!([])).await.unwrap(), expected);
    // Arguments that do not fit are an error at once.
    let source = "local future, err = funcs.async('add', 'x', 2)\nreturn { future == nil, err:kind() }";
    let runtime = start("future-misfit", &with_add(source)).await;
    assert_eq!(call(&runtime, json!([])).await.unwrap(), json!([true, "invalid"]));
}

#[tokio::test]
async fn a_future_can_be_canceled_and_its_call_ends() {
    let yaml = entry(
        "f",
        "modules: [funcs, time]",
        "local future = funcs.async('sleeps')\nlocal running = not future:is_complete()\nfuture:cancel()\n\
         local _, ok = future:response():receive()\n\
         return { running, ok, future:is_canceled(), future:is_complete(), future:error():kind() }",
    ) + &item("sleeps", "modules: [time]", "time.sleep('1h')");
    let runtime = start("cancel", &Root::with(&yaml)).await;
    assert_eq!(call(&runtime, json!([])).await.unwrap(), json!([true, false, true, true, "canceled"]));
    // Nobody waits for the sleeper any more.
    while runtime.tree().await.functions.iter().any(|function| function.calls > 0) {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn the_end_of_a_call_cancels_what_it_left_in_the_background() {
    let yaml = entry("f", "modules: [funcs]", "funcs.async('sleeps')\nreturn 'done'")
        + &item("sleeps", "modules: [time]", "time.sleep('1h')");
    let runtime = start("left", &Root::with(&yaml)).await;
    assert_eq!(call(&runtime, json!([])).await.unwrap(), json!("done"));
    while runtime.tree().await.functions.iter().any(|function| function.calls > 0) {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn options_of_calls_are_chained_and_each_change_is_another() {
    let yaml = entry(
        "f",
        "modules: [funcs]",
        "local plain = funcs.new()\nlocal hasty = plain:with_options{ timeout = 20 }\n\
         local worded = plain:with_options({ timeout = '20ms' })\n\
         local _, late = hasty:call('sleeps', 3600000)\nlocal _, later = worded:call('sleeps', 3600000)\n\
         local slept, none = plain:call('sleeps', 1)\n\
         local future = hasty:async('sleeps', 3600000)\nfuture:response():receive()\n\
         return { late:kind(), later:kind(), slept, none == nil, future:error():kind() }",
    ) + &item("sleeps", "modules: [time]", "time.sleep(...)\nreturn 'slept'");
    let runtime = start("options", &Root::with(&yaml)).await;
    assert_eq!(call(&runtime, json!([])).await.unwrap(), json!(["timeout", "timeout", "slept", true, "timeout"]));
}

#[tokio::test]
async fn wrong_options_say_what_there_is() {
    for (at, source, expected) in [
        ("name", "funcs.new():with_options{ timeot = 1 }", "there is no option `timeot`; there is `timeout`"),
        ("duration", "funcs.new():with_options{ timeout = 'soon' }", "expected a duration, got \"soon\""),
        ("negative", "funcs.new():with_options{ timeout = -1 }", "expected a duration, got -1"),
        ("context", "funcs.new():with_context{ user = {} }", "with_context: `user` is a table; values are strings"),
    ] {
        let error = once(&format!("option-{at}"), "modules: [funcs]", source, json!([])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{at}: {error}");
        assert!(error.message().starts_with(expected), "{at}: {error}");
    }
}

#[tokio::test]
async fn the_context_goes_along_with_calls_and_what_is_added_to_it() {
    use std::sync::{Arc, Mutex};

    use futures::future::BoxFuture;
    use greenroom::{
        Answer, CallError, Payload, Runtime,
        executor::{Executor, Instance},
        spec::{Code, FunctionSpec, Limits, PoolSpec},
    };

    /// Keeps the contexts of its calls.
    struct Keeps(Arc<Mutex<Vec<Context>>>);

    impl Executor for Keeps {
        fn make(&self) -> BoxFuture<'_, Result<Box<dyn Instance>, CallError>> {
            Box::pin(async { Ok(Box::new(Self(self.0.clone())) as Box<dyn Instance>) })
        }
    }

    impl Instance for Keeps {
        fn run<'a>(&'a mut self, _: Payload, context: &'a Arc<Context>) -> BoxFuture<'a, Result<Answer, CallError>> {
            self.0.lock().unwrap().push((**context).clone());
            Box::pin(async { Ok(Answer::Json(json!(null))) })
        }
    }

    let kept = Arc::new(Mutex::new(Vec::new()));
    let keeps = FunctionSpec {
        id: "myns:keeps".parse().unwrap(),
        code: Code::Custom(Arc::new(Keeps(kept.clone()))),
        pool: PoolSpec::lazy(1),
        limits: Limits::default(),
    };
    let source = "local one = funcs.new():with_context{ user = 'ann', level = 3 }\n\
        local two = one:with_context{ user = 'bob' }\none:call('keeps')\ntwo:call('keeps')\nfuncs.call('keeps')";
    let root = lua("modules: [funcs]", source);
    let runtime = Runtime::builder().registry(root.path()).name("lua-context").function(keeps).start().await.unwrap();
    let context = Context {
        request_id: Some("r-1".to_owned()),
        values: [("tenant".to_owned(), "t".to_owned())].into(),
        ..Context::default()
    };
    runtime.call_json("myns:f", vec![], CallOptions::default().with_context(context)).await.unwrap();
    let kept = kept.lock().unwrap();
    let users: Vec<_> = kept.iter().map(|context| context.values.get("user").map(String::as_str)).collect();
    assert_eq!(users, [Some("ann"), Some("bob"), None]);
    assert_eq!(kept[1].values.get("level").map(String::as_str), Some("3"));
    for context in &*kept {
        assert_eq!((context.request_id.as_deref(), context.depth), (Some("r-1"), 1));
        assert_eq!(context.values.get("tenant").map(String::as_str), Some("t"));
    }
}

#[tokio::test]
async fn calls_within_calls_have_one_deadline_and_a_bounded_depth() {
    // Lua calls Lua calls WebAssembly calls Lua.
    let yaml = entry("f", "modules: [funcs]", "local result, err = funcs.call('middle')\nreturn result, err")
        + &item(
            "middle",
            "modules: [funcs]",
            "local r, e = funcs.call('ping', {'last'}, 1)\nreturn { r, e and e:kind() }",
        )
        + &item("last", "modules: [time]", "time.sleep('1h')\nreturn { ok = 1 }")
        + "  - {name: b, kind: fs.directory, directory: ./wasm}\n  - name: ping\n    kind: function.wasm\n    fs: b\n    \
           path: pricing.wasm\n    hash: sha256:d74068f9dbfc7cfc180cd06c385514690e61d879d085e1c1728a44d387d3948d\n    \
           method: bounce\n    imports: [funcs]\n";
    let root = Root::with(&yaml);
    let pricing = std::path::Path::new(crate::cli::EXAMPLES).join("funcs/wasm/pricing.wasm");
    root.write("wasm/pricing.wasm", std::fs::read(pricing).unwrap());
    let runtime = start("chain", &root).await;
    let options = CallOptions::timeout(std::time::Duration::from_millis(300));
    let error = runtime.call_json("myns:f", vec![], options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    while runtime.tree().await.functions.iter().any(|function| function.calls > 0) {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let circle = "modules: [funcs]\npool: {max_size: 100}";
    let error = once("circle", circle, "return funcs.call('f')", json!([])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().starts_with("calls are nested 32 deep"), "{error}");
}
