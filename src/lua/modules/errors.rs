//! `errors`: the kinds as constants, `new`, `wrap` and `is`.

use greenroom_actors::{CallError, ErrorKind};
use mlua::{AnyUserData, Lua, Table, Value};

use crate::lua::{
    error::{LuaError, cut, known, plain},
    value,
};

pub(super) fn module(lua: &Lua) -> mlua::Result<Value> {
    let module = lua.create_table()?;
    for kind in ErrorKind::ALL {
        module.raw_set(kind.name().to_uppercase(), kind.name())?;
    }
    module.raw_set("new", lua.create_function(new)?)?;
    module.raw_set("wrap", lua.create_function(wrap)?)?;
    let is = |_: &Lua, (error, kind): (Value, String)| {
        let kind = named(&kind)?;
        Ok(of(&error).is_some_and(|error| error.kind() == kind))
    };
    module.raw_set("is", lua.create_function(is)?)?;
    Ok(Value::Table(module))
}

fn named(name: &str) -> mlua::Result<ErrorKind> {
    ErrorKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
        let names = ErrorKind::ALL.map(ErrorKind::name).join(", ");
        LuaError::invalid(format!("there is no kind of errors `{name}`; there are {names}"))
    })
}

fn of(error: &Value) -> Option<CallError> {
    match error {
        Value::UserData(data) => AnyUserData::borrow::<LuaError>(data).ok().map(|error| error.0.clone()),
        Value::Error(error) => known(error),
        _ => None,
    }
}

/// `new(message)`, `new(kind, message)`, or `new{kind=, message=, details=}`.
fn new(lua: &Lua, (first, second): (Value, Option<String>)) -> mlua::Result<LuaError> {
    let error = match (first, second) {
        (Value::Table(table), None) => {
            let kind = table.get::<Option<String>>("kind")?.map_or(Ok(ErrorKind::Internal), |kind| named(&kind))?;
            let error = CallError::new(kind, cut(message(&table)?));
            match table.get::<Value>("details")? {
                Value::Nil => error,
                details => error.with_details(value::to_json(lua, &details, "details").map_err(LuaError::raised)?),
            }
        }
        (Value::String(kind), Some(message)) => CallError::new(named(&kind.to_string_lossy())?, cut(message)),
        (Value::String(message), None) => CallError::new(ErrorKind::Internal, cut(message.to_string_lossy())),
        _ => {
            return Err(LuaError::invalid(
                "errors.new takes a message, a kind and a message, or {kind=, message=, details=}",
            ));
        }
    };
    LuaError::new(lua, error)
}

fn message(table: &Table) -> mlua::Result<String> {
    let message: Option<String> = table.get("message")?;
    message.ok_or_else(|| LuaError::invalid("errors.new: `message` is missing"))
}

/// `wrap(error, context)`: the same kind and details, and `context: ` before the message.
fn wrap(lua: &Lua, (error, context): (Value, String)) -> mlua::Result<LuaError> {
    let error = match (of(&error), &error) {
        (Some(error), _) => error,
        (None, Value::Error(error)) => CallError::new(ErrorKind::Internal, plain(error)),
        (None, Value::Nil) => return Err(LuaError::invalid("errors.wrap: there is no error to wrap")),
        (None, other) => CallError::new(ErrorKind::Internal, other.to_string()?),
    };
    let mut wrapped = CallError::new(error.kind(), cut(format!("{context}: {error}")));
    if let Some(details) = error.details() {
        wrapped = wrapped.with_details(details.clone());
    }
    if let Some(after) = error.retry_after() {
        wrapped = wrapped.with_retry_after(after);
    }
    if let Some(backtrace) = error.backtrace() {
        wrapped = wrapped.with_backtrace(backtrace);
    }
    LuaError::new(lua, wrapped)
}
