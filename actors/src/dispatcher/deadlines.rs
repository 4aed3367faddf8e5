//! The deadlines of the calls in a run queue: looked at together when the first of them comes, and not kept in an order.
//!
//! Calls come and go far more often than one of them is late. So no call has a timer or a place in a list of its own:
//! the queue knows one moment by which its dispatcher looks at all calls, and what is found then sets the next.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Call, queue::State};
use crate::{
    call::{CallError, ErrorKind, out_of_patience},
    metrics::End,
    pool::{Event, Load},
};

/// How often callers that are actors are looked after.
const SWEEP_EVERY: Duration = Duration::from_millis(50);

/// What is late about a call.
struct Late {
    error: CallError,
    end: End,
    due: Instant,
}

impl State {
    pub(super) fn tick(&mut self, now: Instant) {
        self.alarm = None;
        // The pool and the metrics are looked at far more often than a call is late.
        if self.due.is_some_and(|due| due <= now) {
            self.end_late(now);
        }
        self.look_at(self.due);
        let load = if self.pool.samples_load() { self.load(now) } else { Load::default() };
        self.on(now, Event::Tick(load), None);
    }

    fn end_late(&mut self, now: Instant) {
        let running = self.staff.values().filter_map(|staff| staff.call.as_ref());
        let all = self.waiting.iter().map(|waiting| &waiting.call).chain(running);
        let (mut late, mut next) = (Vec::new(), None);
        for call in all {
            match self.late(now, call) {
                Some(why) => late.push((Arc::clone(call), why)),
                None => next = next.into_iter().chain(self.next_look(now, call)).min(),
            }
        }
        self.due = next;
        for (call, Late { error, end, due }) in late {
            self.end_early(now, &call, error, end, due);
        }
    }

    pub(super) fn caller_left(&mut self, now: Instant, call: &Arc<Call>) {
        self.end_early(now, call, went_away(), End::Canceled, now);
    }

    /// When something may be late about this call, as far as is known now.
    pub(super) fn next_look(&self, now: Instant, call: &Call) -> Option<Instant> {
        let started = self.started(call);
        let patience = call.patience.filter(|_| started.is_none());
        let limit = self.limit(now, call);
        let sweep = call.asked.then(|| now + SWEEP_EVERY);
        [call.deadline, patience, limit, sweep].into_iter().flatten().min()
    }

    fn late(&self, now: Instant, call: &Call) -> Option<Late> {
        let timeout =
            |message, due| Some(Late { error: CallError::new(ErrorKind::Timeout, message), end: End::Deadline, due });
        if let Some(deadline) = call.deadline.filter(|deadline| *deadline <= now) {
            let state = if call.worker().is_some() { "running" } else { "waiting in the queue" };
            return timeout(format!("the caller's timeout passed while the call was {state}"), deadline);
        }
        if let Some(due) = call.patience.filter(|patience| *patience <= now && self.started(call).is_none()) {
            return Some(Late { error: out_of_patience(&self.parts.id), end: End::Deadline, due });
        }
        if let Some(limit) = self.limit(now, call).filter(|limit| *limit <= now) {
            let max = self.parts.limits.max_execution.unwrap_or_default();
            let message = format!("the call ran longer than limits.max_execution_ms ({} ms)", max.as_millis());
            return timeout(message, limit);
        }
        let is_gone = call.asked && !call.reply.is_awaited();
        is_gone.then(|| Late { error: went_away(), end: End::Canceled, due: now })
    }

    /// When the call will have run for too long. The time runs from the moment the worker starts it, which may be later
    /// than the hand-out.
    fn limit(&self, now: Instant, call: &Call) -> Option<Instant> {
        let max = self.parts.limits.max_execution.filter(|_| call.worker().is_some())?;
        self.started(call).unwrap_or(now).checked_add(max)
    }

    fn started(&self, call: &Call) -> Option<Instant> {
        self.staff.get(&call.worker()?)?.pulse.started(call.id())
    }
}

fn went_away() -> CallError {
    CallError::new(ErrorKind::Canceled, "the caller went away")
}
