//! The deadlines of one dispatcher, and the one timer that wakes it for the earliest.

use std::{collections::BTreeSet, time::Instant};

use ractor::ActorRef;
use tokio::task::AbortHandle;

use super::CallMessage;
use crate::pool::CallId;

pub(super) struct Clock {
    dispatcher: ActorRef<CallMessage>,
    deadlines: BTreeSet<(Instant, CallId)>,
    timer: Option<(Instant, AbortHandle)>,
}

impl Clock {
    pub(super) fn new(dispatcher: ActorRef<CallMessage>) -> Self {
        Self { dispatcher, deadlines: BTreeSet::new(), timer: None }
    }

    pub(super) fn add(&mut self, at: Option<Instant>, call: CallId) {
        self.deadlines.extend(at.map(|at| (at, call)));
    }

    pub(super) fn remove(&mut self, at: Option<Instant>, call: CallId) {
        if let Some(at) = at {
            self.deadlines.remove(&(at, call));
        }
    }

    /// Takes out the calls with a deadline that has passed.
    pub(super) fn due(&mut self, now: Instant) -> Vec<CallId> {
        self.timer = None;
        let mut due = Vec::new();
        while let Some((at, call)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.pop_first();
            due.push(call);
        }
        due
    }

    /// Sets the timer for the earliest deadline, or for `wake` if that is earlier.
    ///
    /// A timer that is set for an earlier time stays: one early tick is cheaper than a new timer for each call.
    pub(super) fn wind(&mut self, wake: Option<Instant>) {
        let first = self.deadlines.first().map(|(at, _)| *at);
        let Some(at) = [first, wake].into_iter().flatten().min() else { return };
        if self.timer.as_ref().is_some_and(|(set, _)| *set <= at) {
            return;
        }
        let dispatcher = self.dispatcher.clone();
        let task = tokio::spawn(async move {
            tokio::time::sleep_until(at.into()).await;
            // A dispatcher that is gone needs no clock.
            drop(dispatcher.cast(CallMessage::tick()));
        });
        if let Some((_, old)) = self.timer.replace((at, task.abort_handle())) {
            old.abort();
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        if let Some((_, timer)) = self.timer.take() {
            timer.abort();
        }
    }
}
