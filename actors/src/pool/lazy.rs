//! `lazy`: no worker until there is a call for it; an idle one goes after a while.

use std::time::Duration;

use super::Bounds;

pub(super) struct Lazy {
    pub(super) max_size: usize,
    pub(super) idle_timeout: Duration,
}

impl Bounds for Lazy {
    fn floor(&self) -> usize {
        0
    }

    fn ceiling(&self) -> usize {
        self.max_size
    }

    fn idle_timeout(&self) -> Option<Duration> {
        Some(self.idle_timeout)
    }
}
