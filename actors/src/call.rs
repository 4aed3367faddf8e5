//! One call: its arguments, its options, and what comes back. Who runs it is decided elsewhere.

mod error;
mod http;
mod nested;
mod reply;
pub mod trace;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

pub use error::{CallError, ErrorKind};
pub(crate) use http::Progress;
pub use http::{BodyError, HttpBody, HttpRequest, Responder};
pub use nested::{DEPTH_MAX, NESTED_WAIT_MAX};
pub(crate) use nested::{Functions, out_of_patience};
pub(crate) use reply::{Port, Reply, Settled, Times, stopped};
use serde_json::Value;
use wasmtime::component::Val;

/// The arguments of one call, already fit for the function that is called.
#[derive(Debug)]
pub enum Payload {
    /// Values of WIT types, one per parameter. What WebAssembly functions take.
    Vals(Vec<Val>),
    /// JSON values, one per argument. What functions of other languages take.
    Json(Vec<Value>),
    /// An HTTP request, for functions that handle requests themselves.
    Http(Box<HttpRequest>),
}

/// The result of one call.
#[derive(Debug, Clone)]
pub enum Answer {
    /// What a WebAssembly function returned; `None` when its type has no result.
    Val(Option<Val>),
    /// What a function of another language returned.
    Json(Value),
    /// Nothing more: the response to an HTTP request was given before the call ended.
    Http,
}

/// What a call carries besides its arguments. Nested calls inherit it.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Names the request in logs and traces. Default is none.
    pub request_id: Option<String>,
    /// W3C trace context of the caller; what is not of its form is as good as none. A guest finds that of its own call here.
    /// Default is none.
    pub traceparent: Option<String>,
    /// When the whole chain of calls must have ended. Default is never.
    pub deadline: Option<Instant>,
    /// Key-values of the caller.
    pub values: BTreeMap<String, String>,
    /// How many calls this one is nested in, [`DEPTH_MAX`] at most.
    pub depth: u32,
}

/// What a caller may say about one call.
#[derive(Debug, Clone, Default)]
pub struct CallOptions {
    /// How long the caller waits, from now, queueing included. Default is for ever. When it passes, the caller has
    /// `timeout` and the call is cancelled, queued or running.
    pub timeout: Option<Duration>,
    /// What the call carries. Default is empty.
    pub context: Arc<Context>,
}

impl CallOptions {
    /// Options with a timeout and nothing else.
    pub fn timeout(timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..Self::default() }
    }

    /// The same options with this context.
    #[must_use]
    pub fn with_context(mut self, context: Context) -> Self {
        self.context = Arc::new(context);
        self
    }

    /// Refuses a call whose caller has stopped waiting before it began.
    pub(crate) fn in_time(&self, now: Instant) -> Result<(), CallError> {
        match self.deadline(now).is_some_and(|deadline| deadline <= now) {
            true => Err(CallError::new(ErrorKind::Timeout, "the caller's timeout had passed when the call was made")),
            false => Ok(()),
        }
    }

    /// When the caller stops waiting: the earlier of its timeout and its context's deadline.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let timeout = self.timeout.and_then(|timeout| now.checked_add(timeout));
        match (timeout, self.context.deadline) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}
