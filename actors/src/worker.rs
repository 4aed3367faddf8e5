//! A worker: an actor that runs calls, one at a time, and holds its next instance ready.
//!
//! It answers the caller itself and then tells the dispatcher that it is idle. It knows nothing of queues, deadlines or
//! scaling: when a call must end early, the worker is killed, which drops the call and with it the instance.

mod instances;
mod pulse;

use std::{sync::Arc, time::Instant};

pub(crate) use instances::Instances;
use instances::Ready;
pub(crate) use pulse::Pulse;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tracing::Instrument as _;

use crate::{
    call::{CallError, Context, Payload, Reply, trace},
    dispatcher::CallMessage,
    metrics::FunctionMetrics,
    pool::{CallId, WorkerId},
};

/// One call on its way to a worker.
pub(crate) struct Assignment {
    pub(crate) id: CallId,
    pub(crate) args: Payload,
    pub(crate) context: Arc<Context>,
    pub(crate) arrived: Instant,
    pub(crate) reply: Arc<Reply>,
}

/// What a worker is told.
pub(crate) enum WorkerMessage {
    /// Run this call.
    Run(Assignment),
    /// Make an instance that the function keeps ready beside those of its workers.
    Refill,
}

/// What a worker is made of.
pub(crate) struct WorkerParts {
    pub(crate) id: WorkerId,
    /// Make an instance before the first call, even where none is kept, to see whether one can be made.
    pub(crate) probe: bool,
    /// Keep the next instance ready between calls.
    pub(crate) keep: bool,
    /// The dispatcher ends calls that run too long, making the instance included.
    pub(crate) deadline: bool,
    /// Measure how long calls compute and how long they sleep.
    pub(crate) metered: bool,
    pub(crate) instances: Arc<Instances>,
    pub(crate) dispatcher: ActorRef<CallMessage>,
    pub(crate) metrics: Arc<FunctionMetrics>,
}

pub(crate) struct WorkerState {
    parts: WorkerParts,
    pulse: Arc<Pulse>,
    next: Option<Ready>,
}

pub(crate) struct Worker;

impl Actor for Worker {
    type Msg = WorkerMessage;
    type State = WorkerState;
    type Arguments = WorkerParts;

    async fn pre_start(
        &self,
        _myself: ActorRef<WorkerMessage>,
        parts: WorkerParts,
    ) -> Result<WorkerState, ActorProcessingErr> {
        Ok(WorkerState { pulse: Arc::new(Pulse::new(parts.metered)), parts, next: None })
    }

    async fn post_start(
        &self,
        myself: ActorRef<WorkerMessage>,
        state: &mut WorkerState,
    ) -> Result<(), ActorProcessingErr> {
        if state.parts.keep || state.parts.probe {
            match state.parts.instances.make_ahead().await {
                Ok(ready) => state.next = Some(ready).filter(|_| state.parts.keep),
                Err(error) => {
                    state.give_up(&myself, error);
                    return Ok(());
                }
            }
        }
        state.tell(CallMessage::up(state.parts.id, myself.clone(), state.pulse.clone()));
        state.refill(&myself);
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<WorkerMessage>,
        message: WorkerMessage,
        state: &mut WorkerState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            WorkerMessage::Run(assignment) => state.run(&myself, assignment).await,
            WorkerMessage::Refill => {
                if state.parts.instances.make_spare().await {
                    state.refill(&myself);
                }
            }
        }
        Ok(())
    }
}

impl WorkerState {
    async fn run(&mut self, myself: &ActorRef<WorkerMessage>, assignment: Assignment) {
        let Assignment { id, args, context, arrived, reply } = assignment;
        let instances = self.parts.instances.clone();
        let ready = match self.next.take().or_else(|| instances.take_spare()) {
            Some(ready) => {
                self.pulse.start(id);
                Ok(ready)
            }
            // Waiting for a place is queueing still: the time of the call runs from when there is one.
            None => match instances.places().await {
                Ok(places) => {
                    self.pulse.start(id);
                    instances.make_for_call(places, self.parts.deadline).await
                }
                Err(error) => Err(error),
            },
        };
        let mut ready = match ready {
            Ok(ready) => ready,
            Err(error) => {
                // The dispatcher answers this call when it hears why, so that a caller who asks again finds it knowing.
                self.pulse.end();
                return self.give_up(myself, error);
            }
        };
        let started = self.pulse.since();
        let waited = started.saturating_duration_since(arrived);
        self.parts.metrics.started(waited);
        trace::started(reply.span(), waited);
        let run = ready.run(args, &context).instrument(reply.span().clone());
        let result = self.pulse.clone().meter(run).await;
        self.pulse.end();
        let again = result.is_ok() && instances.serves_again(&ready);
        reply.send_after(Some(started.elapsed()), result);
        self.tell(CallMessage::idle(self.parts.id));
        if again && self.parts.keep {
            self.next = Some(ready);
            return;
        }
        // The store goes before the next one is made, so that a function never has more instances than it may.
        drop(ready);
        if !self.parts.keep {
            return;
        }
        self.next = instances.take_spare();
        if self.next.is_none() {
            match instances.make_ahead().await {
                Ok(ready) => self.next = Some(ready),
                Err(error) => return self.give_up(myself, error),
            }
        }
        self.refill(myself);
    }

    fn refill(&self, myself: &ActorRef<WorkerMessage>) {
        if self.parts.instances.wants_spare() {
            // A worker that is stopping refills nothing.
            drop(myself.cast(WorkerMessage::Refill));
        }
    }

    fn give_up(&self, myself: &ActorRef<WorkerMessage>, error: CallError) {
        self.tell(CallMessage::cannot_start(self.parts.id, error));
        myself.stop(None);
    }

    fn tell(&self, message: CallMessage) {
        // A dispatcher that is gone is replaced with all its workers.
        drop(self.parts.dispatcher.cast(message));
    }
}
