//! The body of a file: read piece by piece, on blocking threads, when the client has taken the piece before. A client that
//! takes nothing holds one open file and one piece, and no thread.

use std::{
    fs::File,
    io::{self, ErrorKind, Read},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::{runtime::Handle, task::JoinHandle};

use crate::http::BodyError;

/// Bytes of a piece.
pub(super) const PIECE_BYTES: u64 = 64 << 10;

/// The bytes of a file that a client wants.
pub(super) struct FileBody {
    first: Bytes,
    source: Source,
    /// Bytes that are still to be sent.
    left: u64,
    readers: Handle,
}

enum Source {
    Open(File),
    Reading(JoinHandle<(File, io::Result<Bytes>)>),
    Done,
}

impl FileBody {
    /// A body of this length, which begins with `first` and goes on where the file stands, read on the blocking threads of
    /// this runtime.
    pub(super) fn new(first: Bytes, rest: Option<File>, length: u64, readers: Handle) -> Self {
        Self { first, source: rest.map_or(Source::Done, Source::Open), left: length, readers }
    }
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let piece = if !self.first.is_empty() {
            std::mem::take(&mut self.first)
        } else if self.left == 0 {
            return Poll::Ready(None);
        } else {
            let (file, piece) = match ready!(self.poll_piece(context)) {
                Ok(read) => read,
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            };
            if piece.len() as u64 != self.left {
                self.source = Source::Open(file);
            }
            piece
        };
        self.left = self.left.saturating_sub(piece.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl FileBody {
    /// The next piece, with the file. What fails is not asked again.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<(File, Bytes)>> {
        let mut reading = match std::mem::replace(&mut self.source, Source::Done) {
            Source::Open(mut file) => {
                let left = self.left;
                self.readers.spawn_blocking(move || {
                    let piece = read_piece(&mut file, left);
                    (file, piece)
                })
            }
            Source::Reading(reading) => reading,
            Source::Done => return Poll::Ready(Err(ErrorKind::UnexpectedEof.into())),
        };
        match Pin::new(&mut reading).poll(context) {
            Poll::Pending => {
                self.source = Source::Reading(reading);
                Poll::Pending
            }
            Poll::Ready(Ok((file, piece))) => Poll::Ready(piece.map(|piece| (file, piece))),
            Poll::Ready(Err(stopped)) => Poll::Ready(Err(io::Error::other(stopped))),
        }
    }
}

/// Reads the next piece of the `left` bytes that are wanted of a file.
///
/// # Errors
/// Those of the system, and [`ErrorKind::UnexpectedEof`] when the file has become shorter.
pub(super) fn read_piece(file: &mut File, left: u64) -> io::Result<Bytes> {
    let length = left.min(PIECE_BYTES);
    let mut piece = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    file.take(length).read_to_end(&mut piece)?;
    if (piece.len() as u64) < length { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(piece.into()) }
}
