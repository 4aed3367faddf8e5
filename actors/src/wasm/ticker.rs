//! The clock of epoch interruption: one thread per wasmtime engine that moves the epoch while guests run.
//!
//! What a guest does when the epoch moves (it yields) is set on its store; this file only moves it. The thread parks
//! while no guest runs, so that an idle runtime uses no processor time, and ends when the ticker is dropped.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, Thread},
    time::Duration,
};

/// How long an epoch is: the longest that a guest runs before it yields to others on its thread.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Ticks that pass without a running guest before the thread parks. Calls that follow each other closely then need not
/// wake it each time.
const IDLE_TICKS: u32 = 50;

struct Shared {
    /// A guest was run since the last tick. Guests only read it, nearly always: it is shared by all threads.
    busy: AtomicBool,
    parked: AtomicBool,
    ended: AtomicBool,
}

/// Owns the thread that moves one engine's epoch.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    handle: Option<JoinHandle<()>>,
    thread: Thread,
}

impl Ticker {
    /// Starts the thread. `tick` is what moves the epoch.
    ///
    /// # Errors
    /// When the system refuses another thread.
    pub(crate) fn start(tick: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            busy: AtomicBool::new(false),
            parked: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        let handle = thread::Builder::new().name("greenroom-epoch".to_owned()).spawn(move || run(&of_thread, &tick))?;
        let thread = handle.thread().clone();
        Ok(Self { shared, handle: Some(handle), thread })
    }

    /// Awaits what runs guests. Epochs pass whenever it is polled; a guest that waits in the host needs none.
    pub(crate) async fn during<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            self.touch();
            future.as_mut().poll(cx)
        })
        .await
    }

    /// A guest is about to run, until the next epoch at the latest.
    fn touch(&self) {
        if self.shared.busy.load(Ordering::Relaxed) {
            return;
        }
        self.shared.busy.store(true, Ordering::SeqCst);
        // Sequential consistency pairs this with the thread's own store and load: either it sees the guest, or this
        // sees that it is about to park.
        if self.shared.parked.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }

    #[cfg(test)]
    fn is_parked(&self) -> bool {
        self.shared.parked.load(Ordering::SeqCst)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.thread.unpark();
        if let Some(handle) = self.handle.take() {
            // The thread runs nothing that panics, and a drop has nobody to tell.
            drop(handle.join());
        }
    }
}

fn run(shared: &Shared, tick: &dyn Fn()) {
    let mut idle = 0;
    while !shared.ended.load(Ordering::SeqCst) {
        idle = if shared.busy.swap(false, Ordering::SeqCst) { 0 } else { idle + 1 };
        if idle >= IDLE_TICKS {
            shared.parked.store(true, Ordering::SeqCst);
            while !shared.busy.load(Ordering::SeqCst) && !shared.ended.load(Ordering::SeqCst) {
                thread::park();
            }
            shared.parked.store(false, Ordering::SeqCst);
            idle = 0;
            continue;
        }
        thread::park_timeout(TICK);
        tick();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, atomic::AtomicU64},
        time::Instant,
    };

    use super::*;

    fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(10), "{what} never came");
            thread::yield_now();
        }
    }

    #[test]
    fn the_thread_ticks_while_a_guest_runs_and_parks_when_none_does() {
        let ticks = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&ticks);
        let ticker = Ticker::start(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        })
        .unwrap();
        eventually("the first park", || ticker.is_parked());

        let before = ticks.load(Ordering::SeqCst);
        eventually("ticks beyond the idle ones", || {
            ticker.touch();
            ticks.load(Ordering::SeqCst) > before + 2 * u64::from(IDLE_TICKS)
        });

        eventually("the second park", || ticker.is_parked());
        let after = ticks.load(Ordering::SeqCst);
        drop(ticker);
        assert_eq!(ticks.load(Ordering::SeqCst), after, "a parked ticker moves nothing");
    }

    #[test]
    fn dropping_the_ticker_ends_its_thread() {
        let token = Arc::new(());
        let held = Arc::clone(&token);
        let ticker = Ticker::start(move || drop(Arc::clone(&held))).unwrap();
        drop(ticker);
        assert_eq!(Arc::strong_count(&token), 1);
    }
}
