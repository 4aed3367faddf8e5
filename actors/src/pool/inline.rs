//! `inline`: one call at a time in the order of arrival. The worker makes its instance for the call and keeps nothing.

use std::time::Duration;

use super::Bounds;

pub(super) struct Inline;

impl Bounds for Inline {
    fn floor(&self) -> usize {
        0
    }

    fn ceiling(&self) -> usize {
        1
    }

    fn idle_timeout(&self) -> Option<Duration> {
        // A worker without an instance costs next to nothing, and a new one for each call would.
        None
    }
}
