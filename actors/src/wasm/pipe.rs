//! The standard streams of a process: where its input comes from and its output goes to.
//!
//! Output goes through a task of its own, so that a reader who is slow keeps the guest waiting and no thread. Guests of
//! functions have no such streams: what they print is `stdio`'s business.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use wasmtime_wasi::{
    cli::{AsyncStdinStream, IsTerminal, StdinStream, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

use super::stdio::{GuestLog, GuestOutput, Stream};

/// Bytes that a guest may write ahead of what has been taken.
const AHEAD_BYTES_MAX: usize = 64 << 10;

/// Where the input of a process comes from.
#[derive(Default)]
pub enum Stdin {
    /// There is none.
    #[default]
    Empty,
    /// The standard input of this program.
    Inherit,
    /// Whatever can be read from this.
    Reader(Box<dyn AsyncRead + Send + Sync + Unpin>),
}

/// Where the output of a process goes to.
#[derive(Default)]
pub enum Stdout {
    /// Lines of the log, as for functions.
    #[default]
    Log,
    /// Into this. When it fails or is closed, the guest sees a closed stream.
    Writer(Box<dyn AsyncWrite + Send + Unpin>),
    /// The same, and the guest is told that it is a terminal.
    Terminal(Box<dyn AsyncWrite + Send + Unpin>),
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Inherit => "Inherit",
            Self::Reader(_) => "Reader",
        })
    }
}

impl fmt::Debug for Stdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Log => "Log",
            Self::Writer(_) => "Writer",
            Self::Terminal(_) => "Terminal",
        })
    }
}

/// The standard streams of a process. Default is no input, and the log for output.
#[derive(Debug, Default)]
pub struct Stdio {
    /// Its input.
    pub stdin: Stdin,
    /// Its output.
    pub stdout: Stdout,
    /// Its errors.
    pub stderr: Stdout,
}

impl Stdio {
    /// Gives the streams to a guest. What is returned ends when all that the guest wrote is where it should go, after the
    /// guest is gone.
    pub(super) fn give(self, wasi: &mut wasmtime_wasi::WasiCtxBuilder, log: &Arc<GuestLog>) -> Written {
        match self.stdin {
            Stdin::Empty => {}
            Stdin::Inherit => drop(wasi.inherit_stdin()),
            Stdin::Reader(reader) => drop(wasi.stdin(Input(AsyncStdinStream::new(reader)))),
        }
        let mut written = Written(Vec::new());
        match written.open(self.stdout) {
            Some(pipe) => wasi.stdout(pipe),
            None => wasi.stdout(GuestOutput::new(log, Stream::Stdout)),
        };
        match written.open(self.stderr) {
            Some(pipe) => wasi.stderr(pipe),
            None => wasi.stderr(GuestOutput::new(log, Stream::Stderr)),
        };
        written
    }
}

/// The tasks that write what a guest wrote, and what became of it.
#[derive(Default)]
pub(super) struct Written(Vec<(JoinHandle<()>, Arc<State>)>);

impl Written {
    /// Waits until everything is written. Never ends before the guest's streams are gone.
    ///
    /// # Errors
    /// Why something was not written, of which the guest heard nothing.
    pub(super) fn all(self) -> BoxFuture<'static, io::Result<()>> {
        Box::pin(async {
            let mut outcome = Ok(());
            for (task, state) in self.0 {
                // A task that was aborted with its threads has nothing more to write.
                drop(task.await);
                outcome = state.failure().take().map_or(outcome, Err);
            }
            outcome
        })
    }

    /// Output into a writer; `None` when it is for the log.
    fn open(&mut self, stdout: Stdout) -> Option<Pipe> {
        let (writer, is_terminal) = match stdout {
            Stdout::Log => return None,
            Stdout::Writer(writer) => (writer, false),
            Stdout::Terminal(writer) => (writer, true),
        };
        let (sender, receiver) = mpsc::unbounded_channel();
        let state = Arc::new(State::default());
        self.0.push((tokio::spawn(write(writer, receiver, state.clone())), state.clone()));
        Some(Pipe { sender, state, is_terminal })
    }
}

/// Input that comes from a reader.
struct Input(AsyncStdinStream);

impl IsTerminal for Input {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for Input {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        self.0.async_stream()
    }
}

/// Output on its way to a writer. All handles that the guest has to it share it.
#[derive(Clone)]
struct Pipe {
    sender: mpsc::UnboundedSender<Bytes>,
    state: Arc<State>,
    is_terminal: bool,
}

#[derive(Default)]
struct State {
    /// Bytes that the guest has written and the writer has not yet taken.
    ahead: AtomicUsize,
    /// Whether the guest waits until nothing is ahead.
    flushing: AtomicBool,
    closed: AtomicBool,
    /// Why the writer failed, until the guest has heard of it. A reader that is gone is no failure.
    failure: Mutex<Option<io::Error>>,
    moved: Notify,
}

impl State {
    /// Bytes that the guest may write now.
    fn room(&self) -> usize {
        let ahead = self.ahead.load(Ordering::Acquire);
        if ahead > 0 && self.flushing.load(Ordering::Acquire) { 0 } else { AHEAD_BYTES_MAX.saturating_sub(ahead) }
    }

    fn failure(&self) -> MutexGuard<'_, Option<io::Error>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails when nothing can be written any more: once with the reason, then because the stream is closed. Hosts take a
    /// stream that closed while it was flushed for one that was flushed, so that the reason must not be lost.
    fn open(&self) -> StreamResult<()> {
        if !self.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.failure().take() {
            Some(error) => Err(StreamError::LastOperationFailed(error.into())),
            None => Err(StreamError::Closed),
        }
    }
}

/// Writes until the guest's streams are gone.
async fn write(
    mut writer: Box<dyn AsyncWrite + Send + Unpin>,
    mut written: mpsc::UnboundedReceiver<Bytes>,
    state: Arc<State>,
) {
    while let Some(bytes) = written.recv().await {
        let mut done = writer.write_all(&bytes).await;
        if done.is_ok() && written.is_empty() {
            done = writer.flush().await;
        }
        if let Err(error) = &done {
            if error.kind() != io::ErrorKind::BrokenPipe {
                *state.failure() = Some(io::Error::new(error.kind(), error.to_string()));
            }
            state.closed.store(true, Ordering::Release);
        }
        if state.ahead.fetch_sub(bytes.len(), Ordering::AcqRel) == bytes.len() {
            state.flushing.store(false, Ordering::Release);
        }
        state.moved.notify_waiters();
        if done.is_err() {
            return;
        }
    }
}

impl Pipe {
    fn send(&self, bytes: Bytes) -> StreamResult<()> {
        self.state.open()?;
        if bytes.is_empty() {
            return Ok(());
        }
        self.state.ahead.fetch_add(bytes.len(), Ordering::AcqRel);
        self.sender.send(bytes).map_err(|_| StreamError::Closed)
    }
}

impl IsTerminal for Pipe {
    fn is_terminal(&self) -> bool {
        self.is_terminal
    }
}

impl StdoutStream for Pipe {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Pipe {
    async fn ready(&mut self) {
        loop {
            let moved = self.state.moved.notified();
            let mut moved = std::pin::pin!(moved);
            // Heard from before the look, so that nothing is missed between the two.
            moved.as_mut().enable();
            if self.state.room() > 0 || self.state.closed.load(Ordering::Acquire) {
                return;
            }
            moved.await;
        }
    }
}

impl OutputStream for Pipe {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.len() > self.state.room() {
            return Err(StreamError::trap("more was written than check-write allowed"));
        }
        self.send(bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.state.flushing.store(true, Ordering::Release);
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.state.open().map(|()| self.state.room())
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(match self.send(Bytes::copy_from_slice(bytes)) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
