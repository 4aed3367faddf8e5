//! Guest output: what a guest writes to stdout and stderr becomes lines of the log, bounded in length and rate.
//!
//! The lines are `tracing` events of the target `greenroom::guest`, with the fields `function`, `stream`, and `request_id`
//! where the call has one. Where they go is for the subscriber to decide.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::{call, spec::FunctionId};

tokio::task_local! {
    /// The call that runs in this task. What a guest writes is written while its future is polled.
    static RUNNING: Arc<call::Context>;
}

/// Runs a call whose lines in the log have its request's id.
pub(super) async fn named<F: Future>(context: Arc<call::Context>, call: F) -> F::Output {
    RUNNING.scope(context, call).await
}

/// Bytes of a line that the log shows. The rest of a longer line is left out, and the line says so.
pub const LINE_BYTES_MAX: usize = 8 << 10;

/// Lines that one function may log in a second, over all its instances. More are counted, and the count is logged.
pub const LINES_PER_SECOND_MAX: u32 = 1_000;

/// Bytes that a guest may write at once before it must ask again.
const WRITE_BYTES_MAX: usize = 64 << 10;

/// One of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The log of one function, shared by its instances: what its guests say, bounded in length and rate.
pub struct GuestLog {
    function: FunctionId,
    rate: Mutex<Rate>,
}

impl GuestLog {
    /// That of this function.
    pub fn new(function: &FunctionId) -> Self {
        Self { function: function.clone(), rate: Mutex::new(Rate::new(Instant::now(), LINES_PER_SECOND_MAX)) }
    }

    /// Logs what a guest of another language says, at a level. Line breaks and control characters are shown as escapes.
    pub fn say(&self, level: tracing::Level, text: &str, request_id: Option<&str>) {
        if !self.admits() {
            return;
        }
        let mut line = Line::default();
        line.push(text.as_bytes());
        let (text, function, stream) = (line.text(), &self.function, "log");
        macro_rules! event {
            ($level:ident) => {
                tracing::event!(target: "greenroom::guest", tracing::Level::$level, %function, stream, request_id, "{text}")
            };
        }
        match level {
            tracing::Level::ERROR => event!(ERROR),
            tracing::Level::WARN => event!(WARN),
            tracing::Level::INFO => event!(INFO),
            tracing::Level::DEBUG => event!(DEBUG),
            tracing::Level::TRACE => event!(TRACE),
        }
    }

    /// Whether one more line may be logged. Tells of those that were not.
    fn admits(&self) -> bool {
        let (dropped, admitted) = self.rate.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now());
        if dropped > 0 {
            tracing::warn!(
                target: "greenroom::guest",
                function = %self.function,
                "{dropped} lines of output were dropped; a function may log {LINES_PER_SECOND_MAX} a second"
            );
        }
        admitted
    }

    fn line(&self, stream: Stream, line: &Line) {
        if self.admits() {
            let text = line.text();
            let log = |request_id: Option<&str>| {
                let (function, stream) = (&self.function, stream.name());
                tracing::info!(target: "greenroom::guest", %function, stream, request_id, "{text}");
            };
            RUNNING.try_with(|context| log(context.request_id.as_deref())).unwrap_or_else(|_| log(None));
        }
    }
}

impl Drop for GuestLog {
    fn drop(&mut self) {
        let dropped = self.rate.lock().unwrap_or_else(PoisonError::into_inner).dropped;
        if dropped > 0 {
            tracing::warn!(
                target: "greenroom::guest",
                function = %self.function,
                "{dropped} lines of output were dropped; a function may log {LINES_PER_SECOND_MAX} a second"
            );
        }
    }
}

/// Admits so many lines in each second.
pub(super) struct Rate {
    per_second_max: u32,
    second: Instant,
    admitted: u32,
    dropped: u64,
}

impl Rate {
    pub(super) fn new(now: Instant, per_second_max: u32) -> Self {
        Self { per_second_max, second: now, admitted: 0, dropped: 0 }
    }

    /// How many lines were dropped in the seconds before this one, when this is the first line after them; and whether
    /// this line may pass.
    pub(super) fn admit(&mut self, now: Instant) -> (u64, bool) {
        let mut dropped = 0;
        if now.saturating_duration_since(self.second) >= Duration::from_secs(1) {
            dropped = std::mem::take(&mut self.dropped);
            self.second = now;
            self.admitted = 0;
        }
        let admitted = self.admitted < self.per_second_max;
        match admitted {
            true => self.admitted += 1,
            false => self.dropped += 1,
        }
        (dropped, admitted)
    }
}

/// A line that is being written.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
    cut: u64,
}

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.bytes.len());
        let (kept, cut) = bytes.split_at(room.min(bytes.len()));
        self.bytes.extend_from_slice(kept);
        self.cut += cut.len() as u64;
    }

    fn text(&self) -> String {
        let bytes = self.bytes.strip_suffix(b"\r").unwrap_or(&self.bytes);
        let mut text = String::with_capacity(bytes.len());
        for c in String::from_utf8_lossy(bytes).chars() {
            // A guest must not be able to draw over the log that shows its lines.
            match c.is_control() && c != '\t' {
                true => text.extend(c.escape_default()),
                false => text.push(c),
            }
        }
        if self.cut > 0 {
            text.push_str(&format!(" … ({} bytes more)", self.cut));
        }
        text
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.cut == 0
    }
}

/// One stream of one instance. All handles that the guest has to it share one unfinished line.
#[derive(Clone)]
pub(super) struct GuestOutput(Arc<Output>);

struct Output {
    log: Arc<GuestLog>,
    stream: Stream,
    line: Mutex<Line>,
}

impl GuestOutput {
    pub(super) fn new(log: &Arc<GuestLog>, stream: Stream) -> Self {
        Self(Arc::new(Output { log: Arc::clone(log), stream, line: Mutex::default() }))
    }

    fn accept(&self, bytes: &[u8]) {
        let mut line = self.0.line.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        // The last piece is what follows the last newline: the beginning of a line that is not finished.
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            line.push(piece);
            self.0.log.line(self.0.stream, &line);
            *line = Line::default();
        }
        line.push(last);
    }
}

impl Drop for Output {
    /// A line without an end is logged when its instance goes, however that came about.
    fn drop(&mut self) {
        let line = std::mem::take(&mut *self.line.lock().unwrap_or_else(PoisonError::into_inner));
        if !line.is_empty() {
            self.log.line(self.stream, &line);
        }
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.accept(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

impl AsyncWrite for GuestOutput {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.accept(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_sent() {
        let mut line = Line::default();
        line.push("safe\tand\rsound \u{1b}[31m\0é\r".as_bytes());
        assert_eq!(line.text(), "safe\tand\\rsound \\u{1b}[31m\\u{0}é");
    }

    #[test]
    fn a_long_line_is_cut_and_says_how_much_is_missing() {
        let mut line = Line::default();
        line.push(&vec![b'x'; LINE_BYTES_MAX - 1]);
        line.push(b"yz!");
        assert!(line.text().ends_with("xy … (2 bytes more)"));
        assert_eq!(line.bytes.len(), LINE_BYTES_MAX);
    }

    #[test]
    fn lines_beyond_the_rate_are_dropped_and_counted_in_the_next_second() {
        let start = Instant::now();
        let mut rate = Rate::new(start, LINES_PER_SECOND_MAX);
        for _ in 0..LINES_PER_SECOND_MAX {
            assert_eq!(rate.admit(start), (0, true));
        }
        assert_eq!(rate.admit(start), (0, false));
        assert_eq!(rate.admit(start + Duration::from_millis(999)), (0, false));
        assert_eq!(rate.admit(start + Duration::from_secs(1)), (2, true));
        assert_eq!(rate.admit(start + Duration::from_secs(1)), (0, true));
    }
}
