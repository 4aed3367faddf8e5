//! The deserializer that reads values into Rust types. Its visits of parts are in `access`.

mod access;

use access::{CaseAccess, Fields, Pair, Pairs, Single, Truths};
use serde::{
    Deserializer,
    de::{DeserializeOwned, Visitor, value::BorrowedStrDeserializer},
    forward_to_deserialize_any,
};
use wasmtime::component::Val;

use super::{
    ValueError,
    json::{is_object, non_finite, widen},
};

/// Reads a result into a Rust type. `None` is what a function without a result returns, and reads as `()`.
///
/// Records fill structs by the snake_case of their fields, and maps by their kebab-case; variants, enums and results
/// fill Rust enums and `Result`; flags fill a sequence of names or a struct of booleans; integers keep all 64 bits.
///
/// # Errors
/// What does not fit the Rust type, with its path: `result.users[0].id: expected u8, got integer `300``.
pub fn decode<R: DeserializeOwned>(val: Option<&Val>) -> Result<R, ValueError> {
    R::deserialize(Decoder(val)).map_err(|error| error.in_root("result"))
}

/// The deserializer of one value; `None` is nothing, as a case without payload holds it.
#[derive(Clone, Copy)]
struct Decoder<'de>(Option<&'de Val>);

impl<'de> Decoder<'de> {
    fn payload(val: &'de Option<Box<Val>>) -> Self {
        Self(val.as_deref())
    }

    /// The value inside options, for those who ask for something definite.
    fn definite(self) -> Self {
        match self.0 {
            Some(Val::Option(Some(some))) => Self(Some(some)).definite(),
            _ => self,
        }
    }

    /// The name and payload of a case, whatever type it is of.
    fn case(self) -> Option<(&'de str, Self)> {
        match self.0? {
            Val::Variant(name, payload) => Some((name, Self::payload(payload))),
            Val::Enum(name) => Some((name, Self(None))),
            Val::Result(Ok(payload)) => Some(("ok", Self::payload(payload))),
            Val::Result(Err(payload)) => Some(("err", Self::payload(payload))),
            _ => None,
        }
    }

    fn bytes(self) -> Option<Vec<u8>> {
        match self.0? {
            Val::List(items) | Val::FixedLengthList(items) => items
                .iter()
                .map(|item| match item {
                    Val::U8(byte) => Some(*byte),
                    _ => None,
                })
                .collect(),
            _ => None,
        }
    }
}

impl<'de> Deserializer<'de> for Decoder<'de> {
    type Error = ValueError;

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 char str string identifier unit unit_struct
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        let Some(val) = self.0 else { return visitor.visit_unit() };
        match val {
            Val::Bool(v) => visitor.visit_bool(*v),
            Val::S8(v) => visitor.visit_i8(*v),
            Val::U8(v) => visitor.visit_u8(*v),
            Val::S16(v) => visitor.visit_i16(*v),
            Val::U16(v) => visitor.visit_u16(*v),
            Val::S32(v) => visitor.visit_i32(*v),
            Val::U32(v) => visitor.visit_u32(*v),
            Val::S64(v) => visitor.visit_i64(*v),
            Val::U64(v) => visitor.visit_u64(*v),
            Val::Float32(v) => match non_finite((*v).into()) {
                Some(name) => visitor.visit_borrowed_str(name),
                None => visitor.visit_f64(widen(*v)),
            },
            Val::Float64(v) => match non_finite(*v) {
                Some(name) => visitor.visit_borrowed_str(name),
                None => visitor.visit_f64(*v),
            },
            Val::Char(v) => visitor.visit_char(*v),
            Val::String(v) | Val::Enum(v) | Val::Variant(v, None) => visitor.visit_borrowed_str(v),
            Val::List(items) | Val::FixedLengthList(items) | Val::Tuple(items) => {
                access::visit_items(items.iter().map(|item| Self(Some(item))), visitor)
            }
            Val::Map(pairs) if is_object(pairs, None) => visitor.visit_map(Pairs::new(pairs)),
            Val::Map(pairs) => access::visit_items(pairs.iter().map(Pair), visitor),
            Val::Record(fields) => visitor.visit_map(Fields::new(fields, &[])),
            Val::Variant(name, Some(payload)) => visitor.visit_map(Single::new(name, Self(Some(payload)))),
            Val::Result(Ok(payload)) => visitor.visit_map(Single::new("ok", Self::payload(payload))),
            Val::Result(Err(payload)) => visitor.visit_map(Single::new("err", Self::payload(payload))),
            Val::Option(None) => visitor.visit_none(),
            Val::Option(Some(some)) => match **some {
                Val::Option(_) => visitor.visit_map(Single::new("some", Self(Some(some)))),
                _ => Self(Some(some)).deserialize_any(visitor),
            },
            Val::Flags(names) => {
                access::visit_items(names.iter().map(|name| BorrowedStrDeserializer::new(name)), visitor)
            }
            Val::Resource(_) | Val::Future(_) | Val::Stream(_) | Val::ErrorContext(_) => {
                Err(ValueError::mismatch("a plain value", "a resource, stream, future or error-context"))
            }
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.definite().0 {
            Some(Val::Float32(v)) => visitor.visit_f32(*v),
            _ => self.deserialize_f64(visitor),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.definite().0 {
            Some(Val::Float64(v)) => visitor.visit_f64(*v),
            Some(Val::Float32(v)) if !v.is_finite() => visitor.visit_f64((*v).into()),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        self.deserialize_byte_buf(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.definite().bytes() {
            Some(bytes) => visitor.visit_byte_buf(bytes),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.0 {
            None | Some(Val::Option(None)) => visitor.visit_none(),
            Some(Val::Option(Some(some))) => visitor.visit_some(Self(Some(some))),
            Some(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.definite().0 {
            Some(Val::Map(pairs)) => access::visit_items(pairs.iter().map(Pair), visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, ValueError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        match self.definite().0 {
            Some(Val::Map(pairs)) => visitor.visit_map(Pairs::new(pairs)),
            Some(Val::Flags(names)) => visitor.visit_map(Truths::new(names, &[])),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        match self.definite().0 {
            Some(Val::Record(vals)) => visitor.visit_map(Fields::new(vals, fields)),
            Some(Val::Flags(names)) => visitor.visit_map(Truths::new(names, fields)),
            _ => self.deserialize_map(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        let definite = self.definite();
        match (definite.case(), definite.0) {
            (Some((name, payload)), _) => visitor.visit_enum(CaseAccess::new(name, payload, variants)),
            (None, Some(Val::String(name))) => visitor.visit_enum(CaseAccess::new(name, Self(None), variants)),
            (None, _) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_unit()
    }
}
