//! What dies is started again, and its callers hear of it; the tree lives under whoever started it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use greenroom_actors::{
    Answer, CallError, CallMessage, Context, ErrorKind, Payload, Runtime, StartError,
    executor::{Executor, Instance},
    ractor::{self, Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent},
    spec::{Code, FunctionSpec, Limits, PoolSpec},
};
use serde_json::{Value, json};

use crate::tree::{Gate, lab, metrics, until};

#[tokio::test]
async fn a_dispatcher_that_dies_answers_its_calls_and_is_started_again() {
    let gate = Gate::new();
    let metrics = metrics();
    let runtime =
        gate.builder("super-dispatcher").function(lab("sd:wait", "wait", PoolSpec::fixed(1, 1))).start().await.unwrap();
    let calls: Vec<_> = (0..3)
        .map(|n: u32| {
            let runtime = runtime.clone();
            tokio::spawn(async move { runtime.call::<u32>("sd:wait", (n,)).await })
        })
        .collect();
    until("one runs", || gate.held() == 1).await;
    let dispatcher = runtime.dispatcher("sd:wait").unwrap();
    dispatcher.kill();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    }
    until("the guest of the old one is gone", || gate.held() == 0).await;
    let labels = [("function", "sd:wait"), ("actor", "dispatcher")];
    until("it was started again", || metrics.value("greenroom_restarts_total", &labels) == 1.0).await;
    until("a new one is in the directory", || runtime.dispatcher("sd:wait").unwrap().get_id() != dispatcher.get_id())
        .await;
    gate.release(1);
    assert_eq!(runtime.call::<u32>("sd:wait", (7,)).await.unwrap(), 7);
    assert!(ractor::registry::where_is("super-dispatcher/sd:wait").is_some());
}

#[tokio::test]
async fn a_worker_that_a_dispatcher_wanted_before_it_died_is_not_started_for_the_next() {
    let gate = Gate::new();
    let runtime =
        gate.builder("super-wanted").function(lab("sw:wait", "wait", PoolSpec::lazy(2))).start().await.unwrap();
    gate.release(1);
    assert_eq!(runtime.call::<u32>("sw:wait", (1,)).await.unwrap(), 1);
    let dispatcher = runtime.dispatcher("sw:wait").unwrap();
    let supervisor = dispatcher.get_cell().try_get_supervisor().unwrap();

    // Nobody else has a turn between the two: the dispatcher still takes calls, of which the second wants another worker.
    dispatcher.kill();
    let mut calls = Box::pin(join_all((2..4).map(|n: u32| runtime.call::<u32>("sw:wait", (n,)))));
    assert!(futures::poll!(&mut calls).is_pending());
    for answer in calls.await {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    until("a new one is in the directory", || runtime.dispatcher("sw:wait").unwrap().get_id() != dispatcher.get_id())
        .await;
    // Guests that were killed may come to the gate late, and pass.
    gate.release(4);
    let call = runtime.call::<u32>("sw:wait", (4,));
    let answer =
        tokio::time::timeout(Duration::from_secs(60), call).await.expect("its worker is the one that is asked");
    assert_eq!(answer.unwrap(), 4);
    // Workers of the one before may take a moment to go.
    until("there are the dispatcher, and the one worker that it wanted", || supervisor.get_children().len() == 2).await;
}

#[tokio::test]
async fn a_functions_supervisor_that_dies_is_started_again_and_its_neighbour_never_notices() {
    let gate = Gate::new();
    let metrics = metrics();
    let runtime = gate
        .builder("super-function")
        .function(lab("sf:add", "add", PoolSpec::fixed(1, 1)))
        .function(lab("sf:other", "wait", PoolSpec::fixed(1, 1)))
        .start()
        .await
        .unwrap();
    let other = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.call::<u32>("sf:other", (1,)).await }
    });
    until("the neighbour runs", || gate.held() == 1).await;
    let dispatcher = runtime.dispatcher("sf:add").unwrap();
    let supervisor = dispatcher.get_cell().try_get_supervisor().expect("a dispatcher has a supervisor");
    supervisor.kill();
    let labels = [("function", "sf:add"), ("actor", "supervisor")];
    until("it was started again", || metrics.value("greenroom_restarts_total", &labels) == 1.0).await;
    until("a new one is in the directory", || runtime.dispatcher("sf:add").unwrap().get_id() != dispatcher.get_id())
        .await;
    assert_eq!(runtime.call::<i32>("sf:add", (1, 2)).await.unwrap(), 3);
    gate.release(1);
    assert_eq!(other.await.unwrap().unwrap(), 1);
}

/// A supervisor of an embedder, which counts the children that ended.
struct Embedder;

impl Actor for Embedder {
    type Msg = ();
    type State = Arc<AtomicUsize>;
    type Arguments = Arc<AtomicUsize>;

    async fn pre_start(
        &self,
        _: ActorRef<()>,
        ended: Arc<AtomicUsize>,
    ) -> Result<Arc<AtomicUsize>, ActorProcessingErr> {
        Ok(ended)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: SupervisionEvent,
        ended: &mut Arc<AtomicUsize>,
    ) -> Result<(), ActorProcessingErr> {
        if matches!(event, SupervisionEvent::ActorTerminated(..) | SupervisionEvent::ActorFailed(..)) {
            ended.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

async fn embedder() -> (ActorCell, Arc<AtomicUsize>) {
    let ended = Arc::<AtomicUsize>::default();
    let (actor, _) = Actor::spawn(None, Embedder, ended.clone()).await.unwrap();
    (actor.get_cell(), ended)
}

#[tokio::test]
async fn a_tree_under_a_supervisor_ends_with_it_and_answers_its_callers() {
    let gate = Gate::new();
    let (supervisor, _) = embedder().await;
    let runtime = gate
        .builder("super-linked")
        .function(lab("f:wait", "wait", PoolSpec::lazy(2)))
        .start_linked(supervisor.clone())
        .await
        .unwrap();
    let call = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.call::<u32>("f:wait", (1,)).await }
    });
    until("it runs", || gate.held() == 1).await;
    supervisor.stop(None);
    assert_eq!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    until("nothing is left", || gate.held() == 0 && runtime.instances_available() == 300).await;
    assert_eq!(runtime.call::<u32>("f:wait", (1,)).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_supervisor_hears_of_the_end_of_the_tree_and_keeps_it_when_handles_are_dropped() {
    let (supervisor, ended) = embedder().await;
    let runtime = Gate::new()
        .builder("super-handles")
        .function(lab("f:add", "add", PoolSpec::lazy(2)))
        .start_linked(supervisor.clone())
        .await
        .unwrap();
    let (root, dispatcher) = (runtime.root(), runtime.dispatcher("f:add").unwrap());
    drop(runtime);
    let args = Payload::Json(vec![json!(1), json!(2)]);
    let answer = ractor::call!(dispatcher, CallMessage::call, args).unwrap();
    assert!(answer.is_ok(), "the tree lives without a handle: {answer:?}");
    root.stop(None);
    until("the supervisor has heard", || ended.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn two_runtimes_of_one_name_are_refused_plainly() {
    let _first = Runtime::builder().name("super-twice").start().await.unwrap();
    let error = Runtime::builder().name("super-twice").start().await.unwrap_err();
    assert!(matches!(&error, StartError::Actor(_)), "{error:?}");
    assert!(error.to_string().contains("is another runtime of this name running?"), "{error}");
}

#[tokio::test]
async fn everything_that_keeps_functions_from_running_is_told_at_once() {
    let bad = |id: &str, method: &str| lab(id, method, PoolSpec::lazy(1));
    let builder = Gate::new().builder("super-faults").function(bad("f:a", "ad")).function(bad("f:b", "nothing"));
    let error = builder.function(lab("f:c", "add", PoolSpec::fixed(2, 1))).start().await.unwrap_err();
    let StartError::Functions(faults) = &error else { panic!("{error:?}") };
    assert_eq!(faults.len(), 3, "{error}");
}

/// An executor whose instances can be made only while it is well, and which panics when it is told to.
#[derive(Default)]
pub struct Moody {
    pub well: AtomicBool,
    made: AtomicUsize,
}

struct MoodyInstance;

impl Executor for Moody {
    fn make(&self) -> BoxFuture<'_, Result<Box<dyn Instance>, CallError>> {
        async {
            self.made.fetch_add(1, Ordering::SeqCst);
            match self.well.load(Ordering::SeqCst) {
                true => Ok(Box::new(MoodyInstance) as Box<dyn Instance>),
                false => Err(CallError::new(ErrorKind::Internal, "not today")),
            }
        }
        .boxed()
    }
}

impl Instance for MoodyInstance {
    fn run<'a>(&'a mut self, args: Payload, _: &'a Arc<Context>) -> BoxFuture<'a, Result<Answer, CallError>> {
        async move {
            match args {
                Payload::Json(args) if args == [json!("panic")] => panic!("told to"),
                _ => Ok(Answer::Json(json!("fine"))),
            }
        }
        .boxed()
    }
}

pub fn moody(id: &str, moody: &Arc<Moody>, pool: PoolSpec) -> FunctionSpec {
    FunctionSpec { id: id.parse().unwrap(), code: Code::Custom(moody.clone()), pool, limits: Limits::default() }
}

#[tokio::test]
async fn a_function_whose_instances_cannot_be_made_is_degraded_until_one_can() {
    let pools = [PoolSpec::lazy(2), PoolSpec::fixed(2, 2), PoolSpec::adaptive(2, true), PoolSpec::inline()];
    for (index, pool) in pools.into_iter().enumerate() {
        let executor = Arc::<Moody>::default();
        let name = format!("super-degraded-{index}");
        let runtime = Runtime::builder().name(&name).function(moody("f:moody", &executor, pool)).start().await.unwrap();
        let first = runtime.call::<Value>("f:moody", ()).await.unwrap_err();
        assert!(first.message().contains("not today"), "{first}");
        let second = runtime.call::<Value>("f:moody", ()).await.unwrap_err();
        assert_eq!(second.kind(), ErrorKind::Unavailable, "{second}");
        assert!(second.message().starts_with("`f:moody` is degraded: not today"), "{second}");
        assert!(second.retry_after().is_some());
        executor.well.store(true, Ordering::SeqCst);
        let mut answer = runtime.call::<Value>("f:moody", ()).await;
        while let Err(error) = answer {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            tokio::time::sleep(Duration::from_millis(1)).await;
            answer = runtime.call::<Value>("f:moody", ()).await;
        }
        assert_eq!(answer.unwrap(), json!("fine"), "a probe healed it");
    }
}

#[tokio::test]
async fn a_worker_that_panics_fails_its_call_and_is_replaced() {
    let executor = Arc::new(Moody { well: AtomicBool::new(true), ..Moody::default() });
    let metrics = metrics();
    let runtime = Runtime::builder()
        .name("super-panic")
        .function(moody("sp:moody", &executor, PoolSpec::fixed(1, 1)))
        .start()
        .await
        .unwrap();
    let error = runtime.call::<Value>("sp:moody", ("panic",)).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "the worker that ran this call failed: told to"));
    assert_eq!(runtime.call::<Value>("sp:moody", ("go on",)).await.unwrap(), json!("fine"));
    assert_eq!(metrics.value("greenroom_worker_ends_total", &[("function", "sp:moody"), ("reason", "crash")]), 1.0);
    assert_eq!(metrics.value("greenroom_restarts_total", &[("function", "sp:moody"), ("actor", "worker")]), 1.0);
}
