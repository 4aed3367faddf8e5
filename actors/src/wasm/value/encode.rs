//! The serializer that makes values of expected WIT types. Scalars are in `scalar`, containers in `sequence` and `object`.

mod around;
mod object;
mod scalar;
mod sequence;

use std::fmt;

use around::{Around, Case};
use object::Object;
use sequence::Sequence;
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use wasmtime::component::Val;

use super::{
    ValueError, WitType,
    error::Shown,
    names::{self, Spelling},
    types::Params,
};

/// The name of a newtype struct that stands for an empty table, of a language whose tables are lists and records alike: it
/// is whichever its type asks for. What is inside is what others make of it.
pub const EMPTY_TABLE: &str = "$greenroom::empty-table";

/// Converts the arguments of a function.
pub(super) fn arguments<A: Serialize + ?Sized>(params: &[(String, WitType)], args: &A) -> Result<Vec<Val>, ValueError> {
    match args.serialize(Encoder(Expect::Args(params))) {
        Ok(Val::Tuple(vals)) => Ok(vals),
        Ok(other) => Ok(vec![other]),
        Err(error) if error.has_path() => Err(error.in_root("args")),
        Err(error) => Err(error),
    }
}

/// Converts one value.
pub(super) fn one<T: Serialize + ?Sized>(ty: &WitType, value: &T) -> Result<Val, ValueError> {
    value.serialize(Encoder(Expect::Type(ty)))
}

/// Takes bytes, or the text that they are.
pub(super) fn bytes(ty: &WitType, bytes: &[u8]) -> Result<Val, ValueError> {
    Encoder(Expect::Type(ty)).serialize_bytes(bytes)
}

/// What the next value must be.
#[derive(Clone, Copy)]
enum Expect<'t> {
    /// A value of a WIT type.
    Type(&'t WitType),
    /// All arguments of a function; they come out as a [`Val::Tuple`].
    Args(&'t [(String, WitType)]),
    /// Key and value of a map; they come out as a [`Val::Tuple`].
    Pair(&'t WitType, &'t WitType),
    /// The name of a flag; it comes out as a [`Val::String`].
    Flag(&'t [String]),
    /// The payload of a case that has none. What comes out means nothing.
    Nothing,
}

impl fmt::Display for Expect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(ty) if ty.is_nested_option() => write!(f, "{ty:#} (null or {{\"some\": …}})"),
            Self::Type(ty) => write!(f, "{ty:#}"),
            Self::Args([]) => f.write_str("no arguments"),
            Self::Args([param]) => write!(f, "1 argument ({:#})", Params(std::slice::from_ref(param))),
            Self::Args(params) => write!(f, "{} arguments ({:#})", params.len(), Params(params)),
            Self::Pair(key, value) => write!(f, "a pair of {key:#} and {value:#}"),
            Self::Flag(_) => f.write_str("the name of a flag"),
            Self::Nothing => f.write_str("null, for the case has no payload"),
        }
    }
}

/// The serializer.
#[derive(Clone, Copy)]
struct Encoder<'t>(Expect<'t>);

impl<'t> Encoder<'t> {
    /// Encodes what is no sequence, through an option and as the only argument.
    fn single(self, encode: impl FnOnce(&'t WitType) -> Result<Val, ValueError>, got: &str) -> Result<Val, ValueError> {
        let (around, expect) = self.open();
        match expect {
            Expect::Type(ty) => encode(ty).map(|val| around.close(val)).map_err(|error| around.locate(error)),
            other => Err(ValueError::mismatch(other, got)),
        }
    }

    /// Looks through an option, and through the list of a single argument.
    fn open(self) -> (Around<'t>, Expect<'t>) {
        let (arg, ty) = match self.0 {
            Expect::Type(ty) => (false, ty),
            Expect::Args([(_, ty)]) => (true, ty),
            other => return (Around::default(), other),
        };
        match ty {
            WitType::Option(some) if !ty.is_nested_option() => {
                (Around { arg, some: true, ..Around::default() }, Expect::Type(some))
            }
            ty => (Around { arg, ..Around::default() }, Expect::Type(ty)),
        }
    }

    /// Looks through an option and a case of a Rust enum, for containers that are its payload.
    fn open_case(self, variant: &str, got: &str) -> Result<(Around<'t>, Encoder<'t>), ValueError> {
        let (around, expect) = self.open();
        let found = match expect {
            Expect::Type(ty) => Case::find(ty, variant, Spelling::Rust),
            _ => None,
        };
        match found {
            None => Err(around.locate(ValueError::mismatch(expect, got))),
            Some(Err(error)) => Err(around.locate(error)),
            Some(Ok((case, None))) => {
                let around = Around { case: Some(case), ..around };
                Err(around.locate(ValueError::mismatch(Expect::Nothing, got)))
            }
            Some(Ok((case, Some(ty)))) => {
                let (inner, expect) = Encoder(Expect::Type(ty)).open();
                Ok((Around { case: Some(case), payload_some: inner.some, ..around }, Encoder(expect)))
            }
        }
    }
}

impl<'t> Serializer for Encoder<'t> {
    type Error = ValueError;
    type Ok = Val;
    type SerializeMap = Object<'t>;
    type SerializeSeq = Sequence<'t>;
    type SerializeStruct = Object<'t>;
    type SerializeStructVariant = Object<'t>;
    type SerializeTuple = Sequence<'t>;
    type SerializeTupleStruct = Sequence<'t>;
    type SerializeTupleVariant = Sequence<'t>;

    fn serialize_bool(self, v: bool) -> Result<Val, ValueError> {
        self.single(|ty| scalar::boolean(ty, v), "boolean")
    }

    fn serialize_i8(self, v: i8) -> Result<Val, ValueError> {
        self.serialize_i128(v.into())
    }

    fn serialize_i16(self, v: i16) -> Result<Val, ValueError> {
        self.serialize_i128(v.into())
    }

    fn serialize_i32(self, v: i32) -> Result<Val, ValueError> {
        self.serialize_i128(v.into())
    }

    fn serialize_i64(self, v: i64) -> Result<Val, ValueError> {
        self.serialize_i128(v.into())
    }

    fn serialize_i128(self, v: i128) -> Result<Val, ValueError> {
        self.single(|ty| scalar::integer(ty, v), "number")
    }

    fn serialize_u8(self, v: u8) -> Result<Val, ValueError> {
        self.serialize_i128(v.into())
    }

    fn serialize_u16(self, v: u16) -> Result<Val, ValueError> {
        self.serialize_i128(v.into())
    }

    fn serialize_u32(self, v: u32) -> Result<Val, ValueError> {
        self.serialize_i128(v.into())
    }

    fn serialize_u64(self, v: u64) -> Result<Val, ValueError> {
        self.serialize_i128(v.into())
    }

    fn serialize_u128(self, v: u128) -> Result<Val, ValueError> {
        match i128::try_from(v) {
            Ok(v) => self.serialize_i128(v),
            // No WIT integer is as wide: as a float it is out of the range of every one.
            Err(_) => self.serialize_f64(v as f64),
        }
    }

    fn serialize_f32(self, v: f32) -> Result<Val, ValueError> {
        self.single(
            |ty| match ty {
                WitType::F32 => Ok(Val::Float32(v)),
                ty => scalar::float(ty, v.into()),
            },
            "number",
        )
    }

    fn serialize_f64(self, v: f64) -> Result<Val, ValueError> {
        self.single(|ty| scalar::float(ty, v), "number")
    }

    fn serialize_char(self, v: char) -> Result<Val, ValueError> {
        self.serialize_str(v.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, v: &str) -> Result<Val, ValueError> {
        match self.0 {
            Expect::Flag(flags) => {
                let names = flags.iter().map(String::as_str);
                match names::find(names.clone(), v, Spelling::Text) {
                    Some(at) => Ok(Val::String(flags[at].clone())),
                    None => Err(names::unknown("flag", names, v)),
                }
            }
            _ => self.single(|ty| scalar::text(ty, v), "string"),
        }
    }

    /// Bytes are a `list<u8>`; where text is expected they are text, if they are UTF-8.
    fn serialize_bytes(self, v: &[u8]) -> Result<Val, ValueError> {
        match (self.open().1, std::str::from_utf8(v)) {
            (Expect::Type(WitType::List(item) | WitType::FixedList(item, _)), _) if **item == WitType::U8 => {
                self.single(|ty| scalar::bytes(ty, v), "bytes")
            }
            (_, Ok(text)) => self.serialize_str(text),
            (expect, Err(_)) => {
                Err(self.open().0.locate(ValueError::mismatch(expect, "bytes that are not UTF-8 text")))
            }
        }
    }

    fn serialize_none(self) -> Result<Val, ValueError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Val, ValueError> {
        match self.0 {
            // `Some` of an option says which level is meant: no looking through.
            Expect::Type(WitType::Option(some)) => {
                value.serialize(Encoder(Expect::Type(some))).map(|val| Val::Option(Some(Box::new(val))))
            }
            Expect::Args([(_, WitType::Option(some))]) => match value.serialize(Encoder(Expect::Type(some))) {
                Ok(val) => Ok(Val::Tuple(vec![Val::Option(Some(Box::new(val)))])),
                Err(error) => Err(error.in_index(0)),
            },
            _ => value.serialize(self),
        }
    }

    fn serialize_unit(self) -> Result<Val, ValueError> {
        match self.0 {
            Expect::Type(WitType::Option(_)) => Ok(Val::Option(None)),
            Expect::Nothing => Ok(Val::Bool(false)),
            Expect::Args([]) => Ok(Val::Tuple(Vec::new())),
            Expect::Args(_) => Err(ValueError::mismatch(self.0, "none")),
            other => Err(ValueError::mismatch(other, "null")),
        }
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<Val, ValueError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _name: &'static str, _i: u32, variant: &'static str) -> Result<Val, ValueError> {
        match self.0 {
            Expect::Flag(flags) => {
                let names = flags.iter().map(String::as_str);
                match names::find(names.clone(), variant, Spelling::Rust) {
                    Some(at) => Ok(Val::String(flags[at].clone())),
                    None => Err(names::unknown("flag", names, variant)),
                }
            }
            _ => self.single(|ty| scalar::case(ty, variant, Spelling::Rust), "string"),
        }
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<Val, ValueError> {
        if name == EMPTY_TABLE {
            return match self.open().1 {
                Expect::Type(WitType::List(_) | WitType::FixedList(..) | WitType::Tuple(_)) => {
                    SerializeSeq::end(self.serialize_seq(Some(0))?)
                }
                _ => SerializeMap::end(self.serialize_map(Some(0))?),
            };
        }
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _i: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Val, ValueError> {
        self.single(
            |ty| match Case::find(ty, variant, Spelling::Rust) {
                Some(found) => found.and_then(|(case, payload)| case.encode(payload, value)),
                None => Err(ValueError::mismatch(Expect::Type(ty), format_args!("the case {}", Shown(variant)))),
            },
            "a case",
        )
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Sequence<'t>, ValueError> {
        match self.0 {
            Expect::Args(_) => Sequence::open(self.0, len, Around::default()),
            _ => {
                let (around, expect) = self.open();
                Sequence::open(expect, len, around)
            }
        }
    }

    fn serialize_tuple(self, len: usize) -> Result<Sequence<'t>, ValueError> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Sequence<'t>, ValueError> {
        self.serialize_seq(Some(len))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _i: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Sequence<'t>, ValueError> {
        let (around, inner) = self.open_case(variant, "array")?;
        Sequence::open(inner.0, Some(len), around).map_err(|error| around.locate(error))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Object<'t>, ValueError> {
        let (around, expect) = self.open();
        Object::open(expect, len, around)
    }

    fn serialize_struct(self, _name: &'static str, len: usize) -> Result<Object<'t>, ValueError> {
        self.serialize_map(Some(len))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _i: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Object<'t>, ValueError> {
        let (around, inner) = self.open_case(variant, "object")?;
        Object::open(inner.0, Some(len), around)
    }
}
