//! Values without parts: booleans, numbers, texts, names and bytes.

use wasmtime::component::Val;

use super::{
    super::{
        ValueError, WitType,
        error::Shown,
        names::{self, Spelling},
    },
    Case, Expect,
};

pub(super) fn boolean(ty: &WitType, v: bool) -> Result<Val, ValueError> {
    match ty {
        WitType::Bool => Ok(Val::Bool(v)),
        _ => Err(ValueError::mismatch(Expect::Type(ty), "boolean")),
    }
}

pub(super) fn integer(ty: &WitType, v: i128) -> Result<Val, ValueError> {
    let val = match ty {
        WitType::S8 => v.try_into().ok().map(Val::S8),
        WitType::U8 => v.try_into().ok().map(Val::U8),
        WitType::S16 => v.try_into().ok().map(Val::S16),
        WitType::U16 => v.try_into().ok().map(Val::U16),
        WitType::S32 => v.try_into().ok().map(Val::S32),
        WitType::U32 => v.try_into().ok().map(Val::U32),
        WitType::S64 => v.try_into().ok().map(Val::S64),
        WitType::U64 => v.try_into().ok().map(Val::U64),
        WitType::F32 => Some(Val::Float32(v as f32)),
        WitType::F64 => Some(Val::Float64(v as f64)),
        _ => return Err(ValueError::mismatch(Expect::Type(ty), "number")),
    };
    val.ok_or_else(|| out_of_range(ty, v))
}

fn out_of_range(ty: &WitType, v: impl std::fmt::Display) -> ValueError {
    match range(ty) {
        Some((min, max)) => ValueError::mismatch(format_args!("{ty} ({min} to {max})"), v),
        None => ValueError::mismatch(ty, v),
    }
}

fn range(ty: &WitType) -> Option<(i128, i128)> {
    Some(match ty {
        WitType::S8 => (i8::MIN.into(), i8::MAX.into()),
        WitType::U8 => (0, u8::MAX.into()),
        WitType::S16 => (i16::MIN.into(), i16::MAX.into()),
        WitType::U16 => (0, u16::MAX.into()),
        WitType::S32 => (i32::MIN.into(), i32::MAX.into()),
        WitType::U32 => (0, u32::MAX.into()),
        WitType::S64 => (i64::MIN.into(), i64::MAX.into()),
        WitType::U64 => (0, u64::MAX.into()),
        _ => return None,
    })
}

pub(super) fn float(ty: &WitType, v: f64) -> Result<Val, ValueError> {
    // Every float below 2^127 that is whole is one of the integers of an `i128`.
    const WHOLE_MAX: f64 = (1_u128 << 127) as f64;
    match ty {
        WitType::F64 => Ok(Val::Float64(v)),
        WitType::F32 => {
            let narrow = v as f32;
            if narrow.is_infinite() && v.is_finite() {
                let max = f32::MAX;
                return Err(ValueError::mismatch(format_args!("f32 (-{max:e} to {max:e})"), format_args!("{v:e}")));
            }
            Ok(Val::Float32(narrow))
        }
        _ if range(ty).is_none() => Err(ValueError::mismatch(Expect::Type(ty), "number")),
        _ if v.fract() != 0.0 || v.is_nan() => Err(ValueError::mismatch(ty, v)),
        _ if v.abs() < WHOLE_MAX => integer(ty, v as i128),
        _ => Err(out_of_range(ty, format_args!("{v:e}"))),
    }
}

pub(super) fn text(ty: &WitType, v: &str) -> Result<Val, ValueError> {
    match ty {
        WitType::String => Ok(Val::String(v.to_owned())),
        WitType::Char => {
            let mut chars = v.chars();
            match (chars.next(), chars.next()) {
                (Some(char), None) => Ok(Val::Char(char)),
                _ => Err(ValueError::mismatch("char (a string of one character)", Shown(v))),
            }
        }
        WitType::S64 | WitType::U64 => match v.parse::<i128>() {
            Ok(v) => integer(ty, v),
            Err(_) => Err(ValueError::mismatch(format_args!("{ty} (a number, or a string of one)"), Shown(v))),
        },
        WitType::F32 | WitType::F64 => match v {
            "NaN" => float(ty, f64::NAN),
            "Infinity" => float(ty, f64::INFINITY),
            "-Infinity" => float(ty, f64::NEG_INFINITY),
            _ => {
                let expected = format_args!("{ty} (a number, \"NaN\", \"Infinity\" or \"-Infinity\")");
                Err(ValueError::mismatch(expected, Shown(v)))
            }
        },
        ty => case(ty, v, Spelling::Text),
    }
}

/// A case that is named alone, without a payload.
pub(super) fn case(ty: &WitType, name: &str, spelling: Spelling) -> Result<Val, ValueError> {
    if let Some(found) = Case::find(ty, name, spelling) {
        return match found? {
            (case, None) => Ok(case.val(None)),
            (case, Some(payload)) => {
                let case = case.name();
                Err(ValueError::mismatch(
                    format_args!("{{\"{case}\": …}}, for the case has a payload of {payload:#}"),
                    Shown(name),
                ))
            }
        };
    }
    match ty {
        WitType::Enum(cases) => {
            let names = cases.iter().map(String::as_str);
            match names::find(names.clone(), name, spelling) {
                Some(at) => Ok(Val::Enum(cases[at].clone())),
                None => Err(names::unknown("case", names, name)),
            }
        }
        // A variant of a Rust enum is text to whoever wants text.
        WitType::String => Ok(Val::String(name.to_owned())),
        _ => Err(ValueError::mismatch(Expect::Type(ty), "string")),
    }
}

pub(super) fn bytes(ty: &WitType, v: &[u8]) -> Result<Val, ValueError> {
    let vals = || v.iter().copied().map(Val::U8).collect();
    match ty {
        WitType::List(_) => Ok(Val::List(vals())),
        WitType::FixedList(_, len) if u32::try_from(v.len()) == Ok(*len) => Ok(Val::FixedLengthList(vals())),
        _ => Err(ValueError::mismatch(Expect::Type(ty), format_args!("{} bytes", v.len()))),
    }
}
