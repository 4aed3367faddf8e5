//! What a worker is doing, readable by its dispatcher without a message: which call, since when, and how much of its time
//! was computing and how much asleep.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Poll, Wake, Waker},
    time::{Duration, Instant},
};

use futures::task::AtomicWaker;

use crate::{dispatcher::CallId, pool::Load};

/// The pulse of one worker. Times are nanoseconds since `born`.
pub(crate) struct Pulse {
    born: Instant,
    metered: bool,
    /// The running call's id, or `NONE`.
    call: AtomicU64,
    started: AtomicU64,
    cpu: AtomicU64,
    asleep: AtomicU64,
    /// When the running call fell asleep, or 0.
    asleep_since: AtomicU64,
    woken: AtomicBool,
    waker: AtomicWaker,
}

const NONE: u64 = u64::MAX;

impl Pulse {
    pub(crate) fn new(metered: bool) -> Self {
        Self {
            born: Instant::now(),
            metered,
            call: AtomicU64::new(NONE),
            started: AtomicU64::new(0),
            cpu: AtomicU64::new(0),
            asleep: AtomicU64::new(0),
            asleep_since: AtomicU64::new(0),
            woken: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }
    }

    /// How long the worker has been there.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.born)
    }

    /// A call starts.
    pub(super) fn start(&self, call: CallId, now: Instant) {
        self.started.store(self.nanos(now), Ordering::Relaxed);
        self.call.store(call.0, Ordering::Release);
    }

    pub(super) fn end(&self) {
        self.call.store(NONE, Ordering::Release);
    }

    /// When this call was started; `None` while it has not been.
    pub(crate) fn started(&self, call: CallId) -> Option<Instant> {
        let running = self.call.load(Ordering::Acquire) == call.0;
        running.then(|| self.born + Duration::from_nanos(self.started.load(Ordering::Relaxed)))
    }

    /// What all calls of this worker did so far, the running one included.
    pub(crate) fn load(&self, now: Instant) -> Load {
        let since = self.asleep_since.load(Ordering::Relaxed);
        let current = if since == 0 { 0 } else { self.nanos(now).saturating_sub(since) };
        Load {
            cpu: Duration::from_nanos(self.cpu.load(Ordering::Relaxed)),
            asleep: Duration::from_nanos(self.asleep.load(Ordering::Relaxed) + current),
        }
    }

    /// Runs a future and, where this worker is metered, counts its time on a processor and its time asleep.
    ///
    /// A future that wakes itself while it is polled, as guests do at each epoch, is not asleep: it waits for a processor.
    pub(super) async fn meter<F: Future>(self: &Arc<Self>, future: F) -> F::Output {
        if !self.metered {
            return future.await;
        }
        let mut future = pin!(future);
        let waker = Waker::from(self.clone());
        std::future::poll_fn(|cx| {
            self.waker.register(cx.waker());
            self.woken.store(false, Ordering::Relaxed);
            let before = self.nanos(Instant::now());
            self.awake(before);
            let poll = future.as_mut().poll(&mut std::task::Context::from_waker(&waker));
            let after = self.nanos(Instant::now());
            self.cpu.fetch_add(after.saturating_sub(before), Ordering::Relaxed);
            if matches!(poll, Poll::Pending) && !self.woken.load(Ordering::Acquire) {
                self.asleep_since.store(after.max(1), Ordering::Relaxed);
            }
            poll
        })
        .await
    }

    fn awake(&self, now: u64) {
        let since = self.asleep_since.swap(0, Ordering::Relaxed);
        if since != 0 {
            self.asleep.fetch_add(now.saturating_sub(since), Ordering::Relaxed);
        }
    }

    fn nanos(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.born).as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Wake for Pulse {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.awake(self.nanos(Instant::now()));
        self.waker.wake();
    }
}
