//! The guest threads: a tokio runtime of their own, so that guests that compute never delay dispatching.

use tokio::runtime::{Builder, Handle, Runtime};

/// The threads that run guests. Dropping them leaves what still runs to end by itself.
pub(crate) struct GuestThreads {
    runtime: Option<Runtime>,
    handle: Handle,
    count: usize,
}

impl GuestThreads {
    pub(crate) fn start(count: usize) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(count)
            .thread_name("greenroom-guest")
            // Guests yield at each tick of the engine's clock. Looking at timers and sockets at each of these turns
            // keeps a guest that sleeps from waiting behind guests that compute.
            .event_interval(4)
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
