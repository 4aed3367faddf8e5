//! The calls that wait in a run queue: one lane for each guest thread, and one for everybody else.
//!
//! A call of a task on a guest thread is best run on that thread: its values are in that processor's cache, and its caller
//! is woken without another thread. So a worker takes the oldest call of its own thread's lane first, and those of other
//! lanes when its own is empty or another has waited for much longer.

use std::collections::VecDeque;

use super::{Assignment, CallId};
use crate::threads;

/// How many later calls may be run before one of another lane.
const OVERTAKING_MAX: u64 = 64;

pub(super) struct Lanes(Vec<VecDeque<Assignment>>);

impl Lanes {
    /// Lanes for so many guest threads. One lane keeps all calls in the order in which they come.
    pub(super) fn new(lanes: usize) -> Self {
        Self((0..lanes.max(1)).map(|_| VecDeque::new()).collect())
    }

    /// The lane of the thread that asks.
    pub(super) fn here(&self) -> usize {
        threads::here().min(self.0.len() - 1)
    }

    pub(super) fn push(&mut self, lane: usize, assignment: Assignment) {
        if let Some(lane) = self.0.get_mut(lane) {
            lane.push_back(assignment);
        }
    }

    /// The next call for a worker on the thread of this lane.
    pub(super) fn next(&mut self, lane: usize) -> Option<Assignment> {
        let first = |lane: &VecDeque<Assignment>| lane.front().map(|first| first.call.id());
        let (oldest, at) = self.0.iter().enumerate().filter_map(|(at, lane)| Some((first(lane)?, at))).min()?;
        let own = self.0.get(lane).and_then(first).filter(|own| own.0 - oldest.0 <= OVERTAKING_MAX);
        self.0.get_mut(if own.is_some() { lane } else { at })?.pop_front()
    }

    /// Takes out a call that waits.
    pub(super) fn take(&mut self, id: CallId) -> Option<Assignment> {
        self.0.iter_mut().find_map(|lane| {
            let place = lane.binary_search_by_key(&id, |waiting| waiting.call.id()).ok()?;
            lane.remove(place)
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Assignment> {
        self.0.iter().flatten()
    }

    /// Takes out all calls, each lane in the order in which they came.
    pub(super) fn take_all(&mut self) -> Vec<Assignment> {
        self.0.iter_mut().flat_map(std::mem::take).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use super::*;
    use crate::{
        call::{CallOptions, Payload, Port, Reply},
        dispatcher::{Call, Gate},
        metrics::FunctionMetrics,
        spec::PoolSpec,
    };

    /// Calls with these ids, one after another, each in its lane.
    fn lanes(count: usize, calls: impl IntoIterator<Item = (u64, usize)>) -> Lanes {
        let metrics = Arc::new(FunctionMetrics::new("t:lanes"));
        let pool = PoolSpec::fixed(1, 1).with_buffer(1_000);
        let gate = Arc::new(Gate::new("t:lanes".parse().unwrap(), &pool, metrics));
        let mut lanes = Lanes::new(count);
        for (id, lane) in calls {
            let port = Port::Future(tokio::sync::oneshot::channel().0);
            let reply = Reply::new(port, gate.try_enter(false).unwrap(), tracing::Span::none());
            let call = Arc::new(Call::new(CallOptions::default(), Instant::now(), reply));
            call.name(CallId(id));
            lanes.push(lane, Assignment { call, args: Payload::Json(Vec::new()) });
        }
        lanes
    }

    fn next(lanes: &mut Lanes, lane: usize) -> Option<u64> {
        lanes.next(lane).map(|next| next.call.id().0)
    }

    #[test]
    fn a_worker_takes_the_calls_of_its_own_thread_first_and_then_the_oldest() {
        let mut lanes = lanes(3, [(1, 0), (2, 1), (3, 2), (4, 1)]);
        let taken: Vec<_> = std::iter::from_fn(|| next(&mut lanes, 1)).collect();
        assert_eq!(taken, [2, 4, 1, 3]);
    }

    #[test]
    fn no_call_is_overtaken_by_more_than_a_bound_of_others() {
        let own = (2..).take(200).map(|id| (id, 1));
        let mut lanes = lanes(2, std::iter::once((1, 0)).chain(own));
        let before = std::iter::from_fn(|| next(&mut lanes, 1)).position(|id| id == 1);
        assert_eq!(before, Some(usize::try_from(OVERTAKING_MAX).unwrap()));
    }

    #[test]
    fn one_lane_keeps_the_order_and_a_call_may_leave_it() {
        let mut lanes = lanes(1, (1..=5).map(|id| (id, 0)));
        assert_eq!(lanes.take(CallId(3)).map(|taken| taken.call.id().0), Some(3));
        assert!(lanes.take(CallId(3)).is_none());
        assert_eq!(lanes.iter().count(), 4);
        let taken: Vec<_> = std::iter::from_fn(|| next(&mut lanes, 0)).collect();
        assert_eq!(taken, [1, 2, 4, 5]);
    }
}
