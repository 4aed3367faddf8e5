//! The dispatcher of one function: the actor behind its run queue.
//!
//! Callers leave calls in the queue and workers take them there, so that a call need not wait for an actor's turn. The
//! dispatcher does the rest: it takes in the calls of actors, cancels those whose callers went away, and keeps the clock,
//! by which it ends what runs too long and lets the pool grow and shrink. It spawns nothing itself: workers belong to the
//! function's supervisor.

mod call;
mod clock;
mod deadlines;
mod gate;
mod lanes;
mod look;
mod message;
mod queue;
mod shown;
mod staffing;

use std::{sync::Arc, time::Instant};

pub(crate) use call::{Assignment, Call, CallId};
use clock::Clock;
pub(crate) use gate::{Gate, Permit};
pub use message::CallMessage;
use message::{Ask, Asked, Message};
pub(crate) use queue::{QueueParts, RunQueue};
use ractor::{Actor, ActorProcessingErr, ActorRef};
pub(crate) use staffing::Staffing;

use crate::{
    call::{CallOptions, Port, Reply, trace},
    executor::Executor,
    metrics::FunctionMetrics,
    spec::FunctionId,
};

/// What a dispatcher is made of.
pub(crate) struct DispatcherParts {
    pub(crate) id: FunctionId,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) queue: Arc<RunQueue>,
    pub(crate) metrics: Arc<FunctionMetrics>,
}

pub(crate) struct Dispatcher;

pub(crate) struct DispatcherState {
    parts: DispatcherParts,
    clock: Clock,
}

impl Actor for Dispatcher {
    type Msg = CallMessage;
    type State = DispatcherState;
    type Arguments = DispatcherParts;

    async fn pre_start(
        &self,
        myself: ActorRef<CallMessage>,
        parts: DispatcherParts,
    ) -> Result<DispatcherState, ActorProcessingErr> {
        parts.queue.open(myself.clone());
        Ok(DispatcherState { parts, clock: Clock::new(myself) })
    }

    async fn handle(
        &self,
        _myself: ActorRef<CallMessage>,
        message: CallMessage,
        state: &mut DispatcherState,
    ) -> Result<(), ActorProcessingErr> {
        let queue = &state.parts.queue;
        match message.0 {
            Message::Ask(ask) => state.asked(*ask),
            Message::Cancel(call) => {
                // A call that is gone has been answered.
                if let Some(call) = call.upgrade() {
                    queue.caller_left(&call);
                }
            }
            Message::MakeRoom => queue.make_room(),
            // Whoever looked and went away has seen enough.
            Message::Look(port) => drop(port.send(queue.look())),
            Message::Wind => state.clock.wind(queue.alarm()),
            Message::Tick => queue.tick(),
        }
        Ok(())
    }
}

impl DispatcherState {
    /// A call message from an actor. It comes past the gate, so it is let in here.
    fn asked(&mut self, ask: Ask) {
        let Some(Asked { args, options, port }) = ask.take() else { return };
        let parts = &self.parts;
        let timeout = port.get_timeout().into_iter().chain(options.timeout).min();
        let options = CallOptions { timeout, ..options };
        let now = Instant::now();
        let admitted = options
            .in_time(now)
            .and_then(|()| crate::executor::fit(args, &*parts.executor))
            .and_then(|args| parts.gate.try_enter(options.context.depth > 0).map(|permit| (args, permit)));
        match admitted {
            Ok((args, permit)) => {
                let (span, options) = trace::begin(&parts.id, options);
                let reply = Reply::new(Port::Actor(port), permit, span);
                let call = Call::new(options, now, reply).asked();
                parts.queue.push(Arc::new(call), args);
            }
            Err(error) => {
                parts.metrics.answered(Err(&error));
                // An actor that has gone away needs no answer.
                drop(port.send(Err(error)));
            }
        }
    }
}

impl Drop for DispatcherState {
    /// The end of a dispatcher, however it comes, is the end of its queue: nobody would keep its deadlines.
    fn drop(&mut self) {
        self.parts.queue.close();
    }
}
