//! Durations as Lua files write them: numbers of milliseconds, or `"3s"`.

use std::time::Duration;

use mlua::{FromLua, Lua, Value};

use super::error::LuaError;
use crate::registry::duration_parts;

/// A duration that was given as an argument.
pub(super) struct Span(pub(super) Duration);

impl FromLua for Span {
    fn from_lua(value: Value, _: &Lua) -> mlua::Result<Self> {
        let wrong = |got: String| {
            LuaError::invalid(format!(
                "expected a duration, got {got}; write milliseconds, or a string such as \"500ms\", \"3s\" or \"1m30s\""
            ))
        };
        let milliseconds = match &value {
            Value::Integer(ms) => *ms as f64,
            Value::Number(ms) => *ms,
            Value::String(text) => {
                let text = text.to_string_lossy();
                return duration_parts(&text).map(Self).map_err(|why| wrong(format!("{text:?}: {why}")));
            }
            other => return Err(wrong(other.type_name().to_owned())),
        };
        match Duration::try_from_secs_f64(milliseconds / 1e3) {
            Ok(span) => Ok(Self(span)),
            Err(_) if milliseconds > 0.0 => Ok(Self(Duration::MAX)),
            Err(_) => Err(wrong(milliseconds.to_string())),
        }
    }
}
