//! A worker: an actor that runs calls, one at a time, and holds its next instance ready.
//!
//! It takes calls from the run queue itself, answers their callers itself, and goes when the pool lets it go. It knows
//! nothing of deadlines or scaling: when a call must end early, the worker is killed, which drops the call and with it the
//! instance.

mod instances;
mod pulse;
mod turns;

use std::{pin::pin, sync::Arc, time::Instant};

use futures::{FutureExt, future::Either};
pub(crate) use instances::Instances;
use instances::Ready;
pub(crate) use pulse::Pulse;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use tracing::Instrument as _;
use turns::Turns;

use crate::{
    call::{CallError, Times, trace},
    dispatcher::{Assignment, Call, RunQueue},
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
    /// The instance of the last call, until another is made in its place.
    spent: Option<Ready>,
    turns: Turns,
}

pub(crate) struct Worker;

impl Actor for Worker {
    type Msg = Serve;
    type State = WorkerState;
    type Arguments = WorkerParts;

    async fn pre_start(&self, _myself: ActorRef<Serve>, parts: WorkerParts) -> Result<WorkerState, ActorProcessingErr> {
        Ok(WorkerState {
            pulse: Arc::new(Pulse::new(parts.metered)),
            turns: Turns::new(parts.metrics.clone()),
            parts,
            next: None,
            spent: None,
        })
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
        // Boxed, because ractor's own futures hold that of a message several times over.
        if let Err(error) = Box::pin(state.serve(myself.get_cell())).await {
            // The call that met the error hears it there, so that a caller who asks again finds it known.
            state.parts.queue.cannot_start(state.parts.id, error);
        }
        myself.stop(None);
        Ok(())
    }
}

impl WorkerParts {
    /// Waits for the next call, and makes spare instances until it comes; `None` once the pool has let this worker go.
    async fn next_call(&self) -> Option<Assignment> {
        let Self { id, queue, instances, .. } = self;
        while instances.wants_spare() {
            // Making one may take long: a call that has come is not to wait for all of them.
            if let Some(next) = queue.next(*id).now_or_never() {
                return next;
            }
            if !instances.make_spare().await {
                break;
            }
        }
        queue.next(*id).await
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
        let (mut next, mut now, mut served) = (None, Instant::now(), 0_u32);
        loop {
            (next, now) = match next {
                Some(assignment) => {
                    served = served.saturating_add(1);
                    self.run(assignment, now).await?
                }
                None => {
                    self.make_ready().await?;
                    if std::mem::take(&mut served) > 1 {
                        // Callers on this thread who have just been answered may call again before it parks. One alone
                        // is quicker to wake it.
                        tokio::task::yield_now().await;
                    }
                    let Some(assignment) = self.parts.next_call().await else { return Ok(()) };
                    self.turns.begin();
                    (Some(assignment), Instant::now())
                }
            };
        }
    }

    /// Makes this worker's own instance ready while nobody waits for it.
    async fn make_ready(&mut self) -> Result<(), CallError> {
        let instances = &self.parts.instances;
        match (&mut self.next, self.spent.take()) {
            (Some(kept), _) => kept.rest(),
            (none, spent) if self.parts.keep => {
                let mut ready = match spent {
                    Some(spent) => instances.make_again(spent).await?,
                    None => instances.make_ahead().await?,
                };
                ready.rest();
                *none = Some(ready);
            }
            _ => {}
        }
        Ok(())
    }

    /// Runs a call that was taken at this time. Returns the next one, if one waits, and when it was taken.
    async fn run(
        &mut self,
        Assignment { call, args }: Assignment,
        taken: Instant,
    ) -> Result<(Option<Assignment>, Instant), CallError> {
        let (mut ready, started) = self.instance_for(&call, taken).await?;
        let waited = started.saturating_duration_since(call.arrived);
        self.turns.started(waited);
        trace::started(call.reply.span(), waited);
        let result = {
            // Pinned here, because futures that are passed on take their room twice, and many calls may be asleep.
            let run = pin!(ready.run(args, &call.context));
            let run = pin!(self.pulse.meter(run));
            match call.reply.span().is_none() {
                true => self.turns.patient(run).await,
                false => self.turns.patient(run.instrument(call.reply.span().clone())).await,
            }
        };
        self.pulse.end();
        let again = result.is_ok() && self.parts.instances.serves_again(&ready);
        let now = Instant::now();
        let ran = Some(now.saturating_duration_since(started));
        let answer = call.reply.settle(Times { waited: self.turns.waited(), ran }, result);
        let next = self.parts.queue.turn(now, self.parts.id);
        drop(call);
        self.turns.answer(answer, now, started, next.is_some());
        match self.parts.keep {
            true if again => self.next = Some(ready),
            true => self.spent = Some(ready),
            false => drop(ready),
        }
        if next.is_some() && self.turns.give_way(now).await {
            return Ok((next, Instant::now()));
        }
        Ok((next, now))
    }

    /// An instance to run this call on, and when its time began: when there was an instance, and where none is kept, when
    /// there was room for one.
    async fn instance_for(&mut self, call: &Call, taken: Instant) -> Result<(Ready, Instant), CallError> {
        let instances = &self.parts.instances;
        let (found, started) = match self.next.take() {
            Some(ready) => (Either::Left(ready), taken),
            None => {
                let found = match (self.spent.take(), instances.take_spare()) {
                    (spent, Some(ready)) => {
                        drop(spent);
                        Either::Left(ready)
                    }
                    (Some(spent), None) => {
                        // Pinned here, as is the next, for the same reason as the run of the call.
                        let making = pin!(instances.make_again(spent));
                        Either::Left(self.turns.patient(making).await?)
                    }
                    (None, None) => Either::Right(self.turns.patient(instances.places()).await?),
                };
                (found, Instant::now())
            }
        };
        self.pulse.start(call.id(), started);
        let ready = match found {
            Either::Left(ready) => ready,
            Either::Right(places) => {
                let making = pin!(instances.make_for_call(places, self.parts.deadline));
                let made = self.turns.patient(making).await;
                made.inspect_err(|_| self.pulse.end())?
            }
        };
        Ok((ready, started))
    }
}
