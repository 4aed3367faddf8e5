//! The take-once cell that holds a caller's reply port.
//!
//! The run queue and a worker share it. Whoever takes the port answers; nobody can answer twice; a cell that is dropped
//! unanswered answers `unavailable`. The permit of the gate sits beside the port, so that room in the queue comes back
//! with the answer.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ractor::RpcReplyPort;
use tokio::sync::oneshot;
use tracing::Span;

use super::{Answer, CallError, ErrorKind, trace};
use crate::dispatcher::Permit;

/// Where an answer goes.
pub(crate) enum Port {
    /// A caller that awaits a future.
    Future(oneshot::Sender<Result<Answer, CallError>>),
    /// An actor that sent a call message.
    Actor(RpcReplyPort<Result<Answer, CallError>>),
}

/// The take-once cell.
pub(crate) struct Reply {
    open: Mutex<Option<(Port, Permit)>>,
    span: Span,
}

/// What is known of the time of a call that ends.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    /// How long it waited, where that was not told before.
    pub(crate) waited: Option<Duration>,
    /// How long it ran, if it did.
    pub(crate) ran: Option<Duration>,
}

/// The answer of a call that nobody else can answer any more. The caller has it when this is dropped.
pub(crate) struct Settled {
    answer: Option<(Port, Result<Answer, CallError>)>,
    /// The room of the call, until it is counted.
    inside: Option<Permit>,
    times: Times,
}

impl Reply {
    pub(crate) fn new(port: Port, permit: Permit, span: Span) -> Self {
        Self { open: Mutex::new(Some((port, permit))), span }
    }

    /// The span of the call.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Answers, unless somebody has. Returns whether this was the answer.
    pub(crate) fn send(&self, result: Result<Answer, CallError>) -> bool {
        self.send_after(None, result)
    }

    /// Answers a call that has run for this long, unless somebody has. Returns whether this was the answer.
    pub(crate) fn send_after(&self, ran: Option<Duration>, result: Result<Answer, CallError>) -> bool {
        self.settle(Times { waited: None, ran }, result).is_some()
    }

    /// [`Reply::send_after`], for whoever has several answers to give together.
    pub(crate) fn settle(&self, times: Times, result: Result<Answer, CallError>) -> Option<Settled> {
        let (port, permit) = self.open.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        trace::ended(&self.span, times.ran, result.as_ref().map(|_| ()));
        Some(Settled { answer: Some((port, result)), inside: Some(permit), times })
    }

    /// Whether the caller still waits for an answer.
    pub(crate) fn is_awaited(&self) -> bool {
        match &*self.open.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((Port::Future(sender), _)) => !sender.is_closed(),
            Some((Port::Actor(port), _)) => !port.is_closed(),
            None => false,
        }
    }
}

impl Settled {
    /// Tells the metrics of the call and gives its room back. What all threads share is touched here, and quicker for
    /// several calls in a row.
    pub(crate) fn count(&mut self) {
        let Some((permit, (_, result))) = self.inside.take().zip(self.answer.as_ref()) else { return };
        let metrics = permit.metrics();
        if let Some(waited) = self.times.waited {
            metrics.waited(waited);
        }
        if let Some(ran) = self.times.ran {
            metrics.ran(ran);
        }
        metrics.answered(result.as_ref().map(|_| ()));
    }
}

impl Drop for Settled {
    fn drop(&mut self) {
        // Before the caller has it, so that nobody who was answered can find it uncounted.
        self.count();
        // A caller that has gone away needs no answer.
        match self.answer.take() {
            Some((Port::Future(sender), result)) => drop(sender.send(result)),
            Some((Port::Actor(port), result)) => drop(port.send(result)),
            None => {}
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.send(Err(stopped()));
    }
}

/// What a call hears that was lost with its function.
pub(crate) fn stopped() -> CallError {
    CallError::new(ErrorKind::Unavailable, "the function stopped before it ran this call; try again")
}
