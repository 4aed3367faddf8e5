//! What clients hear of errors: `application/problem+json`, after RFC 9457.

use greenroom_actors::{CallError, ErrorKind};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::Body;

/// An error on its way to a client.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// The kind of the call's error; `None` for errors that HTTP alone knows, such as 405 or 413.
    pub(super) kind: Option<ErrorKind>,
    pub(super) detail: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// An error that HTTP alone knows.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, kind: None, detail: detail.into(), headers: Vec::new() }
    }

    /// The response. `dev` shows the client what is otherwise in the log alone.
    pub(super) fn into_response(self, _dev: bool) -> Response<Body> {
        todo!()
    }
}

impl From<CallError> for Problem {
    fn from(_error: CallError) -> Self {
        todo!()
    }
}
