//! The end of a runtime: what runs finishes, what cannot is answered, nothing stays.

use std::time::Duration;

use greenroom_actors::{CallOptions, ErrorKind, spec::PoolSpec};

use crate::tree::{Gate, lab, until};

#[tokio::test]
async fn a_drain_lets_calls_finish_and_takes_no_new_ones() {
    let gate = Gate::new();
    let runtime =
        gate.builder("shutdown-drain").function(lab("f:wait", "wait", PoolSpec::inline())).start().await.unwrap();
    let spawn = |n: u32| {
        let runtime = runtime.clone();
        tokio::spawn(async move { runtime.call::<u32>("f:wait", (n,)).await })
    };
    let running = spawn(1);
    until("the first call runs", || gate.held() == 1).await;
    let waiting = spawn(2);
    tokio::task::yield_now().await;
    let stopping = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.shutdown(Duration::from_secs(60)).await }
    });
    // Each try gives up soon: one that still got in would wait as long as the first call runs.
    loop {
        let soon = CallOptions::timeout(Duration::from_millis(5));
        let refused = runtime.call_with::<u32>("f:wait", (3,), soon).await.unwrap_err();
        if refused.kind() == ErrorKind::Unavailable {
            break;
        }
        assert_eq!(refused.kind(), ErrorKind::Timeout);
    }
    assert!(!stopping.is_finished());
    gate.release(2);
    assert_eq!((running.await.unwrap().unwrap(), waiting.await.unwrap().unwrap()), (1, 2));
    assert!(stopping.await.unwrap(), "everything had finished");
    until("nothing is left", || runtime.instances_available() == 300).await;
}

#[tokio::test]
async fn what_outlasts_the_drain_is_killed_and_answered() {
    let gate = Gate::new();
    let runtime =
        gate.builder("shutdown-kill").function(lab("f:wait", "wait", PoolSpec::fixed(1, 1))).start().await.unwrap();
    let calls: Vec<_> = (0..3)
        .map(|n: u32| {
            let runtime = runtime.clone();
            tokio::spawn(async move { runtime.call::<u32>("f:wait", (n,)).await })
        })
        .collect();
    until("one runs", || gate.held() == 1).await;
    assert!(!runtime.shutdown(Duration::from_millis(10)).await);
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    }
    until("nothing is left", || gate.held() == 0 && runtime.instances_available() == 300).await;
}

#[tokio::test]
async fn dropping_the_last_handle_stops_the_tree() {
    let gate = Gate::new();
    let runtime =
        gate.builder("shutdown-drop").function(lab("f:wait", "wait", PoolSpec::fixed(1, 1))).start().await.unwrap();
    let root = runtime.root();
    let dispatcher = runtime.dispatcher("f:wait").unwrap();
    drop(runtime);
    root.wait(None).await.unwrap();
    dispatcher.wait(None).await.unwrap();
    assert!(greenroom_actors::ractor::registry::where_is("shutdown-drop/f:wait").is_none());
}
