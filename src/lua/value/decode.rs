//! JSON as Lua values, made as it is read: text, or a tree that is there.

use std::fmt;

use mlua::{Lua, Value};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{mark_object, null, too_large};

/// Makes values in a VM. Nothing is `nil`, and `json.null` within a list.
#[derive(Clone, Copy)]
pub(super) struct Decoder<'l>(pub(super) &'l Lua);

impl<'de> DeserializeSeed<'de> for Decoder<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Decoder<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_bool<E: Error>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Boolean(v))
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Integer(v))
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<Value, E> {
        i64::try_from(v).map(Value::Integer).map_err(|_| E::custom(too_large(v)))
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Value, E> {
        Ok(Value::Number(v))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Value, E> {
        self.0.create_string(v).map(Value::String).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let table = self.0.create_table().map_err(A::Error::custom)?;
        let mut at = 0;
        while let Some(item) = items.next_element_seed(self)? {
            at += 1;
            table.raw_set(at, if item.is_nil() { null() } else { item }).map_err(A::Error::custom)?;
        }
        Ok(Value::Table(table))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let table = self.0.create_table().map_err(A::Error::custom)?;
        let mut is_empty = true;
        while let Some(name) = fields.next_key::<String>()? {
            let value = fields.next_value_seed(self)?;
            is_empty &= value.is_nil();
            table.raw_set(name, value).map_err(A::Error::custom)?;
        }
        if is_empty {
            mark_object(self.0, &table).map_err(A::Error::custom)?;
        }
        Ok(Value::Table(table))
    }
}
