//! One HTTP exchange as its caller meets it: a call that is answered when the guest has ended, a response that comes before,
//! and a body that carries the call along.
//!
//! What a guest makes of a request is `wasm`'s business; sockets are that of whoever has the request.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::CONTENT_LENGTH, uri::Scheme};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use crate::{
    call::{BodyError, CallError, CallOptions, ErrorKind, HttpBody, HttpRequest, Payload, Progress},
    directory::{Entry, Running},
    executor,
    spec::FunctionId,
};

/// Gives a request to a function that handles requests itself, and waits for its response to begin.
pub(crate) async fn exchange(
    entry: &Entry,
    scheme: Scheme,
    request: Request<HttpBody>,
    options: CallOptions,
) -> Result<Response<ResponseBody>, CallError> {
    let is_head = request.method() == Method::HEAD;
    let progress = Arc::new(Progress::default());
    let (sender, mut receiver) = oneshot::channel();
    let payload = HttpRequest { request, scheme, response: sender, progress: progress.clone() };
    let args = entry.refusing(executor::fit(Payload::Http(Box::new(payload)), &*entry.executor))?;
    let mut call = entry.start(args, options).await?;
    let response = tokio::select! {
        biased;
        response = &mut receiver => match response {
            Ok(response) => response,
            // The guest is at its end, and the call will say how.
            Err(_) => return Err(no_response(entry, (&mut call).await.err())),
        },
        ended = &mut call => match receiver.try_recv() {
            Ok(response) => response,
            Err(_) => return Err(no_response(entry, ended.err())),
        }
    };
    let length = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let has_none = is_head || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    Ok(response.map(|body| {
        let left = if has_none || body.is_end_stream() { Some(0) } else { length };
        ResponseBody { inner: body, call: Some(call), left, progress, function: entry.id.clone(), failure: None }
    }))
}

/// Guests that end well without a response are failures of their executor, so this is not met.
fn no_response(entry: &Entry, error: Option<CallError>) -> CallError {
    error.unwrap_or_else(|| CallError::new(ErrorKind::Internal, format!("`{}` gave no response", entry.id)))
}

/// The body of a response, while its guest may still be at work.
///
/// It ends with an error when the call fails before the body is whole. Dropping it before cancels the call, which frees the
/// instance; a guest that works on after its body is whole is let be.
#[derive(Debug)]
pub struct ResponseBody {
    /// The call, until it has ended or nobody waits for its end any more. Before the body, so that a guest is cancelled
    /// rather than told that nobody reads.
    call: Option<Running>,
    inner: HttpBody,
    /// What is left of the body, in bytes, where that is known.
    left: Option<u64>,
    progress: Arc<Progress>,
    function: FunctionId,
    /// Why it breaks off, from when that is known until it is told.
    failure: Option<BodyError>,
}

impl ResponseBody {
    /// The body is whole: how the guest ends is its own business.
    fn leave(&mut self) {
        self.progress.leave();
        if let Some(call) = self.call.take() {
            call.detach();
        }
    }

    /// Tells of the failure one turn later: servers send what they have when there is no more for now, and forget it when
    /// there is an error.
    fn broken(&mut self, error: BodyError, cx: &Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let backtrace = error.downcast_ref().and_then(CallError::backtrace);
        tracing::warn!(function = %self.function, %error, backtrace, "a response broke off");
        self.call = None;
        self.failure = Some(error);
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn unfinished(&self) -> CallError {
        CallError::new(ErrorKind::Internal, format!("`{}` ended and left its response unfinished", self.function))
    }

    /// How the call ended, once it has.
    fn poll_call(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        let Some(call) = &mut self.call else { return Poll::Ready(Ok(())) };
        let ended = ready!(Pin::new(call).poll(cx));
        self.call = None;
        Poll::Ready(ended.map(drop))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(failure) = this.failure.take() {
            return Poll::Ready(Some(Err(failure)));
        }
        let mut polled = Pin::new(&mut this.inner).poll_frame(cx);
        if polled.is_pending() {
            match ready!(this.poll_call(cx)) {
                Err(error) => return this.broken(error.into(), cx),
                // What the guest wrote last came before its end.
                Ok(()) => polled = Pin::new(&mut this.inner).poll_frame(cx),
            }
            if polled.is_pending() && !this.progress.is_passed_on() {
                // Nobody is left who could write more. Guests that fail in their own way, as those in JavaScript do, end
                // well and leave a body without an end.
                polled = Poll::Ready(None);
            }
        }
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                match frame.data_ref() {
                    Some(data) => this.left = this.left.map(|left| left.saturating_sub(data.len() as u64)),
                    None => this.leave(),
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => this.broken(error, cx),
            Poll::Ready(None) if this.progress.is_broken() => match ready!(this.poll_call(cx)) {
                Err(error) => this.broken(error.into(), cx),
                Ok(()) => Poll::Ready(None),
            },
            Poll::Ready(None) if this.left.is_none_or(|left| left == 0) => {
                this.leave();
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                let error = this.unfinished();
                this.broken(error.into(), cx)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // Whoever has as many bytes as were announced asks for no more. Otherwise the call goes with its body.
        if self.left == Some(0) {
            self.leave();
        }
    }
}
