//! Errors as Lua sees them: values with a kind, a message and details; and what becomes of errors that nobody caught.

use greenroom_actors::{CallError, ErrorKind};
use mlua::{Error, Lua, MetaMethod, UserData, UserDataMethods, Value};

use super::{
    held::{self, Held},
    value,
};

/// An error as a value of Lua.
pub(super) struct LuaError(
    pub(super) CallError,
    #[allow(dead_code, reason = "held as long as the error")] Option<Held>,
);

impl LuaError {
    /// An error that code of the VM has.
    pub(super) fn new(lua: &Lua, error: CallError) -> mlua::Result<Self> {
        let text = error.message().len() + error.backtrace().map_or(0, str::len);
        let bytes = text as u64 + error.details().map_or(0, held::json_bytes);
        let held = held::hold(lua, bytes).map_err(Self::raised)?;
        Ok(Self(error, held))
    }

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
        methods.add_meta_function(MetaMethod::Concat, |_, (a, b): (Value, Value)| Ok(text(&a) + &text(&b)));
    }
}

/// What `tostring` gives, with what is no UTF-8 replaced.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string_lossy(),
        Value::Error(error) => plain(error),
        other => other.to_string().unwrap_or_else(|_| other.type_name().to_owned()),
    }
}

/// What is shown of the text of an error, in bytes.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// A text that an error can have: one that is too long is cut.
pub(super) fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let more = text.len() - text.floor_char_boundary(TEXT_BYTES_MAX);
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push_str(&format!("… ({more} bytes more)"));
    }
    text
}

/// An error that was raised, as the error of its call. Our own keep their kind; all others are `internal`.
pub(super) fn uncaught(error: &Value, traceback: &str) -> CallError {
    let known = match error {
        Value::UserData(data) => data.borrow::<LuaError>().ok().map(|error| error.0.clone()),
        // Of what is called in a wrong way, whoever calls has to do with it, and not their caller.
        Value::Error(error) => known(error).map(|error| match error.kind() {
            ErrorKind::Invalid => CallError::new(ErrorKind::Internal, error.message()),
            _ => error,
        }),
        _ => None,
    };
    let traced = |error: CallError| if traceback.is_empty() { error } else { error.with_backtrace(traceback) };
    if let Some(known) = known {
        // One that was made elsewhere has its own.
        return if known.kind() == ErrorKind::Internal && known.backtrace().is_none() { traced(known) } else { known };
    }
    let message = match error {
        Value::Table(table) if table.metatable().is_none() => {
            "a table was raised as an error; raise a string, or `errors.new`".to_owned()
        }
        Value::Nil => "`nil` was raised as an error".to_owned(),
        other => text(other),
    };
    traced(CallError::new(ErrorKind::Internal, cut(message)))
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
