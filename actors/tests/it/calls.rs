//! One call and its answer, in every form that callers have.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use greenroom_actors::{
    Answer, CallError, CallMessage, CallOptions, Context, ErrorKind, Payload, Runtime,
    executor::{Executor, Instance},
    ractor::{self, ActorRef},
    spec::{Code, FunctionSpec, Limits, PoolSpec},
    wasmtime::component::Val,
};
use serde_json::{Value, json};

use crate::tree::{Gate, lab, reusing, until};

#[tokio::test]
async fn typed_json_and_raw_callers_have_the_same_answer() {
    let runtime =
        Gate::new().builder("calls-forms").function(lab("f:add", "add", PoolSpec::default())).start().await.unwrap();
    assert_eq!(runtime.call::<i32>("f:add", (6, 7)).await.unwrap(), 13);
    assert_eq!(runtime.call::<Value>("f:add", json!([6, 7])).await.unwrap(), json!(13));
    assert_eq!(runtime.call_json("f:add", vec![json!(6), json!(7)], CallOptions::default()).await.unwrap(), json!(13));
    let vals = vec![Val::S32(6), Val::S32(7)];
    let answer = runtime.call_vals("f:add", vals, CallOptions::default()).await.unwrap();
    assert_eq!(answer, Some(Val::S32(13)));
    assert_eq!(runtime.signature("f:add").unwrap().unwrap().to_string(), "(a: s32, b: s32) -> s32");
}

#[tokio::test]
async fn what_does_not_fit_is_told_before_a_worker_is_taken() {
    let runtime =
        Gate::new().builder("calls-invalid").function(lab("f:add", "add", PoolSpec::default())).start().await.unwrap();
    let error = runtime.call::<i32>("f:nothing", ()).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::NotFound, "there is no function `f:nothing`"));
    let error = runtime.call::<i32>("f:add", (6, "seven")).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, "args[1]: expected s32, got string"));
    let error = runtime.call::<i32>("f:add", (6,)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let vals = vec![Val::S32(6), Val::U32(7)];
    let error = runtime.call_vals("f:add", vals, CallOptions::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, "args[1]: expected s32, got u32"));
    assert_eq!(runtime.instances_available(), 300, "no instance was made for any of these");
    let error = runtime.call::<String>("f:add", (6, 7)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "a result that is not what the caller wants: {error}");
}

#[tokio::test]
async fn a_trap_fails_its_call_with_a_backtrace_and_the_next_call_works() {
    let pools = [PoolSpec::inline(), PoolSpec::lazy(1), PoolSpec::fixed(1, 1), PoolSpec::adaptive(1, true)];
    for (index, pool) in pools.into_iter().enumerate() {
        let name = format!("calls-trap-{index}");
        let runtime = Gate::new().builder(&name).function(lab("f:divide", "divide", pool)).start().await.unwrap();
        let error = runtime.call::<i32>("f:divide", (1, 0)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.message().contains("division by zero"), "{error}");
        assert!(error.backtrace().is_some());
        assert_eq!(runtime.call::<i32>("f:divide", (42, 6)).await.unwrap(), 7);
    }
}

#[tokio::test]
async fn each_call_has_a_fresh_instance_in_every_pool() {
    let pools = [PoolSpec::inline(), PoolSpec::lazy(1), PoolSpec::fixed(1, 2), PoolSpec::adaptive(2, true)];
    for (index, pool) in pools.into_iter().enumerate() {
        let name = format!("calls-fresh-{index}");
        let runtime = Gate::new().builder(&name).function(lab("f:count", "count", pool)).start().await.unwrap();
        for _ in 0..5 {
            assert_eq!(runtime.call::<u32>("f:count", ()).await.unwrap(), 1);
        }
    }
}

#[tokio::test]
async fn an_instance_serves_as_many_calls_as_its_entry_says_and_none_after_a_failed_one() {
    let spec = reusing(lab("f:count", "count-or-trap", PoolSpec::fixed(1, 1)), 3);
    let runtime = Gate::new().builder("calls-reuse").function(spec).start().await.unwrap();
    let mut counts = Vec::new();
    for _ in 0..7 {
        counts.push(runtime.call::<u32>("f:count", (false,)).await.unwrap());
    }
    assert_eq!(counts, [1, 2, 3, 1, 2, 3, 1]);
    assert_eq!(runtime.call::<u32>("f:count", (true,)).await.unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(runtime.call::<u32>("f:count", (false,)).await.unwrap(), 1, "the failed call ended its instance");
}

#[tokio::test]
async fn an_actor_finds_a_dispatcher_by_name_and_group_and_sends_it_a_call() {
    let gate = Gate::new();
    let runtime = gate.builder("calls-actor").function(lab("f:add", "add", PoolSpec::default())).start().await.unwrap();
    let cell = ractor::registry::where_is("calls-actor/f:add").expect("the dispatcher is registered");
    let dispatcher = ActorRef::<CallMessage>::from(cell.clone());
    let args = Payload::Json(vec![json!(40), json!(2)]);
    let answer = ractor::call!(dispatcher, CallMessage::call, args).expect("one answer").unwrap();
    assert!(matches!(answer, Answer::Val(Some(Val::S32(42)))), "{answer:?}");
    let members = ractor::pg::get_members(&"calls-actor".to_owned());
    assert_eq!(members.iter().map(ractor::ActorCell::get_id).collect::<Vec<_>>(), [cell.get_id()]);
    let refused = ractor::call!(dispatcher, CallMessage::call, Payload::Json(vec![])).expect("one answer").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    drop(runtime);
}

#[tokio::test]
async fn the_timeout_of_a_call_message_ends_its_call() {
    let gate = Gate::new();
    let runtime = gate.builder("calls-rpc").function(lab("f:wait", "wait", PoolSpec::lazy(1))).start().await.unwrap();
    let dispatcher = runtime.dispatcher("f:wait").unwrap();
    let options = CallOptions::timeout(Duration::from_millis(20));
    let args = Payload::Json(vec![json!(1)]);
    let call = |port| CallMessage::call_with(args, options, port);
    let answer = dispatcher.call(call, None).await.unwrap().unwrap();
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Timeout);
    until("the guest is gone", || gate.held() == 0).await;
}

#[tokio::test]
async fn an_actor_that_goes_away_cancels_its_call() {
    let gate = Gate::new();
    let runtime = gate.builder("calls-gone").function(lab("f:wait", "wait", PoolSpec::lazy(1))).start().await.unwrap();
    let dispatcher = runtime.dispatcher("f:wait").unwrap();
    let (port, answer) = ractor::concurrency::oneshot();
    dispatcher.cast(CallMessage::call(Payload::Json(vec![json!(1)]), port.into())).unwrap();
    until("the guest waits", || gate.held() == 1).await;
    drop(answer);
    until("the guest is gone", || gate.held() == 0).await;
    gate.release(1);
    assert_eq!(runtime.call::<u32>("f:wait", (2,)).await.unwrap(), 2);
}

/// An executor of another language: it takes JSON and shows what it was given.
struct Mirror;

struct MirrorInstance;

impl Executor for Mirror {
    fn make(&self) -> BoxFuture<'_, Result<Box<dyn Instance>, CallError>> {
        async { Ok(Box::new(MirrorInstance) as Box<dyn Instance>) }.boxed()
    }
}

impl Instance for MirrorInstance {
    fn run<'a>(&'a mut self, args: Payload, context: &'a Arc<Context>) -> BoxFuture<'a, Result<Answer, CallError>> {
        async move {
            let Payload::Json(args) = args else { return Err(CallError::new(ErrorKind::Internal, "not JSON")) };
            Ok(Answer::Json(json!({"args": args, "request": context.request_id, "values": context.values})))
        }
        .boxed()
    }
}

#[tokio::test]
async fn functions_of_other_executors_take_json_and_the_context_of_the_call() {
    let spec = FunctionSpec {
        id: "f:mirror".parse().unwrap(),
        code: Code::Custom(Arc::new(Mirror)),
        pool: PoolSpec::default(),
        limits: Limits::default(),
    };
    let runtime = Runtime::builder().name("calls-mirror").function(spec).start().await.unwrap();
    let context = Context {
        request_id: Some("r1".into()),
        values: [("tenant".to_owned(), "blue".to_owned())].into(),
        ..Context::default()
    };
    let options = CallOptions::default().with_context(context);
    let answer: Value = runtime.call_with("f:mirror", (1, "two"), options).await.unwrap();
    assert_eq!(answer, json!({"args": [1, "two"], "request": "r1", "values": {"tenant": "blue"}}));
    let error = runtime.call_vals("f:mirror", vec![Val::Bool(true)], CallOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
