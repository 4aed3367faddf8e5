//! Bodies, in and out: what is wrapped around them so that they are bounded, in time and size, and accounted for.

use std::{
    io, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::{Body, BodyError, record::Record, room::Place, streams::Handed, timeouts::Patience};

/// What is given to a client of HTTP/2 at once, in bytes, so that one that takes a large piece slowly is seen to take it.
const PIECE_BYTES_MAX: usize = 64 << 10;

/// The body of a request, of so many bytes at most, whose pieces come within `read` of each other. One that somebody will
/// hold takes a place.
pub(super) fn inbound(incoming: Incoming, bytes_max: u64, read: Duration, place: Option<Arc<Place>>) -> Body {
    if incoming.is_end_stream() {
        return Body::default();
    }
    let body = Inbound { incoming, read, place, patience: Patience::default() };
    Limited::new(body, usize::try_from(bytes_max).unwrap_or(usize::MAX)).boxed_unsync()
}

struct Inbound {
    incoming: Incoming,
    read: Duration,
    place: Option<Arc<Place>>,
    patience: Patience,
}

impl http_body::Body for Inbound {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.incoming).poll_frame(cx);
        let read = self.read;
        if frame.is_ready() {
            self.patience.end();
        } else if self.patience.poll(cx, read).is_ready() {
            let message = format!("the client sent nothing for {read:?}");
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, message).into())));
        }
        if let (Some(place), Poll::Ready(Some(Ok(frame)))) = (&self.place, &frame)
            && let Some(data) = frame.data_ref()
            && let Err(full) = place.grow(data.len() as u64)
        {
            return Poll::Ready(Some(Err(full.into())));
        }
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// The body of a response, with the record that ends when it does.
pub(super) struct Outbound {
    /// `None` where there is only a head.
    body: Option<Body>,
    /// What is left of a piece that was too large.
    left: Bytes,
    /// On HTTP/2: what the client has not taken.
    handed: Option<Arc<Handed>>,
    pieces: usize,
    record: Record,
}

impl Outbound {
    pub(super) fn new(body: Option<Body>, record: Record) -> Self {
        Self { body, left: Bytes::new(), handed: Handed::current(), pieces: 0, record }
    }

    /// Cuts a piece off that a client can take at once.
    fn piece(&mut self, mut bytes: Bytes) -> Frame<Bytes> {
        if bytes.len() > PIECE_BYTES_MAX {
            self.left = bytes.split_off(PIECE_BYTES_MAX);
        }
        Frame::data(bytes)
    }
}

impl http_body::Body for Outbound {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(handed) = &self.handed {
            handed.taken();
        }
        let frame = if self.left.is_empty() {
            let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
            ready!(Pin::new(body).poll_frame(cx))
        } else {
            Some(Ok(Frame::data(mem::take(&mut self.left))))
        };
        let frame = match frame {
            None => {
                self.record.ended();
                return Poll::Ready(None);
            }
            Some(Err(error)) => {
                self.record.broke_off(&error);
                return Poll::Ready(Some(Err(error)));
            }
            Some(Ok(frame)) => frame,
        };
        let Some(handed) = self.handed.clone() else { return Poll::Ready(Some(Ok(frame))) };
        self.pieces += 1;
        handed.over(self.pieces);
        let frame = match frame.into_data() {
            Ok(bytes) => self.piece(bytes),
            Err(trailers) => trailers,
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.left.len() as u64;
        let rest = self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let mut all = SizeHint::new();
        all.set_lower(rest.lower() + left);
        if let Some(upper) = rest.upper() {
            all.set_upper(upper + left);
        }
        all
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        if self.is_end_stream() {
            self.record.ended();
        }
    }
}
