//! The body of a response, which fails when it stops coming.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};
use wasmtime_wasi_http::Error;

/// A body whose parts come within a time of each other.
pub(super) struct Timed {
    incoming: Incoming,
    between_max: Duration,
    /// Runs while somebody waits for the next part.
    patience: Pin<Box<Sleep>>,
    is_waiting: bool,
}

impl Timed {
    pub(super) fn new(incoming: Incoming, between_max: Duration) -> Self {
        Self { incoming, between_max, patience: Box::pin(sleep(between_max)), is_waiting: false }
    }
}

impl Body for Timed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            this.is_waiting = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::from)));
        }
        // A guest that takes its time over what has come is no fault of the server's.
        if !this.is_waiting {
            this.is_waiting = true;
            let deadline = Instant::now() + this.between_max;
            this.patience.as_mut().reset(deadline);
        }
        this.patience.as_mut().poll(cx).map(|()| Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
