//! The supervisor of one function: owns its dispatcher and its workers, and starts again what dies.
//!
//! A worker that ends is reported to the dispatcher, whose pool decides whether another is wanted. A dispatcher that ends
//! takes all workers with it, because what they were doing is known to nobody else, and starts afresh.
//!
//! Where the pool keeps no worker, a function begins with its dispatcher alone, under the root, and its supervisor takes
//! that over when a worker is first wanted: many functions are never called, and each actor takes some kilobytes.

use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    sync::Arc,
};

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, ActorStatus, SpawnErr, SupervisionEvent};

use crate::{
    directory::{Directory, Entry},
    dispatcher::{CallMessage, Dispatcher, DispatcherParts, Gate, QueueParts, RunQueue, Staffing},
    executor::Executor,
    metrics::{End, FunctionMetrics, Restart},
    pool::{self, WorkerId},
    root::RootMessage,
    spec::{FunctionId, Limits, PoolSpec, Sizing},
    threads::GuestThreads,
    worker::{Instances, Worker, WorkerParts},
};

/// What a function is made of. Kept by the root, so that a supervisor can be started again.
pub(crate) struct FunctionParts {
    pub(crate) id: FunctionId,
    /// The name of the runtime, which the names of dispatchers begin with.
    pub(crate) runtime: Arc<str>,
    pub(crate) pool: PoolSpec,
    pub(crate) limits: Limits,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) metrics: Arc<FunctionMetrics>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) threads: Arc<GuestThreads>,
}

impl FunctionParts {
    /// The name of its dispatcher in ractor's registry.
    pub(crate) fn dispatcher_name(&self) -> String {
        Directory::actor_name(&self.runtime, &self.id)
    }

    /// Whether the pool has workers that nobody called for.
    pub(crate) fn keeps_workers(&self) -> bool {
        pool::bounds(self.pool.sizing, self.threads.count()).floor() > 0
    }
}

/// A function without a supervisor.
pub(crate) struct Alone {
    pub(crate) parts: Arc<FunctionParts>,
    dispatcher: ActorRef<CallMessage>,
    queue: Arc<RunQueue>,
}

impl Alone {
    /// Starts its dispatcher under the root.
    pub(crate) async fn start(root: &ActorRef<RootMessage>, parts: Arc<FunctionParts>) -> Result<Self, SpawnErr> {
        let staffing = Staffing::Alone(root.clone(), Vec::new());
        let (dispatcher, queue) = start_dispatcher(root.get_cell(), staffing, &parts).await?;
        Ok(Self { parts, dispatcher, queue })
    }

    pub(crate) fn id(&self) -> ActorId {
        self.dispatcher.get_id()
    }

    /// Starts its supervisor under the root. One that cannot be started ends the dispatcher, and so the calls that wait:
    /// nobody would ever run them.
    pub(crate) async fn supervise(&self, root: &ActorRef<RootMessage>) -> Result<ActorId, SpawnErr> {
        let begun =
            Begun { parts: self.parts.clone(), dispatcher: Some((self.dispatcher.clone(), self.queue.clone())) };
        let started = Function::spawn_linked(None, Function, begun, root.get_cell()).await;
        started.map(|(supervisor, _)| supervisor.get_id()).inspect_err(|_| self.dispatcher.kill())
    }
}

/// What a supervisor begins with.
pub(crate) struct Begun {
    pub(crate) parts: Arc<FunctionParts>,
    /// The dispatcher, where it was there before.
    dispatcher: Option<(ActorRef<CallMessage>, Arc<RunQueue>)>,
}

impl From<Arc<FunctionParts>> for Begun {
    fn from(parts: Arc<FunctionParts>) -> Self {
        Self { parts, dispatcher: None }
    }
}

/// What a function's supervisor is told.
pub(crate) enum FunctionMessage {
    /// Start a worker, which this dispatcher wants. One that has ended meanwhile wants none: workers count anew with each.
    Spawn { dispatcher: ActorId, worker: WorkerId, probe: bool },
}

pub(crate) struct Function;

pub(crate) struct FunctionState {
    parts: Arc<FunctionParts>,
    instances: Arc<Instances>,
    dispatcher: ActorRef<CallMessage>,
    queue: Arc<RunQueue>,
    workers: HashMap<ActorId, (WorkerId, ActorCell)>,
}

impl Actor for Function {
    type Msg = FunctionMessage;
    type State = FunctionState;
    type Arguments = Begun;

    async fn pre_start(
        &self,
        myself: ActorRef<FunctionMessage>,
        Begun { parts, dispatcher }: Begun,
    ) -> Result<FunctionState, ActorProcessingErr> {
        let instances = Arc::new(Instances::new(
            parts.id.clone(),
            parts.executor.clone(),
            parts.pool.sizing,
            &parts.limits,
            parts.directory.clone(),
            parts.metrics.clone(),
        ));
        let (dispatcher, queue) = match dispatcher {
            Some(before) => take_over(&myself, before)?,
            None => start_dispatcher(myself.get_cell(), Staffing::Supervised(myself.clone()), &parts).await?,
        };
        Ok(FunctionState { parts, instances, dispatcher, queue, workers: HashMap::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<FunctionMessage>,
        message: FunctionMessage,
        state: &mut FunctionState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            FunctionMessage::Spawn { dispatcher, worker, probe } => {
                if dispatcher == state.dispatcher.get_id() {
                    state.spawn(&myself, worker, probe).await;
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<FunctionMessage>,
        event: SupervisionEvent,
        state: &mut FunctionState,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, crash) = match event {
            SupervisionEvent::ActorTerminated(cell, last_state, _) => {
                // The state holds the worker's next instance. It goes before anybody hears of the end.
                drop(last_state);
                (cell, None)
            }
            SupervisionEvent::ActorFailed(cell, error) => (cell, Some(error.to_string())),
            // A start, and what groups and clusters report, changes nothing here.
            _ => return Ok(()),
        };
        if cell.get_id() == state.dispatcher.get_id() {
            let why = crash.as_deref().unwrap_or("it was stopped");
            tracing::error!(function = %state.parts.id, why, "the dispatcher ended; starting it again");
            state.let_workers_go();
            state.parts.metrics.restarted(Restart::Dispatcher);
            // Boxed, because it is rare and its room would be kept in every supervisor.
            let staffing = Staffing::Supervised(myself.clone());
            let started = Box::pin(start_dispatcher(myself.get_cell(), staffing, &state.parts));
            (state.dispatcher, state.queue) = started.await?;
        } else if let Some((worker, _)) = state.workers.remove(&cell.get_id()) {
            state.queue.down(worker, crash);
        }
        Ok(())
    }
}

impl Drop for FunctionState {
    /// The end of a supervisor, however it comes, is the end of its workers.
    fn drop(&mut self) {
        self.let_workers_go();
    }
}

impl FunctionState {
    fn let_workers_go(&mut self) {
        for (_, (_, worker)) in self.workers.drain() {
            worker.kill();
            self.parts.metrics.worker_ended(End::Shutdown);
        }
    }

    async fn spawn(&mut self, myself: &ActorRef<FunctionMessage>, worker: WorkerId, probe: bool) {
        let parts = WorkerParts {
            id: worker,
            probe,
            keep: self.parts.pool.sizing != Sizing::Inline,
            deadline: self.parts.limits.max_execution.is_some(),
            metered: matches!(self.parts.pool.sizing, Sizing::Adaptive { .. }),
            instances: self.instances.clone(),
            queue: self.queue.clone(),
            metrics: self.parts.metrics.clone(),
        };
        // Boxed, because its room would be kept in every supervisor. A worker does nothing until it is there, so that this
        // waits for nothing, and it takes no task of its own, of which there would be as many as workers that start.
        let mut starting = Box::pin(Worker::spawn_linked(None, Worker, parts, myself.get_cell()));
        let started = poll_fn(|cx| {
            // Workers live on the guest threads.
            let _threads = self.parts.threads.handle().enter();
            starting.as_mut().poll(cx)
        });
        match started.await {
            Ok((actor, _)) => {
                self.workers.insert(actor.get_id(), (worker, actor.get_cell()));
            }
            Err(error) => {
                tracing::error!(function = %self.parts.id, %error, "a worker could not be started");
                self.queue.down(worker, Some(error.to_string()));
            }
        }
    }
}

/// Makes a dispatcher of the root that of this supervisor, which hears of its end from now on.
fn take_over(
    myself: &ActorRef<FunctionMessage>,
    (dispatcher, queue): (ActorRef<CallMessage>, Arc<RunQueue>),
) -> Result<(ActorRef<CallMessage>, Arc<RunQueue>), ActorProcessingErr> {
    dispatcher.link(myself.get_cell());
    let supervisor = dispatcher.try_get_supervisor();
    let is_ours = supervisor.is_some_and(|supervisor| supervisor.get_id() == myself.get_id());
    // One that ends at this moment is linked, and may have told the root of its end before.
    if !is_ours || dispatcher.get_status() >= ActorStatus::Stopping {
        return Err("the dispatcher has ended".into());
    }
    queue.supervised(myself.clone());
    Ok((dispatcher, queue))
}

async fn start_dispatcher(
    supervisor: ActorCell,
    staffing: Staffing,
    parts: &FunctionParts,
) -> Result<(ActorRef<CallMessage>, Arc<RunQueue>), SpawnErr> {
    let name = parts.dispatcher_name();
    let queue = Arc::new(RunQueue::new(QueueParts {
        id: parts.id.clone(),
        sizing: parts.pool.sizing,
        limits: parts.limits.clone(),
        threads: parts.threads.count(),
        staffing,
        metrics: parts.metrics.clone(),
    }));
    let dispatcher_parts = DispatcherParts {
        id: parts.id.clone(),
        executor: parts.executor.clone(),
        gate: parts.gate.clone(),
        queue: queue.clone(),
        metrics: parts.metrics.clone(),
    };
    let (dispatcher, _) = Dispatcher::spawn_linked(Some(name), Dispatcher, dispatcher_parts, supervisor).await?;
    ractor::pg::join(parts.runtime.to_string(), vec![dispatcher.get_cell()]);
    parts.directory.insert(Entry {
        id: parts.id.clone(),
        dispatcher: dispatcher.clone(),
        queue: queue.clone(),
        executor: parts.executor.clone(),
        gate: parts.gate.clone(),
        metrics: parts.metrics.clone(),
    });
    Ok((dispatcher, queue))
}
