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
