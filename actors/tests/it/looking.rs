//! What is seen of the tree.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use greenroom_actors::{
    ErrorKind, Runtime,
    spec::{PoolKind, PoolSpec},
    tree::{FunctionNode, FunctionState, Restarts, WorkerState},
};
use serde_json::{Value, json};

use crate::{
    supervision::{Moody, moody},
    tree::{Gate, lab, until, within},
};

/// Looks until a function is as it should be.
async fn seen(runtime: &Runtime, id: &str, is_so: impl Fn(&FunctionNode) -> bool) -> FunctionNode {
    let looking = async {
        loop {
            let tree = runtime.tree().await;
            let function = tree.functions.into_iter().find(|function| function.id.as_str() == id).unwrap();
            if is_so(&function) {
                return function;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), looking).await.expect("it comes to be so")
}

#[tokio::test]
async fn the_tree_shows_calls_that_run_and_wait_and_the_workers_that_run_them() {
    let gate = Gate::new();
    let waits = lab("look:wait", "wait", PoolSpec::fixed(2, 3).with_buffer(5));
    let adds = lab("look:add", "add", PoolSpec::lazy(4));
    let runtime = gate.builder("look-calls").function(waits).function(adds).start().await.unwrap();
    let calls: Vec<_> = (0..3)
        .map(|n: u32| {
            let runtime = runtime.clone();
            tokio::spawn(async move { runtime.call::<u32>("look:wait", (n,)).await })
        })
        .collect();
    until("two run", || gate.held() == 2).await;
    let function = seen(&runtime, "look:wait", |function| function.calls == 3).await;
    assert_eq!((function.state, function.calls_max), (FunctionState::Ready, 7));
    let pool = function.pool.unwrap();
    assert_eq!((pool.kind, pool.instances_max, pool.waiting, pool.starting), (PoolKind::Static, 3, 1, 0));
    assert_eq!(
        pool.workers.iter().map(|worker| (worker.id, worker.state)).collect::<Vec<_>>(),
        [(1, WorkerState::Running), (2, WorkerState::Running)]
    );
    assert!(pool.workers.iter().all(|worker| worker.call_ms.is_some_and(|call| call <= worker.age_ms)));
    assert!(function.last_error.is_none() && function.restarts == Restarts::default());

    let tree = runtime.tree().await;
    assert_eq!((tree.runtime.as_str(), tree.guest_threads), ("look-calls", 2));
    assert!(tree.instances_available < 300 && tree.degraded().next().is_none());
    assert_eq!(
        tree.functions.iter().map(|function| function.id.as_str()).collect::<Vec<_>>(),
        ["look:add", "look:wait"]
    );
    let json = serde_json::to_value(&tree).unwrap();
    assert_eq!(
        json["functions"][0],
        json!({
            "id": "look:add", "state": "ready", "calls": 0, "calls_max": 260,
            "pool": {
                "kind": "lazy", "instances_max": 4, "waiting": 0, "starting": 0, "workers": [], "degraded": null,
            },
            "restarts": {"workers": 0, "dispatcher": 0, "supervisor": 0}, "last_error": null,
        })
    );
    assert_eq!(json["functions"][1]["pool"]["workers"][0]["state"], "running");

    gate.release(3);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let idle = seen(&runtime, "look:wait", |function| {
        function.pool.as_ref().is_some_and(|pool| pool.workers.iter().all(|worker| worker.state == WorkerState::Idle))
    });
    assert!(idle.await.pool.unwrap().workers.iter().all(|worker| worker.call_ms.is_none()));
}

#[tokio::test]
async fn the_tree_remembers_the_last_error_and_what_was_started_again() {
    let gate = Gate::new();
    let spins = within(lab("look:spin", "spin", PoolSpec::fixed(1, 1)), 20);
    let divides = lab("look:divide", "divide", PoolSpec::lazy(1));
    let runtime = gate.builder("look-errors").function(spins).function(divides).start().await.unwrap();
    assert_eq!(runtime.call::<Value>("look:spin", ()).await.unwrap_err().kind(), ErrorKind::Timeout);
    let function = seen(&runtime, "look:spin", |function| function.restarts.workers == 1).await;
    let last = function.last_error.unwrap();
    assert_eq!(last.kind, ErrorKind::Timeout);
    assert!(last.message.contains("limits.max_execution_ms"), "{last:?}");

    runtime.call::<i32>("look:divide", (1, 0)).await.unwrap_err();
    let error = runtime.call::<i32>("look:divide", ("secret", 0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let function = seen(&runtime, "look:divide", |_| true).await;
    let last = function.last_error.unwrap();
    // What a caller did wrong is no error of the function.
    assert!(last.kind == ErrorKind::Internal && last.message.contains("division by zero"), "{last:?}");

    let dispatcher = runtime.dispatcher("look:divide").unwrap();
    dispatcher.kill();
    let function = seen(&runtime, "look:divide", |function| {
        function.restarts.dispatcher == 1 && function.state == FunctionState::Ready
    });
    assert!(function.await.last_error.is_some(), "an error outlives the dispatcher");
}

#[tokio::test]
async fn a_function_whose_instances_cannot_be_made_is_shown_as_degraded() {
    let executor = Arc::<Moody>::default();
    let runtime = Runtime::builder()
        .name("look-degraded")
        .function(moody("look:moody", &executor, PoolSpec::lazy(2)))
        .start()
        .await
        .unwrap();
    runtime.call::<Value>("look:moody", ()).await.unwrap_err();
    let function = seen(&runtime, "look:moody", |function| function.state == FunctionState::Degraded).await;
    let degraded = function.pool.unwrap().degraded.unwrap();
    assert!(degraded.why == "not today" && degraded.retry_after_ms <= 10_000, "{degraded:?}");
    assert_eq!(runtime.tree().await.degraded().count(), 1);
    executor.well.store(true, Ordering::SeqCst);
    // It is probed whether anybody calls or not.
    seen(&runtime, "look:moody", |function| function.state == FunctionState::Ready).await;
}

#[tokio::test]
async fn a_function_whose_dispatcher_says_nothing_is_shown_as_silent() {
    let gate = Gate::new();
    let runtime =
        gate.builder("look-silent").function(lab("look:add", "add", PoolSpec::lazy(1))).start().await.unwrap();
    runtime.shutdown(Duration::ZERO).await;
    let function = seen(&runtime, "look:add", |_| true).await;
    assert!(function.state == FunctionState::Silent && function.pool.is_none());
}
