//! What the metrics know of a run queue: told when it changes, and of what changes with every call, now and then.

use std::time::{Duration, Instant};

use crate::metrics::FunctionMetrics;

/// How often the metrics are told of the number of calls that wait.
const WAITING_EVERY: Duration = Duration::from_millis(10);

/// What the metrics were last told.
#[derive(Default)]
pub(super) struct Shown {
    waiting: usize,
    waiting_at: Option<Instant>,
    workers: [usize; 3],
}

impl Shown {
    /// Tells how many calls wait, and the workers by state. Returns when to tell again what was not told now.
    pub(super) fn tell(
        &mut self,
        metrics: &FunctionMetrics,
        now: Instant,
        waiting: usize,
        workers: [usize; 3],
    ) -> Option<Instant> {
        if workers != self.workers {
            self.workers = workers;
            metrics.workers(workers);
        }
        if waiting == self.waiting {
            return None;
        }
        // Under load this changes with every call, and nobody looks so often.
        let later = self.waiting_at.map(|at| at + WAITING_EVERY).filter(|next| *next > now);
        if later.is_none() {
            (self.waiting, self.waiting_at) = (waiting, Some(now));
            metrics.waiting(waiting);
        }
        later
    }

    /// The queue is closed: nothing waits, and no worker is its own any more.
    pub(super) fn nothing(&mut self, metrics: &FunctionMetrics, now: Instant) {
        self.waiting_at = None;
        self.tell(metrics, now, 0, [0; 3]);
    }
}
