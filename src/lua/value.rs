//! Lua values to and from those of calls: JSON, and values of WIT. A table is a list or a record by what is asked for; where
//! nobody asks, by its keys, and an empty one is a list unless it came from an object.
//!
//! What `nil` cannot be, a place in a list, is `json.null`.

mod decode;

use std::cell::Cell;

use mlua::{LightUserData, Lua, Table, Value};
use serde::{
    Serialize, Serializer,
    de::DeserializeSeed as _,
    ser::{Error as _, SerializeMap, SerializeSeq},
};
use serde_json::{Map, Number, Value as Json};

use greenroom_actors::{
    CallError, ErrorKind,
    wasm::{EMPTY_TABLE, Signature},
    wasmtime::component::Val,
};

use self::decode::Decoder;
use super::error::LuaError;

/// How deep tables may hold tables.
const DEPTH_MAX: usize = 128;

/// The place of nothing in a list.
pub(super) fn null() -> Value {
    Value::LightUserData(LightUserData(std::ptr::null_mut()))
}

/// Nothing, wherever it stands.
pub(super) fn is_null(value: &Value) -> bool {
    matches!(value, Value::Nil) || matches!(value, Value::LightUserData(data) if data.0.is_null())
}

/// The metatable of tables that came from objects without a field, so that they go out as what they came as.
struct EmptyObject(Table);

fn empty_object(lua: &Lua) -> mlua::Result<Table> {
    if let Some(known) = lua.app_data_ref::<EmptyObject>() {
        return Ok(known.0.clone());
    }
    let metatable = lua.create_table()?;
    metatable.raw_set("__metatable", "object")?;
    lua.set_app_data(EmptyObject(metatable.clone()));
    Ok(metatable)
}

/// Says of a table that it is an object, even when it is empty.
pub(super) fn mark_object(lua: &Lua, table: &Table) -> mlua::Result<()> {
    table.set_metatable(Some(empty_object(lua)?))
}

fn is_marked(lua: &Lua, table: &Table) -> bool {
    let known = lua.app_data_ref::<EmptyObject>();
    known.is_some_and(|known| table.metatable().is_some_and(|metatable| metatable == known.0))
}

/// What a table is by its keys.
enum Form {
    Empty,
    /// Positions from 1 to this, each with a value.
    List(usize),
    Record,
}

fn form(table: &Table) -> Result<Form, String> {
    let (mut positions, mut names, mut last) = (0_usize, 0_usize, 0_i64);
    for pair in table.pairs::<Value, Value>() {
        match pair.map_err(|error| error.to_string())?.0 {
            Value::Integer(at) if at > 0 => {
                positions += 1;
                last = last.max(at);
            }
            Value::String(_) => names += 1,
            key => {
                return Err(format!("a table has a {} as a key; keys are names, or positions from 1", key.type_name()));
            }
        }
    }
    match (positions, names) {
        (0, 0) => Ok(Form::Empty),
        (0, _) => Ok(Form::Record),
        (_, 0) if usize::try_from(last).is_ok_and(|last| last == positions) => Ok(Form::List(positions)),
        (_, 0) => Err("a list has holes: put `json.null` where there is nothing".to_owned()),
        _ => Err("a table has both positions and names as keys, and is neither a list nor an object".to_owned()),
    }
}

/// What is left of the room for one value that leaves its VM. A table that many refer to counts for each of them.
struct Room(Cell<u64>);

/// How large a value may be that leaves its VM, in bytes on the host.
const ROOM_BYTES: u64 = 64 << 20;

/// What each value takes there besides the text of strings, and a table besides what is in it.
const VALUE_BYTES: u64 = 32;
const TABLE_BYTES: u64 = 160;

impl Room {
    fn new() -> Self {
        Self(Cell::new(ROOM_BYTES))
    }

    fn take(&self, value: &Value) -> Result<(), String> {
        let inside = match value {
            Value::String(text) => text.as_bytes().len() as u64,
            Value::Table(_) => TABLE_BYTES,
            _ => 0,
        };
        let left = self.0.get().checked_sub(inside.saturating_add(VALUE_BYTES));
        self.0.set(left.ok_or_else(|| format!("the value is larger than {} MiB", ROOM_BYTES >> 20))?);
        Ok(())
    }

    fn taken(&self) -> u64 {
        ROOM_BYTES - self.0.get()
    }
}

/// A Lua value as serde sees it.
struct Given<'v> {
    lua: &'v Lua,
    value: &'v Value,
    depth: usize,
    room: &'v Room,
}

impl<'v> Given<'v> {
    fn inner(&self, value: &'v Value) -> Self {
        Self { value, depth: self.depth + 1, ..*self }
    }
}

/// The message of what no call can carry.
fn refused(value: &Value) -> String {
    let what = match value {
        Value::UserData(data) => {
            let name = data.type_name().ok();
            name.map_or_else(|| "userdata".to_owned(), |name| name.to_string_lossy())
        }
        other => other.type_name().to_owned(),
    };
    format!("a {what} cannot leave its function; values are nil, booleans, numbers, strings and tables of these")
}

impl Serialize for Given<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.depth > DEPTH_MAX {
            return Err(S::Error::custom(format!(
                "tables hold tables more than {DEPTH_MAX} deep; is one within itself?"
            )));
        }
        self.room.take(self.value).map_err(S::Error::custom)?;
        match self.value {
            value if is_null(value) => serializer.serialize_unit(),
            Value::Boolean(v) => serializer.serialize_bool(*v),
            Value::Integer(v) => serializer.serialize_i64(*v),
            Value::Number(v) => serializer.serialize_f64(*v),
            Value::String(v) => serializer.serialize_bytes(&v.as_bytes()),
            Value::Table(table) => match form(table).map_err(S::Error::custom)? {
                Form::Empty if is_marked(self.lua, table) => serializer.serialize_map(Some(0))?.end(),
                Form::Empty => serializer.serialize_newtype_struct(EMPTY_TABLE, &[(); 0]),
                Form::List(length) => {
                    let mut seq = serializer.serialize_seq(Some(length))?;
                    for at in 1..=length {
                        let item: Value = table.raw_get(at).map_err(S::Error::custom)?;
                        seq.serialize_element(&self.inner(&item))?;
                    }
                    seq.end()
                }
                Form::Record => {
                    let mut map = serializer.serialize_map(None)?;
                    for pair in table.pairs::<mlua::LuaString, Value>() {
                        let (key, value) = pair.map_err(S::Error::custom)?;
                        let key = std::str::from_utf8(&key.as_bytes()).map(str::to_owned);
                        map.serialize_entry(&key.map_err(S::Error::custom)?, &self.inner(&value))?;
                    }
                    map.end()
                }
            },
            other => Err(S::Error::custom(refused(other))),
        }
    }
}

/// The arguments of a call of a WebAssembly function, and about how many bytes they take.
pub(super) fn to_vals(lua: &Lua, args: &[Value], signature: &Signature) -> Result<(Vec<Val>, u64), CallError> {
    let room = Room::new();
    let args: Vec<_> = args.iter().map(|value| Given { lua, value, depth: 0, room: &room }).collect();
    Ok((signature.encode(&args)?, room.taken()))
}

/// A value as JSON. `at` names it in errors.
pub(super) fn to_json(lua: &Lua, value: &Value, at: &str) -> Result<Json, CallError> {
    sized_json(lua, value, at).map(|(json, _)| json)
}

/// A value as JSON, and about how many bytes it takes.
pub(super) fn sized_json(lua: &Lua, value: &Value, at: &str) -> Result<(Json, u64), CallError> {
    let room = Room::new();
    let json = json(lua, value, 0, &room).map_err(|(problem, path)| {
        let path: String = path.into_iter().rev().collect();
        CallError::new(ErrorKind::Invalid, format!("{at}{path}: {problem}"))
    });
    json.map(|json| (json, room.taken()))
}

/// What does not fit, and the steps to it, innermost first.
type Misfit = (String, Vec<String>);

fn json(lua: &Lua, value: &Value, depth: usize, room: &Room) -> Result<Json, Misfit> {
    let misfit = |problem: String| (problem, Vec::new());
    if depth > DEPTH_MAX {
        return Err(misfit(format!("tables hold tables more than {DEPTH_MAX} deep; is one within itself?")));
    }
    room.take(value).map_err(misfit)?;
    Ok(match value {
        value if is_null(value) => Json::Null,
        Value::Boolean(v) => Json::Bool(*v),
        Value::Integer(v) => Json::from(*v),
        Value::Number(v) => match Number::from_f64(*v) {
            Some(number) => Json::Number(number),
            None if v.is_nan() => Json::from("NaN"),
            None => Json::from(if *v > 0.0 { "Infinity" } else { "-Infinity" }),
        },
        Value::String(text) => match std::str::from_utf8(&text.as_bytes()) {
            Ok(text) => Json::from(text),
            Err(_) => return Err(misfit("a string is not UTF-8, and JSON has no bytes".to_owned())),
        },
        Value::Table(table) => match form(table).map_err(misfit)? {
            Form::Empty if is_marked(lua, table) => Json::Object(Map::new()),
            Form::Empty => Json::Array(Vec::new()),
            Form::List(length) => {
                let items = (1..=length).map(|at| {
                    let item: Value = table.raw_get(at).map_err(|error| misfit(error.to_string()))?;
                    json(lua, &item, depth + 1, room).map_err(|error| within(error, format!("[{}]", at - 1)))
                });
                Json::Array(items.collect::<Result<_, _>>()?)
            }
            Form::Record => {
                let mut fields = Map::new();
                for pair in table.pairs::<mlua::LuaString, Value>() {
                    let (key, value) = pair.map_err(|error| misfit(error.to_string()))?;
                    let Ok(key) = std::str::from_utf8(&key.as_bytes()).map(str::to_owned) else {
                        return Err(misfit("a name is not UTF-8, and JSON has no bytes".to_owned()));
                    };
                    let value = json(lua, &value, depth + 1, room).map_err(|error| within(error, format!(".{key}")))?;
                    fields.insert(key, value);
                }
                // Tables have no order of their own.
                fields.sort_keys();
                Json::Object(fields)
            }
        },
        other => return Err(misfit(refused(other))),
    })
}

fn within((problem, mut path): Misfit, step: String) -> Misfit {
    path.push(step);
    (problem, path)
}

/// JSON as a Lua value. Nothing is `nil`, and `json.null` within a list.
pub(super) fn from_json(lua: &Lua, json: &Json) -> mlua::Result<Value> {
    Decoder(lua).deserialize(json).map_err(|error| match error.to_string() {
        message if message.contains("not enough memory") => mlua::Error::MemoryError(message),
        message => LuaError::invalid(message),
    })
}

/// JSON text as a Lua value. `what` names it in errors.
pub(super) fn parse_json(lua: &Lua, text: &[u8], what: &str) -> Result<Value, CallError> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let parsed = Decoder(lua).deserialize(&mut deserializer);
    parsed.and_then(|value| deserializer.end().map(|()| value)).map_err(|error| match error.to_string() {
        message if message.contains("not enough memory") => CallError::new(ErrorKind::Internal, "not enough memory"),
        message => CallError::new(ErrorKind::Invalid, format!("{what} is no JSON: {message}")),
    })
}

/// The result of a WebAssembly function as a Lua value.
pub(super) fn from_val(lua: &Lua, val: &Val) -> mlua::Result<Value> {
    let payload = |val: &Option<Box<Val>>| val.as_deref().map_or(Ok(Value::Nil), |val| from_val(lua, val));
    Ok(match val {
        Val::Bool(v) => Value::Boolean(*v),
        Val::S8(v) => Value::Integer((*v).into()),
        Val::U8(v) => Value::Integer((*v).into()),
        Val::S16(v) => Value::Integer((*v).into()),
        Val::U16(v) => Value::Integer((*v).into()),
        Val::S32(v) => Value::Integer((*v).into()),
        Val::U32(v) => Value::Integer((*v).into()),
        Val::S64(v) => Value::Integer(*v),
        Val::U64(v) => Value::Integer(i64::try_from(*v).map_err(|_| LuaError::invalid(too_large(v)))?),
        Val::Float32(v) => Value::Number((*v).into()),
        Val::Float64(v) => Value::Number(*v),
        Val::Char(v) => Value::String(lua.create_string(v.encode_utf8(&mut [0; 4]))?),
        Val::String(text) | Val::Enum(text) => Value::String(lua.create_string(text)?),
        Val::List(items) if matches!(items.first(), Some(Val::U8(_))) => {
            let bytes: Vec<u8> =
                items.iter().filter_map(|item| if let Val::U8(v) = item { Some(*v) } else { None }).collect();
            Value::String(lua.create_string(bytes)?)
        }
        Val::List(items) | Val::FixedLengthList(items) | Val::Tuple(items) => {
            list(lua, items.len(), items, |item| from_val(lua, item))?
        }
        Val::Map(pairs) if pairs.iter().all(|(key, _)| matches!(key, Val::String(_))) => {
            let named = pairs.iter().filter_map(|(key, value)| match key {
                Val::String(key) => Some((key.as_str(), value)),
                _ => None,
            });
            record(lua, named, |value| from_val(lua, value))?
        }
        Val::Map(pairs) => {
            list(lua, pairs.len(), pairs, |(key, value)| list(lua, 2, [key, value], |item| from_val(lua, item)))?
        }
        Val::Record(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.as_str(), value));
            record(lua, fields, |value| from_val(lua, value))?
        }
        Val::Variant(case, None) => Value::String(lua.create_string(case)?),
        Val::Variant(case, Some(value)) => record(lua, [(case.as_str(), &**value)], |value| from_val(lua, value))?,
        // Of an option within an option, which level has nothing is told apart.
        Val::Option(Some(inner)) if matches!(**inner, Val::Option(_)) => {
            record(lua, [("some", &**inner)], |value| from_val(lua, value))?
        }
        Val::Option(value) => payload(value)?,
        Val::Result(Ok(value)) => tagged(lua, "ok", payload(value)?)?,
        Val::Result(Err(value)) => tagged(lua, "err", payload(value)?)?,
        Val::Flags(names) => list(lua, names.len(), names, |name| lua.create_string(name).map(Value::String))?,
        Val::Resource(_) | Val::Future(_) | Val::Stream(_) | Val::ErrorContext(_) => {
            let message = "the result holds what no call can carry: a resource, a stream, a future or an error-context";
            return Err(LuaError::raised(CallError::new(ErrorKind::Invalid, message)));
        }
    })
}

/// A case with its payload, which is there even when it is nothing.
fn tagged(lua: &Lua, case: &str, payload: Value) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(case, if payload.is_nil() { null() } else { payload })?;
    Ok(Value::Table(table))
}

fn list<T>(
    lua: &Lua,
    length: usize,
    items: impl IntoIterator<Item = T>,
    convert: impl Fn(T) -> mlua::Result<Value>,
) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(length, 0)?;
    for (at, item) in items.into_iter().enumerate() {
        let value = convert(item)?;
        table.raw_set(at + 1, if value.is_nil() { null() } else { value })?;
    }
    Ok(Value::Table(table))
}

fn record<'a, T: 'a>(
    lua: &Lua,
    fields: impl IntoIterator<Item = (&'a str, T)>,
    convert: impl Fn(T) -> mlua::Result<Value>,
) -> mlua::Result<Value> {
    let table = lua.create_table()?;
    let mut is_empty = true;
    for (name, value) in fields {
        let value = convert(value)?;
        is_empty &= value.is_nil();
        table.raw_set(name, value)?;
    }
    if is_empty {
        mark_object(lua, &table)?;
    }
    Ok(Value::Table(table))
}

fn too_large(number: impl std::fmt::Display) -> String {
    format!("{number} is beyond Lua's integers, which end at {}; pass it as a string", i64::MAX)
}
