//! Bodies, in and out: what is wrapped around them so that they are bounded, in time and size, and accounted for.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::{Body, BodyError, record::Record, timeouts::Patience};

/// The body of a request, of so many bytes at most, whose pieces come within `read` of each other.
pub(super) fn inbound(incoming: Incoming, bytes_max: u64, read: Duration) -> Body {
    if incoming.is_end_stream() {
        return Body::default();
    }
    let body = Inbound { incoming, read, patience: Patience::default() };
    Limited::new(body, usize::try_from(bytes_max).unwrap_or(usize::MAX)).boxed_unsync()
}

struct Inbound {
    incoming: Incoming,
    read: Duration,
    patience: Patience,
}

impl http_body::Body for Inbound {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.incoming).poll_frame(cx);
        let read = self.read;
        if self.patience.poll(cx, &frame, read).is_ready() {
            let message = format!("the client sent nothing for {read:?}");
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, message).into())));
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
    record: Record,
}

impl Outbound {
    pub(super) fn new(body: Option<Body>, record: Record) -> Self {
        Self { body, record }
    }
}

impl http_body::Body for Outbound {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        match &frame {
            None => self.record.ended(),
            Some(Err(error)) => self.record.broke_off(error),
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        if self.is_end_stream() {
            self.record.ended();
        }
    }
}
