//! An HTTP request on its way to a function that handles requests itself, and what its caller learns before the call ends.
//!
//! The call's answer is the end of the guest's work, as for every call; the response comes through a channel of its own, so
//! that its body can stream while the guest runs.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response, uri::Scheme};
use http_body_util::combinators::UnsyncBoxBody;
use tokio::sync::oneshot;

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body of a request or a response, which streams.
pub type HttpBody = UnsyncBoxBody<Bytes, BodyError>;

/// A request on its way to a function that handles requests itself. Made by [`Runtime::handle`](crate::Runtime::handle).
pub struct HttpRequest {
    pub(crate) request: Request<HttpBody>,
    pub(crate) scheme: Scheme,
    /// Where the response goes, before the call ends.
    pub(crate) response: oneshot::Sender<Response<HttpBody>>,
    pub(crate) progress: Arc<Progress>,
}

impl HttpRequest {
    /// The request, how it came, and the way to respond. The guest works on it from now on.
    pub fn open(self) -> (Request<HttpBody>, Scheme, Responder) {
        let Self { request, scheme, response, progress } = self;
        (request, scheme, Responder { response: Some(response), ongoing: progress.begin() })
    }
}

/// The way to respond to a request, once. Dropped before [`Responder::ended`], it breaks a response that has begun.
pub struct Responder {
    response: Option<oneshot::Sender<Response<HttpBody>>>,
    ongoing: Ongoing,
}

impl Responder {
    /// Gives the response, whose body may go on while the call does. Whether it was the first; a second goes nowhere.
    pub fn respond(&mut self, response: Response<HttpBody>) -> bool {
        // A caller that has gone away needs no response.
        self.response.take().map(|sender| drop(sender.send(response))).is_some()
    }

    /// Whether the response has been given.
    pub fn has_responded(&self) -> bool {
        self.response.is_none()
    }

    /// The guest has come to its end, and so has the body.
    pub fn ended(self) {
        self.ongoing.ended();
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").field("has_responded", &self.has_responded()).finish()
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.request.method();
        f.debug_struct("HttpRequest").field("method", method).field("path", &self.request.uri().path()).finish()
    }
}

/// What guest and caller tell each other besides request and response.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The guest did not come to its end. Set before its instance is gone, and with that the channel of the body.
    broken: AtomicBool,
    /// The caller has all of the response, and does not wait for the end of the guest's work.
    left: AtomicBool,
    /// The response's body may be none of the guest's, but one that it passes on, which goes on after the guest's end.
    is_passed_on: AtomicBool,
}

impl Progress {
    /// The guest works from now on. When what is given back is dropped before it is told that the guest came to its end,
    /// the response is broken.
    pub(crate) fn begin(self: &Arc<Self>) -> Ongoing {
        Ongoing(Some(self.clone()))
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    pub(crate) fn leave(&self) {
        self.left.store(true, Ordering::Release);
    }

    pub(crate) fn is_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    pub(crate) fn pass_on(&self) {
        self.is_passed_on.store(true, Ordering::Release);
    }

    pub(crate) fn is_passed_on(&self) -> bool {
        self.is_passed_on.load(Ordering::Acquire)
    }
}

/// A guest at work on a request.
pub(crate) struct Ongoing(Option<Arc<Progress>>);

impl Ongoing {
    pub(crate) fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Ongoing {
    fn drop(&mut self) {
        if let Some(progress) = &self.0 {
            progress.broken.store(true, Ordering::Release);
        }
    }
}
