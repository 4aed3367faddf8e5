//! What a dispatcher shows of its pool. Nothing is changed by looking.

use std::time::{Duration, Instant};

use super::queue::State;
use crate::{
    call::CallError,
    tree::{Degraded, PoolNode, WorkerNode, WorkerState},
};

impl State {
    /// The pool, now.
    pub(super) fn look(&self, now: Instant) -> PoolNode {
        let [starting, ..] = self.pool.census();
        let mut workers: Vec<_> = self
            .staff
            .iter()
            .map(|(id, staff)| WorkerNode {
                id: id.0,
                state: match (&staff.killed, &staff.call) {
                    (Some(_), _) => WorkerState::Ending,
                    (None, Some(_)) => WorkerState::Running,
                    (None, None) => WorkerState::Idle,
                },
                age_ms: millis(staff.pulse.age(now)),
                call_ms: staff
                    .call
                    .as_ref()
                    .and_then(|call| staff.pulse.started(call.id()))
                    .map(|started| millis(now.saturating_duration_since(started))),
            })
            .collect();
        workers.sort_by_key(|worker| worker.id);
        let why = || self.fault.as_ref().map_or("no instance can be made", CallError::message).to_owned();
        PoolNode {
            kind: self.parts.sizing.kind(),
            instances_max: self.parts.sizing.instances_max(),
            waiting: self.pool.waiting(),
            starting,
            workers,
            degraded: self.pool.degraded(now).map(|after| Degraded { why: why(), retry_after_ms: millis(after) }),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
