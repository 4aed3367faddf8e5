//! The supervisor of one function: owns its dispatcher and its workers, and starts again what dies.
//!
//! A worker that ends is reported to the dispatcher, whose pool decides whether another is wanted. A dispatcher that ends
//! takes all workers with it, because what they were doing is known to nobody else, and starts afresh.

use std::{collections::HashMap, sync::Arc};

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, ActorRuntime, SupervisionEvent};

use crate::{
    directory::{Directory, Entry},
    dispatcher::{CallMessage, Dispatcher, DispatcherParts, Gate, QueueParts, RunQueue},
    executor::Executor,
    metrics::{End, FunctionMetrics, Restart},
    pool::WorkerId,
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

/// What a function's supervisor is told.
pub(crate) enum FunctionMessage {
    /// Start a worker.
    Spawn { worker: WorkerId, probe: bool },
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
    type Arguments = Arc<FunctionParts>;

    async fn pre_start(
        &self,
        myself: ActorRef<FunctionMessage>,
        parts: Arc<FunctionParts>,
    ) -> Result<FunctionState, ActorProcessingErr> {
        let instances = Arc::new(Instances::new(
            parts.id.clone(),
            parts.executor.clone(),
            parts.pool.sizing,
            &parts.limits,
            parts.directory.clone(),
            parts.metrics.clone(),
        ));
        let (dispatcher, queue) = start_dispatcher(&myself, &parts).await?;
        Ok(FunctionState { parts, instances, dispatcher, queue, workers: HashMap::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<FunctionMessage>,
        message: FunctionMessage,
        state: &mut FunctionState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            FunctionMessage::Spawn { worker, probe } => state.spawn(&myself, worker, probe),
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
            (state.dispatcher, state.queue) = Box::pin(start_dispatcher(&myself, &state.parts)).await?;
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

    fn spawn(&mut self, myself: &ActorRef<FunctionMessage>, worker: WorkerId, probe: bool) {
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
        // Workers live on the guest threads. Nothing waits for them here: threads full of guests would delay it.
        let _threads = self.parts.threads.handle().enter();
        match ActorRuntime::spawn_linked_instant(None, Worker, parts, myself.get_cell()) {
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

async fn start_dispatcher(
    myself: &ActorRef<FunctionMessage>,
    parts: &FunctionParts,
) -> Result<(ActorRef<CallMessage>, Arc<RunQueue>), ActorProcessingErr> {
    let name = Directory::actor_name(&parts.runtime, &parts.id);
    let queue = Arc::new(RunQueue::new(QueueParts {
        id: parts.id.clone(),
        sizing: parts.pool.sizing,
        limits: parts.limits.clone(),
        threads: parts.threads.count(),
        supervisor: myself.clone(),
        metrics: parts.metrics.clone(),
    }));
    let dispatcher_parts = DispatcherParts {
        id: parts.id.clone(),
        executor: parts.executor.clone(),
        gate: parts.gate.clone(),
        queue: queue.clone(),
        metrics: parts.metrics.clone(),
    };
    let (dispatcher, _) = Dispatcher::spawn_linked(Some(name), Dispatcher, dispatcher_parts, myself.get_cell()).await?;
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
