//! `logger`: `debug`, `info`, `warn` and `error`, each with a text and a table of fields; and what `print` prints.

use mlua::{Lua, LuaString, MultiValue, Table, Value};
use tracing::Level;

use super::{Current, Host};
use crate::lua::{
    error::{LuaError, cut, text},
    value,
};

/// Fields of one line. More are left out.
const FIELDS_MAX: usize = 64;

pub(super) fn module(lua: &Lua) -> mlua::Result<Value> {
    let module = lua.create_table()?;
    for (name, level) in
        [("debug", Level::DEBUG), ("info", Level::INFO), ("warn", Level::WARN), ("error", Level::ERROR)]
    {
        module.raw_set(name, lua.create_function(move |lua, args: MultiValue| log(lua, level, args))?)?;
    }
    Ok(Value::Table(module))
}

/// Both `logger.info(…)` and `logger:info(…)`.
fn log(lua: &Lua, level: Level, args: MultiValue) -> mlua::Result<()> {
    let mut args = args.into_iter().peekable();
    if matches!(args.peek(), Some(Value::Table(_))) {
        args.next();
    }
    let Some(given) = args.next() else {
        return Err(LuaError::invalid("a line of the log has a text: `logger:info(\"done\", {users = 3})`"));
    };
    let mut line = cut(text(&given));
    if let Some(Value::Table(fields)) = args.next() {
        write_fields(lua, &fields, &mut line)?;
    }
    say(lua, level, &line)
}

fn write_fields(lua: &Lua, fields: &Table, line: &mut String) -> mlua::Result<()> {
    let mut shown = Vec::new();
    for pair in fields.pairs::<Value, Value>() {
        let (name, field) = pair?;
        let field = match &field {
            Value::Table(_) => {
                value::to_json(lua, &field, "field").map(|json| json.to_string()).map_err(LuaError::raised)?
            }
            other => cut(text(other)),
        };
        shown.push((cut(text(&name)), cut(field)));
        if shown.len() == FIELDS_MAX {
            break;
        }
    }
    shown.sort();
    for (name, field) in shown {
        line.push_str(&format!(" {name}={field}"));
    }
    Ok(())
}

pub(in crate::lua) fn print(lua: &Lua, line: &LuaString) -> mlua::Result<()> {
    say(lua, Level::INFO, &line.to_string_lossy())
}

fn say(lua: &Lua, level: Level, line: &str) -> mlua::Result<()> {
    let host = Host::of(lua).map_err(LuaError::raised)?;
    let context = Current::context(lua).map_err(LuaError::raised)?;
    host.log.say(level, line, context.request_id.as_deref());
    Ok(())
}
