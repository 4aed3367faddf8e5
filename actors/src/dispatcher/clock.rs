//! The one timer of a dispatcher, set for the earliest moment at which its run queue must be looked at.

use std::time::Instant;

use ractor::ActorRef;
use tokio::task::AbortHandle;

use super::CallMessage;

pub(super) struct Clock {
    dispatcher: ActorRef<CallMessage>,
    timer: Option<AbortHandle>,
}

impl Clock {
    pub(super) fn new(dispatcher: ActorRef<CallMessage>) -> Self {
        Self { dispatcher, timer: None }
    }

    /// Sets the timer, in place of the one that was set.
    pub(super) fn wind(&mut self, at: Option<Instant>) {
        let task = at.map(|at| {
            let dispatcher = self.dispatcher.clone();
            tokio::spawn(async move {
                tokio::time::sleep_until(at.into()).await;
                // A dispatcher that is gone needs no clock.
                drop(dispatcher.cast(CallMessage::tick()));
            })
        });
        if let Some(old) = std::mem::replace(&mut self.timer, task.map(|task| task.abort_handle())) {
            old.abort();
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.wind(None);
    }
}
