//! Objects: records, maps, cases with payloads, flags, and the two objects that JSON needs: `{"some": …}`, `{"base64": …}`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{
    Serialize,
    ser::{SerializeMap, SerializeStruct, SerializeStructVariant},
};
use wasmtime::component::Val;

use super::{
    super::{
        ValueError, WitType,
        error::Shown,
        names::{self, Spelling},
    },
    Around, Case, Encoder, Expect, scalar,
};

/// Room made for a map before its entries come: what it says of its length is believed up to here.
const ROOM_MAX: usize = 1024;

/// An object on its way.
pub(super) struct Object<'t> {
    shape: Shape<'t>,
    around: Around<'t>,
    /// The key whose value comes next.
    key: Option<Val>,
}

enum Shape<'t> {
    /// One slot for each field, in the type's order; a slot is filled when it has a name.
    Record { fields: &'t [(String, WitType)], slots: Vec<(String, Val)>, next: usize },
    /// Keys as the map's type has them.
    Map { key: &'t WitType, value: &'t WitType, pairs: Vec<(Val, Val)> },
    /// An object with one key: the case of a variant or result, `some`, or `base64`.
    Single { ty: &'t WitType, val: Option<Val> },
    /// One slot for each flag.
    Flags { names: &'t [String], set: Vec<Option<bool>> },
}

const KEY: &WitType = &WitType::String;

impl<'t> Object<'t> {
    pub(super) fn open(expect: Expect<'t>, len: Option<usize>, around: Around<'t>) -> Result<Self, ValueError> {
        let Expect::Type(ty) = expect else {
            return Err(around.locate(ValueError::mismatch(expect, "object")));
        };
        let shape = match ty {
            WitType::Record(fields) => {
                let slots = fields.iter().map(|_| (String::new(), Val::Bool(false))).collect();
                Shape::Record { fields, slots, next: 0 }
            }
            WitType::Map(key, value) => {
                Shape::Map { key, value, pairs: Vec::with_capacity(len.unwrap_or(0).min(ROOM_MAX)) }
            }
            WitType::Variant(_) | WitType::Result(..) => Shape::Single { ty, val: None },
            ty if ty.is_nested_option() => Shape::Single { ty, val: None },
            WitType::List(item) | WitType::FixedList(item, _) if **item == WitType::U8 => {
                Shape::Single { ty, val: None }
            }
            WitType::Flags(names) => Shape::Flags { names, set: vec![None; names.len()] },
            _ => return Err(around.locate(ValueError::mismatch(expect, "object"))),
        };
        Ok(Self { shape, around, key: None })
    }

    fn push_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ValueError> {
        let ty = match self.shape {
            Shape::Map { key, .. } => key,
            _ => KEY,
        };
        let key = key.serialize(Encoder(Expect::Type(ty)));
        self.key = Some(key.map_err(|error| self.around.locate(error.in_name("key")))?);
        Ok(())
    }

    fn push_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        let Some(key) = self.key.take() else {
            return Err(self.around.locate(ValueError::new("a value of an object came before its key")));
        };
        let around = self.around;
        match &mut self.shape {
            Shape::Map { value: ty, pairs, .. } => {
                let val = value.serialize(Encoder(Expect::Type(ty)));
                let val = val.map_err(|error| match &key {
                    Val::String(key) => error.in_name(key),
                    _ => error.in_index(pairs.len()),
                });
                pairs.push((key, val.map_err(|error| around.locate(error))?));
                Ok(())
            }
            shape => match key {
                Val::String(key) => shape.push(key, value).map_err(|error| around.locate(error)),
                _ => Ok(()),
            },
        }
    }

    fn push_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), ValueError> {
        if let Shape::Record { fields, slots, next } = &mut self.shape {
            let around = self.around;
            return record_field(fields, slots, next, key, value).map_err(|error| around.locate(error));
        }
        self.push_key(key)?;
        self.push_value(value)
    }

    fn close(self) -> Result<Val, ValueError> {
        let around = self.around;
        self.shape.close().map(|val| around.close(val)).map_err(|error| around.locate(error))
    }
}

impl Shape<'_> {
    /// Takes an entry with a text key; maps have their own way.
    fn push<T: Serialize + ?Sized>(&mut self, key: String, value: &T) -> Result<(), ValueError> {
        match self {
            Self::Record { fields, slots, next } => record_field(fields, slots, next, &key, value),
            Self::Single { val: Some(_), .. } => {
                Err(ValueError::new(format!("expected an object with one key, got {} too", Shown(&key))))
            }
            Self::Single { ty, val } => {
                *val = Some(single(ty, &key, value)?);
                Ok(())
            }
            Self::Flags { names: flags, set } => {
                let names = flags.iter().map(String::as_str);
                let Some(at) = names::find(names.clone(), &key, Spelling::Text) else {
                    return Err(names::unknown("flag", names, &key));
                };
                let val = value.serialize(Encoder(Expect::Type(&WitType::Bool)));
                match val.map_err(|error| error.in_name(&flags[at]))? {
                    Val::Bool(_) if set[at].is_some() => Err(given_twice("flag", &flags[at])),
                    val => {
                        set[at] = Some(val == Val::Bool(true));
                        Ok(())
                    }
                }
            }
            Self::Map { .. } => Ok(()),
        }
    }

    fn close(self) -> Result<Val, ValueError> {
        match self {
            Self::Record { fields, mut slots, .. } => {
                for ((name, ty), slot) in fields.iter().zip(&mut slots) {
                    if slot.0.is_empty() {
                        if !matches!(ty, WitType::Option(_)) {
                            return Err(ValueError::new(format!("the field `{name}` ({ty:#}) is missing")));
                        }
                        *slot = (name.clone(), Val::Option(None));
                    }
                }
                Ok(Val::Record(slots))
            }
            Self::Map { pairs, .. } => Ok(Val::Map(pairs)),
            Self::Single { val: Some(val), .. } => Ok(val),
            Self::Single { ty, val: None } => Err(ValueError::mismatch(Expect::Type(ty), "an empty object")),
            Self::Flags { names, set } => {
                let set = names.iter().zip(set).filter(|(_, set)| *set == Some(true));
                Ok(Val::Flags(set.map(|(name, _)| name.clone()).collect()))
            }
        }
    }
}

fn given_twice(what: &str, name: &str) -> ValueError {
    ValueError::new(format!("the {what} `{name}` is given twice, in kebab-case and snake_case"))
}

fn record_field<T: Serialize + ?Sized>(
    fields: &[(String, WitType)],
    slots: &mut [(String, Val)],
    next: &mut usize,
    key: &str,
    value: &T,
) -> Result<(), ValueError> {
    // Fields mostly come in the type's order: then no search is needed.
    let at = match fields.get(*next) {
        Some((name, _)) if name == key => *next,
        _ => {
            let names = fields.iter().map(|(name, _)| name.as_str());
            match names::find(names.clone(), key, Spelling::Text) {
                Some(at) => at,
                None => return Err(names::unknown("field", names, key)),
            }
        }
    };
    *next = at + 1;
    let (name, ty) = &fields[at];
    if !slots[at].0.is_empty() {
        return Err(given_twice("field", name));
    }
    let val = value.serialize(Encoder(Expect::Type(ty))).map_err(|error| error.in_name(name))?;
    slots[at] = (name.clone(), val);
    Ok(())
}

/// An object with one key.
fn single<T: Serialize + ?Sized>(ty: &WitType, key: &str, value: &T) -> Result<Val, ValueError> {
    if let Some(found) = Case::find(ty, key, Spelling::Text) {
        let (case, payload) = found?;
        return case.encode(payload, value);
    }
    match (ty, key) {
        (WitType::Option(some), "some") => {
            let val = value.serialize(Encoder(Expect::Type(some))).map_err(|error| error.in_name("some"))?;
            Ok(Val::Option(Some(Box::new(val))))
        }
        (WitType::List(_) | WitType::FixedList(..), "base64") => {
            let text = value.serialize(Encoder(Expect::Type(&WitType::String))).map_err(|error| error.in_name(key))?;
            let Val::String(text) = text else {
                return Err(ValueError::mismatch("base64 text", "something else").in_name(key));
            };
            let bytes = STANDARD
                .decode(&text)
                .map_err(|_| ValueError::mismatch("base64 (standard alphabet, padded)", Shown(&text)).in_name(key))?;
            scalar::bytes(ty, &bytes)
        }
        (WitType::Option(_), _) => Err(ValueError::mismatch(Expect::Type(ty), format_args!("the key {}", Shown(key)))),
        _ => Err(ValueError::mismatch(
            format_args!("{ty:#} (an array, or {{\"base64\": \"…\"}})"),
            format_args!("the key {}", Shown(key)),
        )),
    }
}

impl SerializeMap for Object<'_> {
    type Error = ValueError;
    type Ok = Val;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), ValueError> {
        self.push_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        self.push_value(value)
    }

    fn end(self) -> Result<Val, ValueError> {
        self.close()
    }
}

impl SerializeStruct for Object<'_> {
    type Error = ValueError;
    type Ok = Val;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), ValueError> {
        self.push_field(key, value)
    }

    fn end(self) -> Result<Val, ValueError> {
        self.close()
    }
}

impl SerializeStructVariant for Object<'_> {
    type Error = ValueError;
    type Ok = Val;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), ValueError> {
        self.push_field(key, value)
    }

    fn end(self) -> Result<Val, ValueError> {
        self.close()
    }
}
