//! Values from plain text, as the parts of a URL have them: a number is its digits, a list is its elements one by one.

use wasmtime::component::Val;

use super::{ValueError, WitType, error::Shown};

/// Reads a value from the texts that were given for it, of which there is at least one.
pub(super) fn value(ty: &WitType, texts: &[&str]) -> Result<Val, ValueError> {
    match ty {
        WitType::Option(some) => value(some, texts).map(|val| Val::Option(Some(Box::new(val)))),
        WitType::List(item) | WitType::FixedList(item, _) if **item != WitType::U8 => {
            let items: Result<Vec<_>, _> =
                texts.iter().enumerate().map(|(i, text)| single(item, text).map_err(|e| e.in_index(i))).collect();
            match ty {
                WitType::FixedList(_, len) if u32::try_from(texts.len()) != Ok(*len) => {
                    Err(ValueError::mismatch(format_args!("{ty:#}"), format_args!("{} elements", texts.len())))
                }
                WitType::FixedList(..) => items.map(Val::FixedLengthList),
                _ => items.map(Val::List),
            }
        }
        WitType::Flags(_) => ty.encode(texts),
        _ => match texts {
            [text] => single(ty, text),
            texts => Err(ValueError::mismatch(format_args!("{ty:#}"), format_args!("{} values", texts.len()))),
        },
    }
}

fn single(ty: &WitType, text: &str) -> Result<Val, ValueError> {
    let unlike = || ValueError::mismatch(format_args!("{ty:#}"), Shown(text));
    match ty {
        WitType::Bool => match text {
            "true" => Ok(Val::Bool(true)),
            "false" => Ok(Val::Bool(false)),
            _ => Err(ValueError::mismatch("bool (`true` or `false`)", Shown(text))),
        },
        WitType::S8
        | WitType::U8
        | WitType::S16
        | WitType::U16
        | WitType::S32
        | WitType::U32
        | WitType::S64
        | WitType::U64 => match text.parse::<i128>() {
            Ok(number) => ty.encode(&number),
            Err(_) => Err(unlike()),
        },
        // Rust reads names of floats that nobody else writes; those that everybody does are left to the encoder.
        WitType::F32 | WitType::F64 if text.ends_with(|last: char| last.is_alphabetic()) => ty.encode(text),
        // Once, and not by way of 64 bits, which would round twice.
        WitType::F32 => text.parse::<f32>().map_err(|_| unlike()).and_then(|number| match number.is_finite() {
            true => Ok(Val::Float32(number)),
            false => Err(unlike()),
        }),
        WitType::F64 => text.parse::<f64>().map_err(|_| unlike()).and_then(|number| match number.is_finite() {
            true => Ok(Val::Float64(number)),
            false => Err(unlike()),
        }),
        WitType::Char | WitType::String | WitType::Enum(_) => ty.encode(text),
        WitType::List(_) | WitType::FixedList(..) => ty.encode_bytes(text.as_bytes()),
        WitType::Option(_) | WitType::Flags(_) => value(ty, &[text]),
        // A case without payload is its name.
        WitType::Variant(_) | WitType::Result(..) if !text.starts_with(['{', '"']) => ty.encode(text),
        _ => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(json) => ty.encode(&json),
            Err(_) => Err(ValueError::mismatch(format_args!("{ty:#}, as JSON"), Shown(text))),
        },
    }
}
