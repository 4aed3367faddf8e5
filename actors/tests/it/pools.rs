//! The four pools on real instances: how many run, how many live, who is refused.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use greenroom_actors::{
    Answer, CallError, CallOptions, Context, ErrorKind, Payload, Runtime,
    executor::{Executor, Instance},
    spec::{Code, FunctionSpec, Limits, OnFull, PoolSpec, Sizing},
    wasm::GuestState,
    wasmtime::{self, component::LinkerInstance},
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::tree::{Gate, lab, metrics, until};

fn spawn(
    runtime: &Runtime,
    id: &'static str,
    n: u32,
) -> tokio::task::JoinHandle<Result<u32, greenroom_actors::CallError>> {
    let runtime = runtime.clone();
    tokio::spawn(async move { runtime.call::<u32>(id, (n,)).await })
}

#[tokio::test]
async fn a_static_pool_of_four_with_two_workers_runs_two_keeps_four_and_refuses_the_nineteenth() {
    let (gate, metrics) = (Gate::new(), metrics());
    let pool = PoolSpec::fixed(2, 4).with_buffer(16);
    let runtime = gate.builder("pools-static").function(lab("static:wait", "wait", pool)).start().await.unwrap();
    let id = "static:wait";
    until("four instances are ready before any call", || metrics.instances(id, "ready") == 4.0).await;
    let calls: Vec<_> = (0..18).map(|n| spawn(&runtime, id, n)).collect();
    until("two run and sixteen wait", || {
        gate.held() == 2 && metrics.value("greenroom_queue_depth", &[("function", id)]) == 16.0
    })
    .await;
    assert_eq!((metrics.instances(id, "running"), metrics.instances(id, "ready")), (2.0, 2.0));
    let refused = runtime.call::<u32>(id, (99,)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::RateLimited);
    assert!(refused.retryable() && refused.retry_after().is_some());
    assert_eq!(gate.held(), 2);
    gate.release(18);
    for (n, call) in (0..).zip(calls) {
        assert_eq!(call.await.unwrap().unwrap(), n);
    }
    assert!(runtime.instances_available() >= 300 - 4, "never more than four live");
    until("four are ready again", || metrics.instances(id, "ready") == 4.0).await;
}

#[tokio::test]
async fn an_inline_pool_runs_one_call_at_a_time_in_order_and_keeps_nothing() {
    let (gate, metrics) = (Gate::new(), metrics());
    let runtime =
        gate.builder("pools-inline").function(lab("inline:wait", "wait", PoolSpec::inline())).start().await.unwrap();
    assert_eq!(runtime.instances_available(), 300);
    let calls: Vec<_> = (0..5).map(|n| spawn(&runtime, "inline:wait", n)).collect();
    for finished in 1..=5 {
        until("one call runs", || gate.come() == finished && gate.held() == 1).await;
        assert!(runtime.instances_available() >= 299);
        gate.release(1);
    }
    for call in calls {
        call.await.unwrap().unwrap();
    }
    until("no instance is kept", || runtime.instances_available() == 300).await;
    assert_eq!(metrics.instances("inline:wait", "ready"), 0.0);
}

#[tokio::test]
async fn a_lazy_pool_grows_to_its_bound_and_gives_idle_workers_up() {
    let (gate, metrics) = (Gate::new(), metrics());
    let mut pool = PoolSpec::lazy(3);
    pool.sizing = Sizing::Lazy { max_size: 3, idle_timeout: Duration::from_millis(50) };
    let runtime = gate.builder("pools-lazy").function(lab("lazy:wait", "wait", pool)).start().await.unwrap();
    assert_eq!((metrics.workers("lazy:wait"), runtime.instances_available()), (0.0, 300));
    let calls: Vec<_> = (0..10).map(|n| spawn(&runtime, "lazy:wait", n)).collect();
    until("three run and seven wait", || {
        gate.held() == 3 && metrics.value("greenroom_queue_depth", &[("function", "lazy:wait")]) == 7.0
    })
    .await;
    assert_eq!(metrics.workers("lazy:wait"), 3.0);
    gate.release(10);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    until("no worker and no instance is left", || {
        metrics.workers("lazy:wait") == 0.0 && runtime.instances_available() == 300
    })
    .await;
    let idle = metrics.value("greenroom_worker_ends_total", &[("function", "lazy:wait"), ("reason", "idle")]);
    assert_eq!(idle, 3.0);
}

#[tokio::test]
async fn a_warm_adaptive_pool_has_an_instance_before_the_first_call_and_a_cold_one_has_none() {
    let (gate, metrics) = (Gate::new(), metrics());
    let runtime = gate
        .builder("pools-adaptive")
        .function(lab("warm:wait", "wait", PoolSpec::adaptive(16, true)))
        .function(lab("cold:wait", "wait", PoolSpec::adaptive(16, false)))
        .start()
        .await
        .unwrap();
    until("the warm one is ready", || metrics.instances("warm:wait", "ready") == 1.0).await;
    until("its worker idles", || metrics.workers("warm:wait") == 1.0).await;
    assert_eq!(metrics.workers("cold:wait"), 0.0);
    // Sleeping calls: the pool sees that more workers help, and grows to its bound.
    let calls: Vec<_> = (0..40).map(|n| spawn(&runtime, "warm:wait", n)).collect();
    until("sixteen run", || gate.held() == 16).await;
    gate.release(40);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_adaptive_pool_gives_idle_workers_up_but_for_the_warm_one() {
    let (gate, metrics) = (Gate::new(), metrics());
    let idle_timeout = Duration::from_millis(50);
    let pool = PoolSpec::new(Sizing::Adaptive { max_size: 3, warm_start: true, idle_timeout });
    let runtime = gate.builder("pools-idle").function(lab("idle:wait", "wait", pool)).start().await.unwrap();
    let calls: Vec<_> = (0..3).map(|n| spawn(&runtime, "idle:wait", n)).collect();
    until("three run", || gate.held() == 3).await;
    gate.release(3);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    until("two have gone", || metrics.workers("idle:wait") == 1.0).await;
    until("the warm one is ready", || metrics.instances("idle:wait", "ready") == 1.0).await;
    let idle = metrics.value("greenroom_worker_ends_total", &[("function", "idle:wait"), ("reason", "idle")]);
    assert_eq!(idle, 2.0);
}

#[tokio::test]
async fn guests_run_on_as_many_threads_as_the_builder_says() {
    // Guests that hold their threads until five have come: with fewer threads, the fifth never comes.
    let come = Arc::new((Mutex::new(0), Condvar::new()));
    let link = {
        let come = come.clone();
        move |linker: &mut LinkerInstance<'_, GuestState>| {
            let come = come.clone();
            linker.func_wrap("pass", move |_, (_,): (u32,)| {
                let (count, changed) = &*come;
                *count.lock().unwrap() += 1;
                changed.notify_all();
                let waiting = count.lock().unwrap();
                let waited = changed.wait_timeout_while(waiting, Duration::from_secs(60), |n| *n < 5).unwrap();
                if waited.1.timed_out() { Err(wasmtime::format_err!("five guests never ran at once")) } else { Ok(()) }
            })
        }
    };
    let builder = Runtime::builder().name("pools-threads").guest_threads(5).host("test:lab/gate", link);
    let runtime = builder.function(lab("threads:wait", "wait", PoolSpec::lazy(5))).start().await.unwrap();
    let calls: Vec<_> = (0..5).map(|n| spawn(&runtime, "threads:wait", n)).collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_full_pool_that_says_wait_lets_callers_wait_within_their_timeout() {
    let gate = Gate::new();
    let pool = PoolSpec { on_full: OnFull::Wait, ..PoolSpec::inline().with_buffer(0) };
    let runtime = gate.builder("pools-wait").function(lab("f:wait", "wait", pool)).start().await.unwrap();
    let first = spawn(&runtime, "f:wait", 1);
    until("the first call runs", || gate.held() == 1).await;
    let options = CallOptions::timeout(Duration::from_millis(20));
    let error = runtime.call_with::<u32>("f:wait", (2,), options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let third = spawn(&runtime, "f:wait", 3);
    gate.release(2);
    assert_eq!((first.await.unwrap().unwrap(), third.await.unwrap().unwrap()), (1, 3));
}

#[tokio::test]
async fn functions_share_the_instances_of_the_runtime_and_wait_for_them() {
    let gate = Gate::new();
    let runtime = gate
        .builder("pools-shared")
        .instances_max(2)
        .function(lab("f:one", "wait", PoolSpec::lazy(5)))
        .function(lab("f:two", "add", PoolSpec::inline()))
        .start()
        .await
        .unwrap();
    let calls: Vec<_> = (0..5).map(|n| spawn(&runtime, "f:one", n)).collect();
    until("two run, for more may not live", || gate.held() == 2).await;
    let other = {
        let runtime = runtime.clone();
        tokio::spawn(async move { runtime.call::<i32>("f:two", (1, 2)).await })
    };
    gate.release(5);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(other.await.unwrap().unwrap(), 3, "instances that idled gave their places up for it");
}

/// Makes an instance when it is told to.
struct Slow {
    told: Semaphore,
    asked: AtomicUsize,
}

struct SlowInstance;

impl Executor for Slow {
    fn make(&self) -> BoxFuture<'_, Result<Box<dyn Instance>, CallError>> {
        async {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.told.acquire().await.unwrap().forget();
            Ok(Box::new(SlowInstance) as Box<dyn Instance>)
        }
        .boxed()
    }
}

impl Instance for SlowInstance {
    fn run<'a>(&'a mut self, _: Payload, _: &'a Arc<Context>) -> BoxFuture<'a, Result<Answer, CallError>> {
        async { Ok(Answer::Json(json!("done"))) }.boxed()
    }
}

#[tokio::test]
async fn a_call_that_comes_while_spare_instances_are_made_waits_for_one_of_them_at_most() {
    let slow = Arc::new(Slow { told: Semaphore::new(1), asked: AtomicUsize::new(0) });
    let spec = FunctionSpec {
        id: "slow:made".parse().unwrap(),
        code: Code::Custom(slow.clone()),
        pool: PoolSpec::fixed(1, 4),
        limits: Limits::default(),
    };
    let runtime = Runtime::builder().name("pools-spares").function(spec).start().await.unwrap();
    until("the first of three spares is being made", || slow.asked.load(Ordering::SeqCst) == 2).await;
    let call = runtime.call::<Value>("slow:made", ());
    let mut call = std::pin::pin!(call);
    assert!(futures::poll!(&mut call).is_pending(), "it is with the worker, which is busy");
    slow.told.add_permits(1);
    let answer = tokio::time::timeout(Duration::from_secs(60), call).await;
    assert_eq!(answer.expect("the other two are not waited for").unwrap(), json!("done"));
}

#[tokio::test]
async fn a_task_beside_the_functions_runs_on_their_threads_and_calls_them() {
    let gate = Gate::new();
    gate.release(9);
    let spec = lab("f:wait", "wait", PoolSpec::lazy(2));
    let runtime = gate.builder("pools-beside").function(spec).start().await.unwrap();
    let caller = runtime.clone();
    let task = runtime.spawn_beside(async move {
        let thread = std::thread::current().name().map(str::to_owned);
        (thread, caller.call::<u32>("f:wait", (1,)).await)
    });
    let (thread, answer) = task.await.unwrap();
    assert_eq!(thread.as_deref(), Some("greenroom-guest"));
    answer.unwrap();

    let endless = runtime.spawn_beside(std::future::pending::<()>());
    runtime.shutdown(Duration::ZERO).await;
    drop(runtime);
    assert!(endless.await.unwrap_err().is_cancelled());
}
