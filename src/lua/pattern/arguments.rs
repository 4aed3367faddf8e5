//! Checks the arguments of a function of `string` as C functions do, with the same messages: `luaL_checklstring`,
//! `luaL_optinteger`, `luaL_typeerror` and `luaL_argerror` of `lauxlib.c`, Lua 5.4.9.

use mlua::{Lua, LuaString, MultiValue, Value};

use super::Fault;

/// The arguments of a call, counted from one.
pub(super) struct Arguments<'a> {
    lua: &'a Lua,
    /// The function's own name, for where a call does not say.
    function: &'static str,
    values: MultiValue,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(lua: &'a Lua, function: &'static str, values: MultiValue) -> Self {
        Self { lua, function, values }
    }

    pub(super) fn lua(&self) -> &Lua {
        self.lua
    }

    pub(super) fn get(&self, number: usize) -> Option<&Value> {
        self.values.get(number - 1)
    }

    /// A string, or a number as one.
    pub(super) fn string(&self, number: usize) -> Result<LuaString, Fault> {
        match self.get(number) {
            Some(Value::String(string)) => Ok(string.clone()),
            Some(value @ (Value::Integer(_) | Value::Number(_))) => {
                let string = self.lua.coerce_string(value.clone())?;
                string.ok_or_else(|| self.type_fault(number, "string"))
            }
            _ => Err(self.type_fault(number, "string")),
        }
    }

    /// An integer, or what can be read as one; none where there is none, or nil.
    pub(super) fn integer(&self, number: usize) -> Result<Option<i64>, Fault> {
        let value = match self.get(number) {
            None | Some(Value::Nil) => return Ok(None),
            Some(Value::Integer(integer)) => return Ok(Some(*integer)),
            Some(value) => value,
        };
        if let Some(integer) = self.lua.coerce_integer(value.clone())? {
            return Ok(Some(integer));
        }
        Err(match self.lua.coerce_number(value.clone())? {
            Some(_) => self.fault(number, "number has no integer representation"),
            None => self.type_fault(number, "number"),
        })
    }

    /// Whether it is there, and neither nil nor false.
    pub(super) fn is_true(&self, number: usize) -> bool {
        !matches!(self.get(number), None | Some(Value::Nil | Value::Boolean(false)))
    }

    /// That an argument is not what is expected.
    pub(super) fn type_fault(&self, number: usize, expected: &str) -> Fault {
        let got = match self.get(number) {
            None => "no value".to_owned(),
            Some(Value::LightUserData(_)) => "light userdata".to_owned(),
            Some(Value::Table(table)) => match table.metatable().map(|meta| meta.raw_get::<Value>("__name")) {
                Some(Ok(Value::String(name))) => name.to_string_lossy(),
                _ => "table".to_owned(),
            },
            Some(Value::UserData(userdata)) => {
                userdata.type_name().ok().map_or("userdata".to_owned(), |name| name.to_string_lossy())
            }
            Some(value) => type_name(value).to_owned(),
        };
        self.fault(number, &format!("{expected} expected, got {got}"))
    }

    fn fault(&self, number: usize, what: &str) -> Fault {
        // The native function is called by its face in Lua, and the program calls that.
        let names = |debug: &mlua::debug::Debug<'_>| {
            let names = debug.names();
            (names.name.map(|name| name.into_owned()), names.name_what == Some("method"))
        };
        let (name, is_method) = self.lua.inspect_stack(1, names).unwrap_or_default();
        let name = name.unwrap_or_else(|| format!("string.{}", self.function));
        Fault::Raised(match (is_method, number) {
            (true, 1) => format!("calling '{name}' on bad self ({what})"),
            (true, _) => format!("bad argument #{} to '{name}' ({what})", number - 1),
            (false, _) => format!("bad argument #{number} to '{name}' ({what})"),
        })
    }
}

/// The name of a value's type, as `type` gives it.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "nil",
        Value::Boolean(_) => "boolean",
        Value::Integer(_) | Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Table(_) => "table",
        Value::Function(_) => "function",
        Value::Thread(_) => "thread",
        _ => "userdata",
    }
}
