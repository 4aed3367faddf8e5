//! Errors as Lua sees them: values with a kind, a message and details; and what becomes of errors that nobody caught.

use greenroom_actors::{CallError, ErrorKind};
use mlua::{Error, MetaMethod, UserData, UserDataMethods, Value};

use super::value;

/// An error as a value of Lua.
#[derive(Clone)]
pub(super) struct LuaError(pub(super) CallError);

impl LuaError {
    /// An error to raise from a function of ours.
    pub(super) fn raised(error: CallError) -> Error {
        Error::external(error)
    }

    /// An `invalid` error to raise from a function of ours.
    pub(super) fn invalid(message: impl Into<String>) -> Error {
        Self::raised(CallError::new(ErrorKind::Invalid, message))
    }
}

impl UserData for LuaError {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("kind", |_, this, ()| Ok(this.0.kind().name()));
        methods.add_method("message", |_, this, ()| Ok(this.0.message().to_owned()));
        methods.add_method("retryable", |_, this, ()| Ok(this.0.retryable()));
        methods.add_method("details", |lua, this, ()| match (this.0.details(), this.0.retry_after()) {
            (Some(details), _) => value::from_json(lua, details),
            (None, Some(after)) => {
                let details = lua.create_table()?;
                details.raw_set("retry_after_ms", u64::try_from(after.as_millis()).unwrap_or(u64::MAX))?;
                Ok(Value::Table(details))
            }
            (None, None) => Ok(Value::Nil),
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| Ok(format!("{}: {}", this.0.kind(), this.0)));
        methods.add_meta_method(MetaMethod::Concat, |_, _, (a, b): (Value, Value)| {
            Ok(format!("{}{}", a.to_string()?, b.to_string()?))
        });
    }
}

/// An error that was raised, as the error of its call. Our own keep their kind; all others are `internal`.
pub(super) fn uncaught(error: &Value, traceback: &str) -> CallError {
    let known = match error {
        Value::UserData(data) => data.borrow::<LuaError>().ok().map(|error| error.0.clone()),
        Value::Error(error) => known(error),
        _ => None,
    };
    let traced = |error: CallError| if traceback.is_empty() { error } else { error.with_backtrace(traceback) };
    if let Some(known) = known {
        // One that was made elsewhere has its own.
        return if known.kind() == ErrorKind::Internal && known.backtrace().is_none() { traced(known) } else { known };
    }
    let message = match error {
        Value::Error(error) => plain(error),
        Value::Table(_) => "a table was raised as an error; raise a string, or `errors.new`".to_owned(),
        Value::Nil => "`nil` was raised as an error".to_owned(),
        other => other.to_string().unwrap_or_else(|_| other.type_name().to_owned()),
    };
    traced(CallError::new(ErrorKind::Internal, message))
}

/// The error of a call within one of Lua's.
pub(super) fn known(error: &Error) -> Option<CallError> {
    error.chain().find_map(|cause| cause.downcast_ref::<CallError>().cloned())
}

/// What an error says, without the frames that mlua adds.
pub(super) fn plain(error: &Error) -> String {
    match error {
        Error::CallbackError { cause, .. } => plain(cause),
        Error::RuntimeError(message) => message.clone(),
        Error::SyntaxError { message, .. } => message.clone(),
        other => other.to_string(),
    }
}
