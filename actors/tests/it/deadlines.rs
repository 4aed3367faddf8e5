//! Calls that end before they are done: deadlines, timeouts of callers, callers that go away.

use std::time::{Duration, Instant};

use greenroom_actors::{CallMessage, CallOptions, ErrorKind, Payload, spec::PoolSpec};

use crate::tree::{Gate, lab, metrics, until, wat, within};

#[tokio::test]
async fn an_endless_loop_is_stopped_and_the_next_call_works() {
    let looping =
        r#"(module (func (export "run") (param i32) (result i32) (loop $l (br_if $l (local.get 0))) (i32.const 7)))"#;
    let pools = [PoolSpec::inline(), PoolSpec::lazy(1), PoolSpec::fixed(1, 1), PoolSpec::adaptive(1, true)];
    for (index, pool) in pools.into_iter().enumerate() {
        let spec = within(wat("f:run", looping, None, "run", pool), 50);
        let runtime = Gate::new().builder(&format!("deadlines-loop-{index}")).function(spec).start().await.unwrap();
        let started = Instant::now();
        let error = runtime.call::<i32>("f:run", (1,)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(error.message(), "the call ran longer than limits.max_execution_ms (50 ms)");
        assert!(started.elapsed() >= Duration::from_millis(50));
        assert_eq!(runtime.call::<i32>("f:run", (0,)).await.unwrap(), 7);
        drop(runtime);
    }
}

#[tokio::test]
async fn a_guest_that_waits_in_the_host_is_stopped_and_its_memory_freed() {
    let gate = Gate::new();
    let runtime = gate
        .builder("deadlines-host")
        .function(within(lab("f:wait", "wait", PoolSpec::inline()), 30))
        .start()
        .await
        .unwrap();
    let error = runtime.call::<u32>("f:wait", (1,)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    until("the instance is gone", || gate.held() == 0 && runtime.instances_available() == 300).await;
    gate.release(1);
    assert_eq!(runtime.call::<u32>("f:wait", (5,)).await.unwrap(), 5);
}

#[tokio::test]
async fn an_endless_start_function_is_stopped() {
    let endless = r#"(module (func $s (loop $l (br $l))) (start $s) (func (export "run")))"#;
    for (index, pool) in [PoolSpec::inline(), PoolSpec::lazy(2)].into_iter().enumerate() {
        let spec = within(wat("f:start", endless, None, "run", pool), 40);
        let runtime = Gate::new().builder(&format!("deadlines-start-{index}")).function(spec).start().await.unwrap();
        let error = runtime.call::<()>("f:start", ()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        until("nothing is left of it", || runtime.instances_available() == 300).await;
    }
}

#[tokio::test]
async fn an_endless_start_function_is_stopped_after_ten_seconds_where_nothing_says_how_long_a_call_may_run() {
    let endless = r#"(module (func $s (loop $l (br $l))) (start $s) (func (export "run")))"#;
    let spec = wat("f:start", endless, None, "run", PoolSpec::lazy(2));
    let runtime = Gate::new().builder("deadlines-start-default").function(spec).start().await.unwrap();
    let error = runtime.call::<()>("f:start", ()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.message(), "making an instance of `f:start` took longer than 10000 ms");
}

#[tokio::test]
async fn waiting_for_a_place_among_all_instances_is_no_part_of_the_time_a_call_may_run() {
    let gate = Gate::new();
    let runtime = gate
        .builder("deadlines-place")
        .instances_max(1)
        .function(lab("f:wait", "wait", PoolSpec::inline()))
        .function(within(lab("f:add", "add", PoolSpec::inline()), 100))
        .start()
        .await
        .unwrap();
    let holding = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.call::<u32>("f:wait", (1,)).await }
    });
    until("the one instance is taken", || gate.held() == 1).await;
    let started = Instant::now();
    let waiting = runtime.call::<i32>("f:add", (1, 2));
    let release = async {
        tokio::time::sleep(Duration::from_millis(250)).await;
        gate.release(1);
    };
    let (answer, ()) = futures::join!(waiting, release);
    assert_eq!(answer.unwrap(), 3, "it waited longer than it may run");
    assert!(started.elapsed() >= Duration::from_millis(250));
    holding.await.unwrap().unwrap();
}

#[tokio::test]
async fn unbounded_recursion_traps_at_once() {
    let spec = within(lab("f:recurse", "recurse", PoolSpec::lazy(1)), 60_000);
    let runtime = Gate::new().builder("deadlines-recurse").function(spec).start().await.unwrap();
    let error = runtime.call::<()>("f:recurse", ()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.message().contains("stack"), "{error}");
}

#[tokio::test]
async fn a_callers_timeout_ends_a_call_that_waits_and_one_that_runs() {
    let gate = Gate::new();
    let runtime =
        gate.builder("deadlines-caller").function(lab("f:wait", "wait", PoolSpec::fixed(1, 1))).start().await.unwrap();
    let short = || CallOptions::timeout(Duration::from_millis(30));
    let running = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.call::<u32>("f:wait", (1,)).await }
    });
    until("the first call runs", || gate.held() == 1).await;
    let waiting = runtime.call_with::<u32>("f:wait", (2,), short()).await.unwrap_err();
    assert_eq!(
        (waiting.kind(), waiting.message()),
        (ErrorKind::Timeout, "the caller's timeout passed while the call was waiting in the queue")
    );
    gate.release(1);
    assert_eq!(running.await.unwrap().unwrap(), 1);
    let error = runtime.call_with::<u32>("f:wait", (3,), short()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Timeout, "the caller's timeout passed while the call was running")
    );
    until("the guest is gone", || gate.held() == 0).await;
    gate.release(1);
    assert_eq!(runtime.call::<u32>("f:wait", (4,)).await.unwrap(), 4);
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_its_call_waiting_or_running() {
    let gate = Gate::new();
    let metrics = metrics();
    let runtime =
        gate.builder("deadlines-gone").function(lab("gone:wait", "wait", PoolSpec::fixed(1, 1))).start().await.unwrap();
    let spawn = |n: u32| {
        let runtime = runtime.clone();
        tokio::spawn(async move { runtime.call::<u32>("gone:wait", (n,)).await })
    };
    let running = spawn(1);
    until("the first call runs", || gate.held() == 1).await;
    let (waiting, last) = (spawn(2), spawn(3));
    until("two calls wait", || metrics.value("greenroom_queue_depth", &[("function", "gone:wait")]) == 2.0).await;
    waiting.abort();
    until("one call waits", || metrics.value("greenroom_queue_depth", &[("function", "gone:wait")]) == 1.0).await;
    running.abort();
    until("the last call runs", || gate.come() == 2).await;
    gate.release(1);
    assert_eq!(last.await.unwrap().unwrap(), 3);
    let canceled = || metrics.value("greenroom_calls_total", &[("function", "gone:wait"), ("outcome", "canceled")]);
    until("both were counted", || canceled() == 2.0).await;
}

#[tokio::test]
async fn endless_loops_on_every_guest_thread_delay_neither_their_own_deadlines_nor_a_neighbour() {
    let gate = Gate::new();
    let runtime = gate
        .builder("deadlines-hogs")
        .function(within(lab("f:spin", "spin", PoolSpec::lazy(8)), 300))
        .function(lab("f:add", "add", PoolSpec::lazy(2)))
        .start()
        .await
        .unwrap();
    let hogs: Vec<_> = (0..16)
        .map(|_| {
            let runtime = runtime.clone();
            tokio::spawn(async move { runtime.call::<()>("f:spin", ()).await })
        })
        .collect();
    // The neighbour answers while they spin: 16 loops of 300 ms, 8 at a time, take 600 ms at least.
    let mut answered = 0;
    while !hogs.iter().all(tokio::task::JoinHandle::is_finished) {
        assert_eq!(runtime.call::<i32>("f:add", (1, 2)).await.unwrap(), 3);
        answered += 1;
    }
    assert!(answered > 0);
    for hog in hogs {
        assert_eq!(hog.await.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
    }
    until("all instances but the ready ones are gone", || runtime.instances_available() >= 300 - 10).await;
}

#[tokio::test]
async fn a_call_whose_time_is_over_before_it_begins_never_runs() {
    let gate = Gate::new();
    let runtime =
        gate.builder("deadlines-over").function(lab("f:wait", "wait", PoolSpec::lazy(1))).start().await.unwrap();
    let options = CallOptions::timeout(Duration::ZERO);
    let error = runtime.call_with::<u32>("f:wait", (1,), options.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    let message = |port| CallMessage::call_with(Payload::Json(vec![1.into()]), options, port);
    let answer = runtime.dispatcher("f:wait").unwrap().call(message, None).await.unwrap().unwrap();
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Timeout);
    gate.release(1);
    assert_eq!(runtime.call::<u32>("f:wait", (2,)).await.unwrap(), 2);
    assert_eq!(gate.come(), 1);
}
