//! The host interface `greenroom:runtime/funcs`: guests call other functions. Which functions there are, and what a call
//! of them meets, is the runtime's business.

use std::time::Instant;

use serde_json::Value;
use wasmtime::component::{HasSelf, Linker};

use self::bindings::greenroom::runtime::funcs::{self, Error, ErrorKind as Kind};
use super::host::GuestState;
use crate::call::{CallError, ErrorKind};

/// The interface, without its version.
pub(super) const INTERFACE: &str = "greenroom:runtime/funcs";

/// The versions that are compatible with the one provided.
pub(super) const VERSIONS: &str = "0.1.";

#[allow(missing_docs, reason = "the interface is documented in wit/runtime.wit")]
mod bindings {
    wasmtime::component::bindgen!({ path: "wit", world: "caller", imports: { default: async } });
}

/// Links the interface.
pub(super) fn provide(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    funcs::add_to_linker::<GuestState, HasSelf<GuestState>>(linker, |state| state)
}

impl funcs::Host for GuestState {
    async fn call(&mut self, id: String, args: String) -> Result<String, Error> {
        self.call_function(&id, &args).await.map_err(Error::from)
    }
}

impl GuestState {
    async fn call_function(&mut self, id: &str, args: &str) -> Result<String, CallError> {
        let args = arguments(args)?;
        let context = self.context().nested()?;
        let deadline = context.deadline;
        let functions = self.functions().ok_or_else(|| {
            CallError::new(ErrorKind::Unavailable, "the runtime is shutting down and makes no more calls")
        })?;
        let result = match id.contains(':') {
            true => functions.call_nested(id, args, context).await,
            false => {
                let id = format!("{}:{id}", self.function().namespace());
                functions.call_nested(&id, args, context).await
            }
        };
        let timed_out = result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Timeout);
        if timed_out && deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            // The time of the whole chain is over: whoever ends this call is on the way, and its guest has no say any more.
            return std::future::pending().await;
        }
        result.map(|result| result.to_string())
    }
}

fn arguments(args: &str) -> Result<Vec<Value>, CallError> {
    if args.trim().is_empty() {
        return Ok(Vec::new());
    }
    let invalid = |what: String| {
        CallError::new(
            ErrorKind::Invalid,
            format!("the arguments of a call are a JSON array, one item for each parameter; {what}"),
        )
    };
    match serde_json::from_str(args) {
        Ok(Value::Array(args)) => Ok(args),
        Ok(_) => Err(invalid("write [ and ] around them".to_owned())),
        Err(error) => Err(invalid(format!("these are not: {error}"))),
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        let kind = match error.kind() {
            ErrorKind::NotFound => Kind::NotFound,
            ErrorKind::Invalid => Kind::Invalid,
            ErrorKind::PermissionDenied => Kind::PermissionDenied,
            ErrorKind::Timeout => Kind::Timeout,
            ErrorKind::RateLimited => Kind::RateLimited,
            ErrorKind::Unavailable => Kind::Unavailable,
            ErrorKind::Canceled => Kind::Canceled,
            ErrorKind::Internal => Kind::Internal,
        };
        Self {
            kind,
            message: error.message().to_owned(),
            retryable: error.kind().retryable(),
            retry_after_ms: error.retry_after().map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::arguments;

    #[test]
    fn arguments_are_an_array_or_nothing() {
        assert_eq!(arguments("").unwrap().len(), 0);
        assert_eq!(arguments(" \n").unwrap().len(), 0);
        assert_eq!(arguments(r#"[1, "a", [2]]"#).unwrap().len(), 3);
        for (text, expected) in [("7", "write [ and ] around them"), ("[1", "these are not"), ("{}", "write [ and ]")] {
            let error = arguments(text).unwrap_err();
            assert!(error.message().contains(expected), "{text}: {error}");
        }
    }
}
