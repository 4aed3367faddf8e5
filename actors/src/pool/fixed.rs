//! `static`: a fixed number of workers, there from the start.

use std::time::Duration;

use super::Bounds;

pub(super) struct Static {
    pub(super) workers: usize,
}

impl Bounds for Static {
    fn floor(&self) -> usize {
        self.workers
    }

    fn ceiling(&self) -> usize {
        self.workers
    }

    fn idle_timeout(&self) -> Option<Duration> {
        None
    }
}
