//! WIT types as plain data, and their WIT text. Converting values is the business of the neighbours.

use std::fmt;

use wasmtime::component::Type;

use super::UnsupportedType;

/// A WIT type. Structural, as component types are: the names of type definitions are not part of it.
///
/// Displays as WIT text; `{:#}` shortens what is too long for an error message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WitType {
    /// `bool`
    Bool,
    /// `s8`
    S8,
    /// `u8`
    U8,
    /// `s16`
    S16,
    /// `u16`
    U16,
    /// `s32`
    S32,
    /// `u32`
    U32,
    /// `s64`
    S64,
    /// `u64`
    U64,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// `char`
    Char,
    /// `string`
    String,
    /// `list<T>`
    List(Box<WitType>),
    /// `list<T, N>`
    FixedList(Box<WitType>, u32),
    /// `map<K, V>`
    Map(Box<WitType>, Box<WitType>),
    /// `tuple<…>`
    Tuple(Vec<WitType>),
    /// `record { … }`: names and types of the fields.
    Record(Vec<(String, WitType)>),
    /// `variant { … }`: names and payloads of the cases.
    Variant(Vec<(String, Option<WitType>)>),
    /// `enum { … }`: names of the cases.
    Enum(Vec<String>),
    /// `flags { … }`: names of the flags.
    Flags(Vec<String>),
    /// `option<T>`
    Option(Box<WitType>),
    /// `result<T, E>`: the types of ok and err.
    Result(Option<Box<WitType>>, Option<Box<WitType>>),
    /// A type that no call can carry, by its WIT name: a resource, stream, future or error-context.
    Unsupported(&'static str),
}

impl WitType {
    /// Refuses types that no call can carry; `path` is where this one stands.
    pub(super) fn refuse_unsupported(&self, path: &str) -> Result<(), UnsupportedType> {
        match self {
            Self::Unsupported(name) => Err(UnsupportedType { path: path.to_owned(), name }),
            Self::List(item) | Self::FixedList(item, _) => item.refuse_unsupported(&format!("{path}[]")),
            Self::Option(some) => some.refuse_unsupported(path),
            Self::Map(key, value) => {
                key.refuse_unsupported(&format!("{path}[].key"))?;
                value.refuse_unsupported(&format!("{path}[].value"))
            }
            Self::Tuple(items) => {
                items.iter().enumerate().try_for_each(|(i, item)| item.refuse_unsupported(&format!("{path}[{i}]")))
            }
            Self::Record(fields) => {
                fields.iter().try_for_each(|(name, ty)| ty.refuse_unsupported(&format!("{path}.{name}")))
            }
            Self::Variant(cases) => cases
                .iter()
                .filter_map(|(name, ty)| Some((name, ty.as_ref()?)))
                .try_for_each(|(name, ty)| ty.refuse_unsupported(&format!("{path}.{name}"))),
            Self::Result(ok, err) => [("ok", ok), ("err", err)]
                .into_iter()
                .filter_map(|(name, ty)| Some((name, ty.as_ref()?)))
                .try_for_each(|(name, ty)| ty.refuse_unsupported(&format!("{path}.{name}"))),
            _ => Ok(()),
        }
    }

    /// `option<option<…>>`, whose values JSON writes as `{"some": …}`.
    pub(super) fn is_nested_option(&self) -> bool {
        matches!(self, Self::Option(some) if matches!(**some, Self::Option(_)))
    }

    fn keyword(&self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::S8 => "s8",
            Self::U8 => "u8",
            Self::S16 => "s16",
            Self::U16 => "u16",
            Self::S32 => "s32",
            Self::U32 => "u32",
            Self::S64 => "s64",
            Self::U64 => "u64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Char => "char",
            Self::String => "string",
            Self::List(_) | Self::FixedList(..) => "list",
            Self::Map(..) => "map",
            Self::Tuple(_) => "tuple",
            Self::Record(_) => "record",
            Self::Variant(_) => "variant",
            Self::Enum(_) => "enum",
            Self::Flags(_) => "flags",
            Self::Option(_) => "option",
            Self::Result(..) => "result",
            Self::Unsupported(name) => name,
        }
    }
}

impl From<&Type> for WitType {
    fn from(ty: &Type) -> Self {
        let boxed = |ty: Type| Box::new(Self::from(&ty));
        match ty {
            Type::Bool => Self::Bool,
            Type::S8 => Self::S8,
            Type::U8 => Self::U8,
            Type::S16 => Self::S16,
            Type::U16 => Self::U16,
            Type::S32 => Self::S32,
            Type::U32 => Self::U32,
            Type::S64 => Self::S64,
            Type::U64 => Self::U64,
            Type::Float32 => Self::F32,
            Type::Float64 => Self::F64,
            Type::Char => Self::Char,
            Type::String => Self::String,
            Type::List(list) => Self::List(boxed(list.ty())),
            Type::FixedLengthList(list) => Self::FixedList(boxed(list.ty()), list.len()),
            Type::Map(map) => Self::Map(boxed(map.key()), boxed(map.value())),
            Type::Tuple(tuple) => Self::Tuple(tuple.types().map(|ty| Self::from(&ty)).collect()),
            Type::Record(record) => {
                Self::Record(record.fields().map(|field| (field.name.to_owned(), Self::from(&field.ty))).collect())
            }
            Type::Variant(variant) => Self::Variant(
                variant.cases().map(|case| (case.name.to_owned(), case.ty.as_ref().map(Self::from))).collect(),
            ),
            Type::Enum(names) => Self::Enum(names.names().map(str::to_owned).collect()),
            Type::Flags(names) => Self::Flags(names.names().map(str::to_owned).collect()),
            Type::Option(option) => Self::Option(boxed(option.ty())),
            Type::Result(result) => Self::Result(result.ok().map(boxed), result.err().map(boxed)),
            Type::Own(_) => Self::Unsupported("resource"),
            Type::Borrow(_) => Self::Unsupported("borrow of a resource"),
            Type::Future(_) => Self::Unsupported("future"),
            Type::Stream(_) => Self::Unsupported("stream"),
            Type::ErrorContext => Self::Unsupported("error-context"),
        }
    }
}

impl fmt::Display for WitType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Text { ty: self, brief: f.alternate(), depth: 0 }.fmt(f)
    }
}

/// Parameters as a signature lists them: `a: s32, b: string`.
pub(super) struct Params<'t>(pub &'t [(String, WitType)]);

impl fmt::Display for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, ty)) in self.0.iter().enumerate() {
            let text = Text { ty, brief: f.alternate(), depth: 0 };
            write!(f, "{}{name}: {text}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// How many names, and how many levels of named parts, an error message shows of a type.
const BRIEF_NAMES_MAX: usize = 8;
const BRIEF_DEPTH_MAX: usize = 1;

/// The WIT text of a type, in full or in brief.
struct Text<'t> {
    ty: &'t WitType,
    brief: bool,
    depth: usize,
}

impl Text<'_> {
    fn part<'t>(&self, ty: &'t WitType) -> Text<'t> {
        Text { ty, brief: self.brief, depth: self.depth }
    }

    fn braces<'t>(
        &self,
        f: &mut fmt::Formatter<'_>,
        parts: impl ExactSizeIterator<Item = (&'t str, &'t str, Option<&'t WitType>, &'t str)>,
    ) -> fmt::Result {
        f.write_str(self.ty.keyword())?;
        if self.brief && self.depth >= BRIEF_DEPTH_MAX {
            return Ok(());
        }
        for (i, (name, before, ty, after)) in parts.enumerate() {
            f.write_str(if i == 0 { " { " } else { ", " })?;
            if self.brief && i == BRIEF_NAMES_MAX {
                f.write_str("…")?;
                break;
            }
            f.write_str(name)?;
            if let Some(ty) = ty {
                let text = Text { ty, brief: self.brief, depth: self.depth + 1 };
                write!(f, "{before}{text}{after}")?;
            }
        }
        f.write_str(" }")
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ty {
            WitType::List(item) => write!(f, "list<{}>", self.part(item)),
            WitType::FixedList(item, len) => write!(f, "list<{}, {len}>", self.part(item)),
            WitType::Map(key, value) => write!(f, "map<{}, {}>", self.part(key), self.part(value)),
            WitType::Option(some) => write!(f, "option<{}>", self.part(some)),
            WitType::Tuple(items) => {
                f.write_str("tuple<")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{}", if i == 0 { "" } else { ", " }, self.part(item))?;
                }
                f.write_str(">")
            }
            WitType::Result(None, None) => f.write_str("result"),
            WitType::Result(Some(ok), None) => write!(f, "result<{}>", self.part(ok)),
            WitType::Result(None, Some(err)) => write!(f, "result<_, {}>", self.part(err)),
            WitType::Result(Some(ok), Some(err)) => write!(f, "result<{}, {}>", self.part(ok), self.part(err)),
            WitType::Record(fields) => {
                self.braces(f, fields.iter().map(|(name, ty)| (name.as_str(), ": ", Some(ty), "")))
            }
            WitType::Variant(cases) => {
                self.braces(f, cases.iter().map(|(name, ty)| (name.as_str(), "(", ty.as_ref(), ")")))
            }
            WitType::Enum(names) | WitType::Flags(names) => {
                self.braces(f, names.iter().map(|name| (name.as_str(), "", None, "")))
            }
            scalar => f.write_str(scalar.keyword()),
        }
    }
}
