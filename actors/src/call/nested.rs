//! Calls that guests make: what such a call inherits, how deep it may be nested, and how long it may wait.
//!
//! The bounds are what keeps functions that call each other from blocking each other for good: a chain of calls holds a
//! worker at each of its ends, and each of them lets go after a bounded time.

use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;

use super::{CallError, Context, ErrorKind};

/// How deep calls may be nested: a call from outside has depth 0.
pub const DEPTH_MAX: u32 = 32;

/// How long a nested call may wait until a worker starts it. Then it fails with `rate_limited`.
pub const NESTED_WAIT_MAX: Duration = Duration::from_secs(1);

/// The functions that a guest may call, as the host interface `funcs` sees them.
pub(crate) trait Functions: Send + Sync {
    /// Calls the function `id` and waits for its result. `context` is that of the nested call.
    fn call_nested<'a>(
        &'a self,
        id: &'a str,
        args: Vec<Value>,
        context: Context,
    ) -> BoxFuture<'a, Result<Value, CallError>>;
}

impl Context {
    /// The context of a call that is made while this one is served: the same, one deeper.
    ///
    /// # Errors
    /// `invalid` when calls would be nested deeper than [`DEPTH_MAX`].
    pub fn nested(&self) -> Result<Self, CallError> {
        if self.depth >= DEPTH_MAX {
            let message = format!(
                "calls are nested {DEPTH_MAX} deep, and no deeper call is made; do these functions call each other in a \
                 circle?"
            );
            return Err(CallError::new(ErrorKind::Invalid, message));
        }
        Ok(Self { depth: self.depth + 1, ..self.clone() })
    }

    /// How long a call with this context may wait until a worker starts it. `None` is for ever.
    pub(crate) fn patience(&self) -> Option<Duration> {
        (self.depth > 0).then_some(NESTED_WAIT_MAX)
    }
}

/// What a nested call hears that has waited for too long.
pub(crate) fn out_of_patience(function: &dyn std::fmt::Display) -> CallError {
    let message = format!(
        "the nested call of `{function}` waited {} ms for a worker; functions that call each other need pools with more \
         workers",
        NESTED_WAIT_MAX.as_millis()
    );
    CallError::new(ErrorKind::RateLimited, message).with_retry_after(NESTED_WAIT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nested_call_inherits_everything_and_is_one_deeper() {
        let outer = Context {
            request_id: Some("r".to_owned()),
            traceparent: Some("t".to_owned()),
            deadline: Some(std::time::Instant::now()),
            values: [("k".to_owned(), "v".to_owned())].into(),
            depth: DEPTH_MAX - 1,
        };
        let inner = outer.nested().expect("one deeper is allowed");
        assert_eq!(inner.depth, DEPTH_MAX);
        assert_eq!((&inner.request_id, &inner.traceparent), (&outer.request_id, &outer.traceparent));
        assert_eq!((&inner.deadline, &inner.values), (&outer.deadline, &outer.values));
        assert_eq!(inner.nested().expect_err("two deeper is not").kind(), ErrorKind::Invalid);
    }
}
