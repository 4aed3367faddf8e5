//! How processes end, and who hears of it: each watcher once, however the process ended.

use std::sync::{Arc, Mutex, PoisonError};

use ractor::ActorId;

use crate::{
    call::{CallError, ErrorKind},
    metrics::FunctionMetrics,
    spec::FunctionId,
};

/// How a process ended.
#[derive(Debug, Clone)]
pub struct Exit {
    /// The id of its actor.
    pub pid: ActorId,
    /// The entry that it ran.
    pub id: FunctionId,
    /// Its exit code, or why it came to no end of its own: `timeout`, `canceled` when it was killed, `internal` when it
    /// trapped, and whatever kept it from starting.
    pub result: Result<i32, CallError>,
}

type Outcome = Result<i32, CallError>;

/// What is known of the end of a process, and who waits for it.
#[derive(Default)]
pub(super) struct Exited(Mutex<Known>);

#[derive(Default)]
struct Known {
    outcome: Option<Outcome>,
    watchers: Vec<Box<dyn FnOnce(Outcome) + Send>>,
}

impl Exited {
    /// Does this when the process has ended, or now if it has.
    pub(super) fn then(&self, watcher: impl FnOnce(Outcome) + Send + 'static) {
        let outcome = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match &known.outcome {
                Some(outcome) => outcome.clone(),
                None => return known.watchers.push(Box::new(watcher)),
            }
        };
        watcher(outcome);
    }

    fn announce(&self, outcome: &Outcome) {
        let watchers = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.outcome = Some(outcome.clone());
            std::mem::take(&mut known.watchers)
        };
        watchers.into_iter().for_each(|watcher| watcher(outcome.clone()));
    }
}

/// Announces the end of a process when it is dropped, which its actor does last.
pub(super) struct Announcer {
    id: FunctionId,
    exited: Arc<Exited>,
    metrics: Arc<FunctionMetrics>,
    outcome: Option<Outcome>,
}

impl Announcer {
    pub(super) fn new(id: FunctionId, exited: Arc<Exited>, metrics: Arc<FunctionMetrics>) -> Self {
        Self { id, exited, metrics, outcome: None }
    }

    /// The process came to an end, and was not killed.
    pub(super) fn ended(&mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or_else(|| {
            Err(CallError::new(ErrorKind::Canceled, format!("the process `{}` was killed", self.id)))
        });
        self.metrics.answered(outcome.as_ref().map(|_| ()));
        self.exited.announce(&outcome);
    }
}
