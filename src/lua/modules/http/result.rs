//! The result of a function as a response, by the rules of the results of WebAssembly functions.

use bytes::Bytes;
use greenroom_actors::{CallError, ErrorKind};
use http::{HeaderMap, StatusCode};
use mlua::{Lua, LuaString, Table, Value};

use super::exchange::no_response;
use crate::{
    http::{final_status, header},
    lua::value,
};

/// A response, before it has all of its head.
pub(super) struct Made {
    /// The status, if the result has one.
    pub(super) status: Option<StatusCode>,
    pub(super) headers: HeaderMap,
    /// The body and its media type.
    pub(super) content: Option<(&'static str, Bytes)>,
}

impl Made {
    /// A response of a result.
    ///
    /// # Errors
    /// When it looks like a response and is none, when it is nothing that can leave its function, and when it is too large.
    pub(super) fn new(lua: &Lua, result: &Value, bytes_max: u64) -> Result<Self, CallError> {
        let made = match result {
            Value::Table(table) => match composed(table) {
                Some(status) => Self {
                    status: Some(final_status(status.into()).map_err(no_response)?),
                    headers: headers(table)?,
                    content: content(lua, &field(table, "body"), "body")?,
                },
                None => Self::of_content(content(lua, result, "result")?),
            },
            result => Self::of_content(content(lua, result, "result")?),
        };
        if made.content.as_ref().is_some_and(|(_, bytes)| bytes.len() as u64 > bytes_max) {
            let message = format!("the result is larger than limits.max_result_bytes ({bytes_max})");
            return Err(CallError::new(ErrorKind::Internal, message));
        }
        Ok(made)
    }

    fn of_content(content: Option<(&'static str, Bytes)>) -> Self {
        Self { status: None, headers: HeaderMap::new(), content }
    }
}

fn field(table: &Table, name: &str) -> Value {
    table.raw_get(name).unwrap_or(Value::Nil)
}

/// The status of a table that is a response: one with an integer `status`, and nothing but `headers` and `body` besides.
fn composed(table: &Table) -> Option<i64> {
    let status = match field(table, "status") {
        Value::Integer(status) => status,
        // As 201.0 is to Lua.
        Value::Number(status) if status.fract() == 0.0 && status.abs() < 1e6 => status as i64,
        _ => return None,
    };
    let is_known = |key: &LuaString| [&b"status"[..], b"headers", b"body"].contains(&&*key.as_bytes());
    let mut keys = table.pairs::<Value, Value>();
    let only = keys.all(|pair| matches!(pair, Ok((Value::String(key), _)) if is_known(&key)));
    only.then_some(status)
}

/// Text and bytes as they are, all else as JSON; nothing is none.
fn content(lua: &Lua, value: &Value, at: &str) -> Result<Option<(&'static str, Bytes)>, CallError> {
    Ok(match value {
        value if value::is_null(value) => None,
        Value::String(text) => Some((kind(&text.as_bytes()), Bytes::copy_from_slice(&text.as_bytes()))),
        value => {
            let json = value::to_json(lua, value, at);
            // The function's own fault, whoever called it.
            let json = json.map_err(|error| CallError::new(ErrorKind::Internal, error.message().to_owned()))?;
            Some(("application/json", json.to_string().into()))
        }
    })
}

/// The media type of a text, or of bytes that are none.
pub(super) fn kind(text: &[u8]) -> &'static str {
    match std::str::from_utf8(text) {
        Ok(_) => "text/plain; charset=utf-8",
        Err(_) => "application/octet-stream",
    }
}

/// Names with a value or a list of values, or a list of names with their values.
fn headers(table: &Table) -> Result<HeaderMap, CallError> {
    let wrong = |what: &str| {
        let message = format!("the result is no response: `headers` {what}; write {{name = \"value\"}}");
        CallError::new(ErrorKind::Internal, message)
    };
    let mut headers = HeaderMap::new();
    let mut add = |name: &LuaString, value: &Value| {
        let value = match value {
            Value::String(_) | Value::Integer(_) | Value::Number(_) => value.to_string(),
            other => return Err(wrong(&format!("has a {} as a value", other.type_name()))),
        };
        let text = value.map_err(|error| wrong(&format!("has a value that cannot be read: {error}")))?;
        let (name, value) = header(&name.as_bytes(), text.into()).map_err(no_response)?;
        headers.try_append(name, value).map_err(|_| wrong("has too many"))?;
        Ok(())
    };
    match field(table, "headers") {
        Value::Nil => {}
        Value::Table(given) => {
            for pair in given.pairs::<Value, Value>() {
                match pair.map_err(|error| wrong(&format!("cannot be read: {error}")))? {
                    (Value::String(name), Value::Table(values)) => {
                        for value in values.sequence_values::<Value>() {
                            add(&name, &value.map_err(|error| wrong(&format!("cannot be read: {error}")))?)?;
                        }
                    }
                    (Value::String(name), value) => add(&name, &value)?,
                    (Value::Integer(_), Value::Table(pair)) => match (pair.raw_get(1), pair.raw_get(2)) {
                        (Ok(Value::String(name)), Ok(value)) => add(&name, &value)?,
                        _ => return Err(wrong("has an item that is no name with a value")),
                    },
                    (key, _) => return Err(wrong(&format!("has a {} as a key", key.type_name()))),
                }
            }
        }
        other => return Err(wrong(&format!("is a {}", other.type_name()))),
    }
    Ok(headers)
}
