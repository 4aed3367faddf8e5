//! How long connections may take: who is waiting for whom, and since when. What happens then is the business of whoever
//! asks.
//!
//! - `read`: from the start of a connection to the end of its first head; from the first byte of a later head to its end,
//!   on HTTP/1.1; and between two pieces of a request's body.
//! - `write`: between two pieces of a response that the client takes.
//! - `idle`: from the end of a response to the next request.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use crate::registry::http::Timeouts;

/// What goes on on one connection.
pub(super) struct Activity {
    born: Instant,
    /// Requests that are being answered.
    requests: AtomicUsize,
    /// Whether there was a request yet.
    began: AtomicBool,
    /// Whether requests share the connection, so that its bytes do not say whose they are.
    shared: AtomicBool,
    /// When the last answer ended, in milliseconds of its life.
    quiet_since: AtomicU64,
    /// When the head that is on its way began, in milliseconds of its life, plus one; 0 when none is.
    head_since: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            born: Instant::now(),
            requests: AtomicUsize::new(0),
            began: AtomicBool::new(false),
            shared: AtomicBool::new(false),
            quiet_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
        }
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn bytes_came(&self) {
        if self.requests.load(Relaxed) == 0 && self.head_since.load(Relaxed) == 0 {
            self.head_since.store(self.age().saturating_add(1), Relaxed);
        }
    }

    /// A request's head is here.
    pub(super) fn request_came(&self, http2: bool) {
        self.requests.fetch_add(1, Relaxed);
        self.began.store(true, Relaxed);
        self.shared.store(http2, Relaxed);
    }

    /// A request's answer is over, one way or another.
    pub(super) fn request_ended(&self) {
        self.quiet_since.store(self.age(), Relaxed);
        self.head_since.store(0, Relaxed);
        self.requests.fetch_sub(1, Relaxed);
    }

    /// Requests that are being answered.
    pub(super) fn in_flight(&self) -> usize {
        self.requests.load(Relaxed)
    }

    /// Whether the next thing to come is the rest of a request's head, and nothing else goes on.
    pub(super) fn awaits_head(&self) -> bool {
        self.in_flight() == 0 && !self.shared.load(Relaxed) && self.head_since.load(Relaxed) > 0
    }

    /// Whether there was no request yet.
    pub(super) fn is_new(&self) -> bool {
        !self.began.load(Relaxed)
    }

    /// When the client must have said more, or ended; `None` while it waits for us.
    fn deadline(&self, timeouts: &Timeouts) -> Option<Instant> {
        let head = self.head_since.load(Relaxed);
        if self.in_flight() > 0 {
            None
        } else if self.is_new() {
            Some(self.born + timeouts.read)
        } else if head > 0 && !self.shared.load(Relaxed) {
            Some(self.born + Duration::from_millis(head - 1) + timeouts.read)
        } else {
            Some(self.born + Duration::from_millis(self.quiet_since.load(Relaxed)) + timeouts.idle)
        }
    }

    /// When to look whether it is late. Whatever begins after now is not late before.
    pub(super) fn look_at(&self, timeouts: &Timeouts) -> Instant {
        let next = Instant::now() + timeouts.read.min(timeouts.idle);
        self.deadline(timeouts).map_or(next, |deadline| deadline.min(next))
    }

    /// Whether the client should have said more by now.
    pub(super) fn is_late(&self, timeouts: &Timeouts, now: Instant) -> bool {
        self.deadline(timeouts).is_some_and(|deadline| deadline <= now)
    }
}

/// A timer that runs while something is waited for. It costs nothing until then.
#[derive(Default)]
pub(super) struct Patience {
    timer: Option<Pin<Box<Sleep>>>,
    running: bool,
}

impl Patience {
    /// What was waited for came.
    pub(super) fn end(&mut self) {
        self.running = false;
    }

    /// Something is waited for, from now or still. Ready when that is for too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, at_most: Duration) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(at_most)));
        if !self.running {
            self.running = true;
            timer.as_mut().reset(Instant::now() + at_most);
        }
        timer.as_mut().poll(cx)
    }
}

/// A connection whose client must take what is written.
pub(super) struct Timed<S> {
    stream: S,
    activity: Arc<Activity>,
    write: Duration,
    patience: Patience,
}

impl<S> Timed<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>, write: Duration) -> Self {
        Self { stream, activity, write, patience: Patience::default() }
    }

    fn timed<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.patience.end();
        } else if self.patience.poll(cx, self.write).is_ready() {
            let message = format!("the client took nothing for {:?}", self.write);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, message)));
        }
        result
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.activity.bytes_came();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.timed(cx, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.timed(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.timed(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.timed(cx, result)
    }
}
