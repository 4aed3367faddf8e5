//! Results as JSON: the shapes of the table "Values" in the specification of payloads.

use std::collections::HashMap;

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;
use wasmtime::component::Val;

use super::WitType;

/// A result as JSON. `ty` is the type of the result, and decides whether an empty map is `{}` or `[]`; without it,
/// `{}`. No result is `null`.
pub fn to_json(val: Option<&Val>, ty: Option<&WitType>) -> Value {
    // Keys are strings and nothing refuses to serialise, which is all that could fail.
    serde_json::to_value(JsonVal { val, ty }).unwrap_or_default()
}

/// A value that serialises as its JSON, without a [`Value`] in between:
/// 64-bit integers beyond ±2^53 and non-finite floats are strings, `f32` is as short as it can be.
#[derive(Debug, Clone, Copy)]
pub struct JsonVal<'v> {
    /// The value; `None` is `null`.
    pub val: Option<&'v Val>,
    /// Its type, if that is known.
    pub ty: Option<&'v WitType>,
}

/// The integers up to which every one is a number of its own in JavaScript and in many JSON readers.
const EXACT_MAX: u64 = 1 << 53;

impl<'v> JsonVal<'v> {
    fn new(val: &'v Val, ty: Option<&'v WitType>) -> Self {
        Self { val: Some(val), ty }
    }

    fn payload(val: &'v Option<Box<Val>>, ty: Option<&'v WitType>) -> Self {
        Self { val: val.as_deref(), ty }
    }
}

impl Serialize for JsonVal<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(val) = self.val else { return serializer.serialize_unit() };
        match val {
            Val::Bool(v) => serializer.serialize_bool(*v),
            Val::S8(v) => serializer.serialize_i8(*v),
            Val::U8(v) => serializer.serialize_u8(*v),
            Val::S16(v) => serializer.serialize_i16(*v),
            Val::U16(v) => serializer.serialize_u16(*v),
            Val::S32(v) => serializer.serialize_i32(*v),
            Val::U32(v) => serializer.serialize_u32(*v),
            Val::S64(v) if v.unsigned_abs() > EXACT_MAX => serializer.collect_str(v),
            Val::S64(v) => serializer.serialize_i64(*v),
            Val::U64(v) if *v > EXACT_MAX => serializer.collect_str(v),
            Val::U64(v) => serializer.serialize_u64(*v),
            Val::Float32(v) => float(widen(*v), serializer),
            Val::Float64(v) => float(*v, serializer),
            Val::Char(v) => serializer.serialize_char(*v),
            Val::String(v) | Val::Enum(v) => serializer.serialize_str(v),
            Val::List(items) | Val::FixedLengthList(items) => {
                let ty = match self.ty {
                    Some(WitType::List(item) | WitType::FixedList(item, _)) => Some(&**item),
                    _ => None,
                };
                serializer.collect_seq(items.iter().map(|item| Self::new(item, ty)))
            }
            Val::Tuple(items) => {
                let types: &[WitType] = match self.ty {
                    Some(WitType::Tuple(types)) => types,
                    _ => &[],
                };
                serializer.collect_seq(items.iter().enumerate().map(|(i, item)| Self::new(item, types.get(i))))
            }
            Val::Record(fields) => {
                let types: &[(String, WitType)] = match self.ty {
                    Some(WitType::Record(types)) => types,
                    _ => &[],
                };
                let entries = fields.iter().enumerate();
                serializer
                    .collect_map(entries.map(|(i, (name, val))| (name, Self::new(val, types.get(i).map(|(_, ty)| ty)))))
            }
            Val::Map(pairs) => map(pairs, self.ty, serializer),
            Val::Variant(name, None) => serializer.serialize_str(name),
            Val::Variant(name, payload) => {
                let ty = match self.ty {
                    Some(WitType::Variant(cases)) => cases.iter().find(|(case, _)| case == name),
                    _ => None,
                };
                entry(name, Self::payload(payload, ty.and_then(|(_, ty)| ty.as_ref())), serializer)
            }
            Val::Option(None) => serializer.serialize_unit(),
            Val::Option(Some(some)) => {
                let ty = match self.ty {
                    Some(WitType::Option(ty)) => Some(&**ty),
                    _ => None,
                };
                match **some {
                    Val::Option(_) => entry("some", Self::new(some, ty), serializer),
                    _ => Self::new(some, ty).serialize(serializer),
                }
            }
            Val::Result(result) => {
                let (ok, err) = match self.ty {
                    Some(WitType::Result(ok, err)) => (ok.as_deref(), err.as_deref()),
                    _ => (None, None),
                };
                match result {
                    Ok(val) => entry("ok", Self::payload(val, ok), serializer),
                    Err(val) => entry("err", Self::payload(val, err), serializer),
                }
            }
            Val::Flags(names) => serializer.collect_seq(names),
            // No function with these in its signature is ever loaded.
            Val::Resource(_) | Val::Future(_) | Val::Stream(_) | Val::ErrorContext(_) => serializer.serialize_unit(),
        }
    }
}

/// An object with one key.
fn entry<S: Serializer>(key: &str, val: JsonVal<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(key, &val)?;
    map.end()
}

fn map<S: Serializer>(pairs: &[(Val, Val)], ty: Option<&WitType>, serializer: S) -> Result<S::Ok, S::Error> {
    let (key_ty, value_ty) = match ty {
        Some(WitType::Map(key, value)) => (Some(&**key), Some(&**value)),
        _ => (None, None),
    };
    if !is_object(pairs, key_ty) {
        return serializer
            .collect_seq(pairs.iter().map(|(key, value)| (JsonVal::new(key, key_ty), JsonVal::new(value, value_ty))));
    }
    // The last value of a key wins, and a JSON object has each key once.
    let last: HashMap<_, _> = pairs.iter().enumerate().map(|(i, (key, _))| (text(key), i)).collect();
    let entries = pairs.iter().enumerate().filter(|(i, (key, _))| last.get(text(key)) == Some(i));
    serializer.collect_map(entries.map(|(_, (key, value))| (text(key), JsonVal::new(value, value_ty))))
}

/// Whether a map is an object in JSON: when its keys are strings. Of an empty one only the type can tell.
pub(super) fn is_object(pairs: &[(Val, Val)], key: Option<&WitType>) -> bool {
    match (pairs.first(), key) {
        (Some((key, _)), _) => matches!(key, Val::String(_)),
        (None, Some(key)) => *key == WitType::String,
        (None, None) => true,
    }
}

fn text(key: &Val) -> &str {
    match key {
        Val::String(key) => key,
        _ => "",
    }
}

fn float<S: Serializer>(v: f64, serializer: S) -> Result<S::Ok, S::Error> {
    match non_finite(v) {
        Some(name) => serializer.serialize_str(name),
        None => serializer.serialize_f64(v),
    }
}

/// The name of a float that JSON has no number for.
pub(super) fn non_finite(v: f64) -> Option<&'static str> {
    match v {
        _ if v.is_nan() => Some("NaN"),
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        _ => None,
    }
}

/// The `f64` that prints as the `f32` does: 0.1 and not 0.10000000149011612. It is the same `f32` when narrowed.
pub(super) fn widen(v: f32) -> f64 {
    const WHOLE_MAX: f32 = 16_777_216.0;
    if v.abs() <= WHOLE_MAX && v.fract() == 0.0 || !v.is_finite() {
        return v.into();
    }
    match v.to_string().parse::<f64>() {
        Ok(wide) if wide as f32 == v => wide,
        _ => v.into(),
    }
}
