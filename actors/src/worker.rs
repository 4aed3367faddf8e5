//! A worker: an actor that runs calls, one at a time, and holds its next instance ready.
//!
//! It takes calls from the run queue itself, answers their callers itself, and goes when the pool lets it go. It knows
//! nothing of deadlines or scaling: when a call must end early, the worker is killed, which drops the call and with it the
//! instance.

mod instances;
mod pulse;
mod turns;

use std::{sync::Arc, time::Instant};

pub(crate) use instances::Instances;
use instances::Ready;
pub(crate) use pulse::Pulse;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use tracing::Instrument as _;
use turns::Turns;

use crate::{
    call::{CallError, trace},
    dispatcher::{Assignment, RunQueue},
    metrics::FunctionMetrics,
    pool::WorkerId,
};

/// What a worker is told, by itself when it has started: to run calls for as long as the pool wants it.
pub(crate) struct Serve;

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
    pub(crate) queue: Arc<RunQueue>,
    pub(crate) metrics: Arc<FunctionMetrics>,
}

pub(crate) struct WorkerState {
    parts: WorkerParts,
    pulse: Arc<Pulse>,
    next: Option<Ready>,
    turns: Turns,
}

pub(crate) struct Worker;

impl Actor for Worker {
    type Msg = Serve;
    type State = WorkerState;
    type Arguments = WorkerParts;

    async fn pre_start(&self, _myself: ActorRef<Serve>, parts: WorkerParts) -> Result<WorkerState, ActorProcessingErr> {
        Ok(WorkerState { pulse: Arc::new(Pulse::new(parts.metered)), parts, next: None, turns: Turns::default() })
    }

    async fn post_start(&self, myself: ActorRef<Serve>, _state: &mut WorkerState) -> Result<(), ActorProcessingErr> {
        // One message for all its calls, and not a part of the start: whatever handles a message can be killed.
        drop(myself.cast(Serve));
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Serve>,
        _message: Serve,
        state: &mut WorkerState,
    ) -> Result<(), ActorProcessingErr> {
        if let Err(error) = state.serve(myself.get_cell()).await {
            // The call that met the error hears it there, so that a caller who asks again finds it known.
            state.parts.queue.cannot_start(state.parts.id, error);
        }
        myself.stop(None);
        Ok(())
    }
}

impl WorkerState {
    /// Runs calls until the pool lets this worker go.
    ///
    /// # Errors
    /// Why no instance can be made.
    async fn serve(&mut self, myself: ActorCell) -> Result<(), CallError> {
        if self.parts.keep || self.parts.probe {
            let ready = self.parts.instances.make_ahead().await?;
            self.next = Some(ready).filter(|_| self.parts.keep);
        }
        self.parts.queue.up(self.parts.id, myself, Arc::clone(&self.pulse));
        let mut next = None;
        loop {
            next = match next {
                Some(assignment) => self.run(assignment).await?,
                None => {
                    self.make_ready().await?;
                    let Some(assignment) = self.parts.queue.next(self.parts.id).await else { return Ok(()) };
                    self.turns.begin();
                    Some(assignment)
                }
            };
        }
    }

    /// Makes what is to be ready while nobody waits for this worker.
    async fn make_ready(&mut self) -> Result<(), CallError> {
        let instances = &self.parts.instances;
        if self.parts.keep && self.next.is_none() {
            self.next = match instances.take_spare() {
                Some(ready) => Some(ready),
                None => Some(instances.make_ahead().await?),
            };
        }
        while instances.wants_spare() && instances.make_spare().await {}
        Ok(())
    }

    /// Runs a call. Returns the next one, if one waits.
    async fn run(&mut self, Assignment { call, args }: Assignment) -> Result<Option<Assignment>, CallError> {
        let mut ready = self.instance_for(&call).await?;
        let started = self.pulse.since();
        let waited = started.saturating_duration_since(call.arrived);
        self.parts.metrics.started(waited);
        trace::started(call.reply.span(), waited);
        let run = ready.run(args, &call.context).instrument(call.reply.span().clone());
        let result = self.turns.patient(self.pulse.clone().meter(run)).await;
        self.pulse.end();
        let again = result.is_ok() && self.parts.instances.serves_again(&ready);
        let now = Instant::now();
        let answer = call.reply.settle(Some(now.saturating_duration_since(started)), result);
        let next = self.parts.queue.turn(now, self.parts.id);
        drop(call);
        self.turns.answer(answer, now, started, next.is_some());
        // The store goes before the next one is made, so that a function never has more instances than it may.
        self.next = Some(ready).filter(|_| again && self.parts.keep);
        if next.is_some() {
            self.turns.give_way(now).await;
        }
        Ok(next)
    }

    /// An instance to run this call on. The time of the call runs from when there is one; where none is kept, from when
    /// there is room for one.
    async fn instance_for(&mut self, call: &crate::dispatcher::Call) -> Result<Ready, CallError> {
        let instances = Arc::clone(&self.parts.instances);
        if let Some(ready) = self.next.take().or_else(|| instances.take_spare()) {
            self.pulse.start(call.id());
            return Ok(ready);
        }
        if self.parts.keep {
            let ready = self.turns.patient(instances.make_ahead()).await?;
            self.pulse.start(call.id());
            return Ok(ready);
        }
        let places = self.turns.patient(instances.places()).await?;
        self.pulse.start(call.id());
        let made = self.turns.patient(instances.make_for_call(places, self.parts.deadline)).await;
        made.inspect_err(|_| self.pulse.end())
    }
}
