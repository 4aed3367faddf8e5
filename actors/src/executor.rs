//! What a worker runs: an [`Executor`] makes instances, an [`Instance`] runs calls.
//!
//! Pools, deadlines, metrics and supervision are written once, against these two traits. WebAssembly is one executor;
//! other languages and the fakes of tests are others.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

use crate::{
    call::{Answer, CallError, Context, ErrorKind, Payload},
    wasm::Signature,
};

/// Makes instances of one function. Shared by all its workers.
pub trait Executor: Send + Sync + 'static {
    /// The WIT signature, for executors that take [`Payload::Vals`]; `None` for those that take [`Payload::Json`].
    fn signature(&self) -> Option<&Signature> {
        None
    }

    /// Whether calls may be HTTP requests, [`Payload::Http`], which the function handles itself. Default is false.
    fn handles_http(&self) -> bool {
        false
    }

    /// Whether calls have arguments. Default is that those do which are no HTTP requests; a function may take both.
    fn takes_arguments(&self) -> bool {
        !self.handles_http()
    }

    /// How many calls one instance serves before it is dropped. Default is 1.
    fn reuse(&self) -> u32 {
        1
    }

    /// Takes a place among all instances of the runtime, waiting for one if there is none. The instance made next holds it
    /// until it is dropped. Default is a place that costs nothing. Waiting here counts against no deadline of making.
    ///
    /// # Errors
    /// When there will be no place any more.
    fn reserve(&self) -> BoxFuture<'_, Result<Reservation, CallError>> {
        Box::pin(async { Ok(Reservation::default()) })
    }

    /// Whether somebody may be waiting for a place. While nobody is, an instance may take the place of the one before it.
    /// Default is false.
    fn is_crowded(&self) -> bool {
        false
    }

    /// Makes one instance, ready for a call. Runs on a guest thread; dropping the future gives up and frees what was made.
    ///
    /// # Errors
    /// Why no instance can be made: the function is then degraded until one can.
    fn make(&self) -> BoxFuture<'_, Result<Box<dyn Instance>, CallError>>;
}

/// A place among all instances of the runtime; given back when dropped.
#[derive(Default)]
pub struct Reservation(Option<Box<dyn Send>>);

impl Reservation {
    /// A place that whatever is dropped with it gives back.
    pub fn new(place: impl Send + 'static) -> Self {
        Self(Some(Box::new(place)))
    }
}

impl std::fmt::Debug for Reservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Reservation").field(&self.0.is_some()).finish()
    }
}

/// One instance of a function. Dropped when a call on it fails or is killed, or when it has served its calls.
pub trait Instance: Send {
    /// Runs one call. Runs on a guest thread; dropping the future kills the call.
    ///
    /// # Errors
    /// Why there is no result.
    fn run<'a>(&'a mut self, args: Payload, context: &'a Arc<Context>) -> BoxFuture<'a, Result<Answer, CallError>>;

    /// Linear memory in use, in bytes, for the metrics.
    fn memory_bytes(&self) -> u64 {
        0
    }
}

/// Makes the arguments of a call from anything that serialises, as the function takes them.
pub(crate) fn payload<A: Serialize + ?Sized>(args: &A, executor: &dyn Executor) -> Result<Payload, CallError> {
    if let Some(signature) = executor.signature() {
        return Ok(Payload::Vals(signature.encode(args)?));
    }
    let args = match serde_json::to_value(args) {
        Ok(Value::Array(args)) => args,
        Ok(Value::Null) => Vec::new(),
        Ok(single) => vec![single],
        Err(error) => {
            return Err(CallError::new(ErrorKind::Invalid, format!("the arguments are not JSON: {error}")));
        }
    };
    fit(Payload::Json(args), executor)
}

/// The result of a call as JSON.
pub(crate) fn json(answer: Answer, executor: &dyn Executor) -> Value {
    match (answer, executor.signature()) {
        (Answer::Val(val), Some(signature)) => signature.json(val.as_ref()),
        // Only executors with a signature answer with values.
        (Answer::Val(_), None) => Value::Null,
        (Answer::Json(value), _) => value,
        // Nobody asks for a response as JSON: `fit` refuses it.
        (Answer::Http, _) => Value::Null,
    }
}

/// Turns arguments into what the function takes, before a worker is taken for it.
pub(crate) fn fit(args: Payload, executor: &dyn Executor) -> Result<Payload, CallError> {
    match (args, executor.signature()) {
        (args @ Payload::Http(_), _) if executor.handles_http() => Ok(args),
        (Payload::Http(_), _) => {
            Err(CallError::new(ErrorKind::Invalid, "this function takes arguments; it does not handle HTTP requests"))
        }
        _ if !executor.takes_arguments() => {
            let message = "this function handles HTTP requests; reach it through an endpoint, not with arguments";
            Err(CallError::new(ErrorKind::Invalid, message))
        }
        (Payload::Json(args), Some(signature)) => Ok(Payload::Vals(signature.encode(&args)?)),
        (Payload::Vals(vals), Some(signature)) => {
            signature.check(&vals)?;
            Ok(Payload::Vals(vals))
        }
        (Payload::Vals(_), None) => {
            Err(CallError::new(ErrorKind::Invalid, "this function is no WebAssembly function; it takes JSON arguments"))
        }
        (args @ Payload::Json(_), None) => Ok(args),
    }
}
