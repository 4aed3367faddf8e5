//! The guest threads: a tokio runtime of their own, so that guests that compute never delay dispatching.

use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::runtime::{Builder, Handle, Runtime};

/// How many tasks a thread runs before it looks at timers and sockets. Guests yield at each tick of the engine's clock:
/// what waits for a timer or a socket has waited for so many ticks at most.
const TASKS_BETWEEN_EVENTS: u32 = 4;

thread_local! {
    /// Which guest thread this is.
    static HERE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Which guest thread of its runtime this is, from 0; greater than all of them elsewhere.
pub(crate) fn here() -> usize {
    HERE.get()
}

/// The threads that run guests. Dropping them leaves what still runs to end by itself.
pub(crate) struct GuestThreads {
    runtime: Option<Runtime>,
    handle: Handle,
    count: usize,
}

impl GuestThreads {
    pub(crate) fn start(count: usize) -> std::io::Result<Self> {
        let started = AtomicUsize::new(0);
        let runtime = Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name("greenroom-guest")
            .on_thread_start(move || HERE.set(started.fetch_add(1, Ordering::Relaxed)))
            .event_interval(TASKS_BETWEEN_EVENTS)
            .enable_all()
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime), count })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl Drop for GuestThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
