//! Functions that nobody has called: they have no supervisor yet, and the first call is like any other.

use std::time::Duration;

use futures::{FutureExt, future::join_all};
use greenroom_actors::{
    CallError, ErrorKind, Runtime,
    ractor::{self, ActorCell, ActorId},
    spec::PoolSpec,
    tree::FunctionState,
};

use crate::tree::{Gate, lab, metrics, until};

fn parent(actor: &ActorCell) -> ActorId {
    actor.try_get_supervisor().expect("it has a supervisor").get_id()
}

fn dispatcher(runtime: &Runtime, id: &str) -> ActorCell {
    runtime.dispatcher(id).unwrap().get_cell()
}

async fn add(runtime: &Runtime, id: &str) -> Result<i32, CallError> {
    let call = runtime.call::<i32>(id, (40, 2));
    tokio::time::timeout(Duration::from_secs(60), call).await.expect("every call is answered")
}

/// Calls until a call is not refused because an actor was gone.
async fn add_in_the_end(runtime: &Runtime, id: &str) {
    let calling = async {
        loop {
            match runtime.call::<i32>(id, (40, 2)).await {
                Ok(sum) => return assert_eq!(sum, 42),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), calling).await.expect("it takes calls again");
}

#[tokio::test]
async fn a_function_that_keeps_no_worker_has_its_supervisor_from_its_first_call_on() {
    for (index, pool) in [PoolSpec::lazy(2), PoolSpec::inline(), PoolSpec::adaptive(2, false)].into_iter().enumerate() {
        let name = format!("uncalled-first-{index}");
        let runtime = Gate::new().builder(&name).function(lab("f:add", "add", pool)).start().await.unwrap();
        let before = ractor::registry::where_is(format!("{name}/f:add")).expect("the dispatcher is registered");
        assert_eq!(parent(&before), runtime.root().get_id(), "nobody else is there");
        let tree = runtime.tree().await;
        let pool = tree.functions[0].pool.as_ref().expect("it is not silent");
        assert_eq!((tree.functions[0].state, pool.starting, pool.workers.len()), (FunctionState::Ready, 0, 0));

        assert_eq!(add(&runtime, "f:add").await.unwrap(), 42);
        assert_eq!(dispatcher(&runtime, "f:add").get_id(), before.get_id(), "it is the dispatcher that was there");
        let supervisor = before.try_get_supervisor().unwrap();
        assert_eq!(parent(&supervisor), runtime.root().get_id());
        assert_eq!(runtime.root().get_children().len(), 1, "the root has left the dispatcher to the supervisor");
    }
}

#[tokio::test]
async fn a_function_that_keeps_workers_has_its_supervisor_from_the_start() {
    for (index, pool) in [PoolSpec::fixed(1, 1), PoolSpec::adaptive(2, true)].into_iter().enumerate() {
        let builder = Gate::new().builder(&format!("uncalled-kept-{index}")).function(lab("f:add", "add", pool));
        let runtime = builder.start().await.unwrap();
        let supervisor = dispatcher(&runtime, "f:add").try_get_supervisor().unwrap();
        assert_eq!(parent(&supervisor), runtime.root().get_id());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_calls_that_come_at_once_have_one_supervisor_and_an_answer_each() {
    let gate = Gate::new();
    let runtime =
        gate.builder("uncalled-at-once").function(lab("uo:wait", "wait", PoolSpec::lazy(8))).start().await.unwrap();
    let calls: Vec<_> = (0..8)
        .map(|n: u32| {
            let runtime = runtime.clone();
            tokio::spawn(async move { runtime.call::<u32>("uo:wait", (n,)).await })
        })
        .collect();
    until("all run, each on a worker of its own", || gate.held() == 8).await;
    let supervisors = runtime.root().get_children();
    assert_eq!(supervisors.len(), 1);
    assert_eq!(supervisors[0].get_children().len(), 9, "the dispatcher and the workers");
    gate.release(8);
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap() as usize, n);
    }
}

#[tokio::test]
async fn a_first_call_that_is_cancelled_at_once_leaves_nothing_behind() {
    let gate = Gate::new();
    let runtime =
        gate.builder("uncalled-cancel").function(lab("uc:wait", "wait", PoolSpec::lazy(1))).start().await.unwrap();
    assert!(runtime.call::<u32>("uc:wait", (1,)).now_or_never().is_none(), "no other task has had a turn");
    let mut tree = runtime.tree().await;
    while tree.functions[0].calls > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        tree = runtime.tree().await;
    }
    gate.release(1);
    assert_eq!(runtime.call::<u32>("uc:wait", (2,)).await.unwrap(), 2);
    assert_eq!(gate.come(), 1, "the call that was cancelled never ran");
}

#[tokio::test]
async fn a_dispatcher_that_dies_before_the_first_call_is_started_again() {
    let metrics = metrics();
    let runtime =
        Gate::new().builder("uncalled-dies").function(lab("ud:add", "add", PoolSpec::lazy(1))).start().await.unwrap();
    let before = dispatcher(&runtime, "ud:add");
    before.kill();
    let labels = [("function", "ud:add"), ("actor", "dispatcher")];
    until("it was started again", || metrics.value("greenroom_restarts_total", &labels) == 1.0).await;
    until("a new one is in the directory", || dispatcher(&runtime, "ud:add").get_id() != before.get_id()).await;
    assert_eq!(add(&runtime, "ud:add").await.unwrap(), 42);
    assert!(ractor::registry::where_is("uncalled-dies/ud:add").is_some());
}

#[tokio::test]
async fn a_supervisor_that_came_with_the_first_call_is_started_again_when_it_dies() {
    let metrics = metrics();
    let runtime =
        Gate::new().builder("uncalled-super").function(lab("us:add", "add", PoolSpec::lazy(1))).start().await.unwrap();
    assert_eq!(add(&runtime, "us:add").await.unwrap(), 42);
    let before = dispatcher(&runtime, "us:add");
    before.try_get_supervisor().unwrap().kill();
    let labels = [("function", "us:add"), ("actor", "supervisor")];
    until("it was started again", || metrics.value("greenroom_restarts_total", &labels) == 1.0).await;
    until("a new one is in the directory", || dispatcher(&runtime, "us:add").get_id() != before.get_id()).await;
    assert_eq!(add(&runtime, "us:add").await.unwrap(), 42);
}

/// Functions that are called for the first time while something happens to them.
const MANY: usize = 40;

async fn many(name: &str) -> (Runtime, Vec<String>) {
    let ids: Vec<_> = (0..MANY).map(|index| format!("m:add_{index}")).collect();
    let specs = ids.iter().map(|id| lab(id, "add", PoolSpec::lazy(1)));
    (Gate::new().builder(name).functions(specs).start().await.unwrap(), ids)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_call_is_answered_whenever_its_dispatcher_dies() {
    let (runtime, ids) = many("uncalled-race").await;
    let races = ids.iter().enumerate().map(|(index, id)| {
        let (runtime, id, dispatcher) = (runtime.clone(), id.clone(), dispatcher(&runtime, id));
        async move {
            let call = tokio::spawn({
                let (runtime, id) = (runtime.clone(), id.clone());
                async move { add(&runtime, &id).await }
            });
            for _ in 0..index % 8 {
                tokio::task::yield_now().await;
            }
            dispatcher.kill();
            if let Err(error) = call.await.unwrap() {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            }
            add_in_the_end(&runtime, &id).await;
        }
    });
    join_all(races).await;
    assert_eq!(runtime.root().get_children().len(), MANY, "each has one supervisor");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_calls_are_answered_while_the_runtime_ends() {
    for stopped_after in 0..4 {
        let (runtime, ids) = many(&format!("uncalled-end-{stopped_after}")).await;
        let calls: Vec<_> = ids
            .into_iter()
            .map(|id| {
                let runtime = runtime.clone();
                tokio::spawn(async move { add(&runtime, &id).await })
            })
            .collect();
        for _ in 0..stopped_after {
            tokio::task::yield_now().await;
        }
        runtime.root().stop(None);
        for answer in join_all(calls).await {
            match answer.unwrap() {
                Ok(sum) => assert_eq!(sum, 42),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            }
        }
    }
}

#[tokio::test]
async fn a_function_whose_dispatcher_drains_at_its_first_call_takes_calls_again() {
    let metrics = metrics();
    let runtime =
        Gate::new().builder("uncalled-drain").function(lab("ur:add", "add", PoolSpec::lazy(1))).start().await.unwrap();
    let mut call = Box::pin(runtime.call::<i32>("ur:add", (40, 2)));
    assert!(futures::poll!(&mut call).is_pending());
    dispatcher(&runtime, "ur:add").drain().unwrap();
    if let Err(error) = call.await {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    add_in_the_end(&runtime, "ur:add").await;
    let labels = [("function", "ur:add"), ("actor", "dispatcher")];
    assert_eq!(metrics.value("greenroom_restarts_total", &labels), 1.0);
}

#[tokio::test]
async fn a_root_that_drains_during_a_first_call_starts_nothing_again() {
    let metrics = metrics();
    let runtime =
        Gate::new().builder("uncalled-root").function(lab("uz:add", "add", PoolSpec::lazy(1))).start().await.unwrap();
    let mut call = Box::pin(runtime.call::<i32>("uz:add", (40, 2)));
    assert!(futures::poll!(&mut call).is_pending());
    runtime.root().drain().unwrap();
    if let Err(error) = call.await {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    runtime.root().wait(None).await.unwrap();
    for actor in ["dispatcher", "supervisor"] {
        let restarts = metrics.value("greenroom_restarts_total", &[("function", "uz:add"), ("actor", actor)]);
        assert_eq!(restarts, 0.0, "{actor}");
    }
}
