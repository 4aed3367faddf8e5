//! `json`: `encode(v)`, `decode(text)`, `null` for nothing within a list, and `object(t)` for a table that is an object even
//! when it is empty.

use greenroom_actors::{CallError, ErrorKind};
use mlua::{Lua, LuaString, Table, Value};

use super::outcome;
use crate::lua::{value, vm::pausing};

pub(super) fn module(lua: &Lua) -> mlua::Result<Value> {
    let module = lua.create_table()?;
    let encode = |lua: &Lua, given: Value| match value::to_json(lua, &given, "value") {
        Ok(json) => Ok((Value::String(lua.create_string(json.to_string())?), Value::Nil)),
        Err(error) => outcome(lua, Err(error)),
    };
    module.raw_set("encode", pausing(lua, lua.create_function(encode)?)?)?;
    let decode = |lua: &Lua, text: LuaString| match serde_json::from_slice::<serde_json::Value>(&text.as_bytes()) {
        Ok(json) => Ok((value::from_json(lua, &json)?, Value::Nil)),
        Err(error) => outcome(lua, Err(CallError::new(ErrorKind::Invalid, format!("this is no JSON: {error}")))),
    };
    module.raw_set("decode", pausing(lua, lua.create_function(decode)?)?)?;
    module.raw_set("null", value::null())?;
    let object = |lua: &Lua, table: Option<Table>| {
        let table = table.map_or_else(|| lua.create_table(), Ok)?;
        value::mark_object(lua, &table)?;
        Ok(table)
    };
    module.raw_set("object", lua.create_function(object)?)?;
    Ok(Value::Table(module))
}
