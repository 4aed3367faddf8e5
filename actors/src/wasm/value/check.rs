//! Whether values that a caller made himself are of the types that a function takes.

use wasmtime::component::Val;

use super::{ValueError, WitType};

/// Checks one value per parameter.
pub(super) fn arguments(params: &[(String, WitType)], args: &[Val]) -> Result<(), ValueError> {
    if params.len() != args.len() {
        return Err(ValueError::new(format!("expected {} arguments, got {}", params.len(), args.len())));
    }
    params
        .iter()
        .zip(args)
        .enumerate()
        .try_for_each(|(index, ((_, ty), val))| value(ty, val).map_err(|error| error.in_index(index).in_root("args")))
}

fn value(ty: &WitType, val: &Val) -> Result<(), ValueError> {
    let items = |ty: &WitType, items: &[Val]| {
        items.iter().enumerate().try_for_each(|(index, item)| value(ty, item).map_err(|error| error.in_index(index)))
    };
    let payload = |ty: Option<&WitType>, val: Option<&Val>, name: &str| match (ty, val) {
        (Some(ty), Some(val)) => value(ty, val).map_err(|error| error.in_name(name)),
        (None, None) => Ok(()),
        (Some(ty), None) => Err(ValueError::mismatch(format_args!("{ty:#}"), "no payload").in_name(name)),
        (None, Some(_)) => Err(ValueError::mismatch("no payload", "one").in_name(name)),
    };
    match (ty, val) {
        (WitType::Bool, Val::Bool(_))
        | (WitType::S8, Val::S8(_))
        | (WitType::U8, Val::U8(_))
        | (WitType::S16, Val::S16(_))
        | (WitType::U16, Val::U16(_))
        | (WitType::S32, Val::S32(_))
        | (WitType::U32, Val::U32(_))
        | (WitType::S64, Val::S64(_))
        | (WitType::U64, Val::U64(_))
        | (WitType::F32, Val::Float32(_))
        | (WitType::F64, Val::Float64(_))
        | (WitType::Char, Val::Char(_))
        | (WitType::String, Val::String(_)) => Ok(()),
        (WitType::List(ty), Val::List(list)) => items(ty, list),
        (WitType::FixedList(ty, len), Val::FixedLengthList(list)) if *len as usize == list.len() => items(ty, list),
        (WitType::Map(key, item), Val::Map(pairs)) => pairs.iter().enumerate().try_for_each(|(index, (k, v))| {
            value(key, k).and_then(|()| value(item, v)).map_err(|error| error.in_index(index))
        }),
        (WitType::Tuple(types), Val::Tuple(vals)) if types.len() == vals.len() => types
            .iter()
            .zip(vals)
            .enumerate()
            .try_for_each(|(index, (ty, val))| value(ty, val).map_err(|error| error.in_index(index))),
        (WitType::Record(fields), Val::Record(vals))
            if fields.len() == vals.len() && fields.iter().zip(vals).all(|((name, _), (found, _))| name == found) =>
        {
            fields.iter().zip(vals).try_for_each(|((name, ty), (_, val))| value(ty, val).map_err(|e| e.in_name(name)))
        }
        (WitType::Variant(cases), Val::Variant(case, val)) => match cases.iter().find(|(name, _)| name == case) {
            Some((_, ty)) => payload(ty.as_ref(), val.as_deref(), case),
            None => Err(ValueError::mismatch(format_args!("{ty:#}"), format_args!("the case `{case}`"))),
        },
        (WitType::Enum(cases), Val::Enum(case)) if cases.contains(case) => Ok(()),
        (WitType::Flags(flags), Val::Flags(set)) if set.iter().all(|flag| flags.contains(flag)) => Ok(()),
        (WitType::Option(_), Val::Option(None)) => Ok(()),
        (WitType::Option(ty), Val::Option(Some(val))) => value(ty, val),
        (WitType::Result(ok, _), Val::Result(Ok(val))) => payload(ok.as_deref(), val.as_deref(), "ok"),
        (WitType::Result(_, err), Val::Result(Err(val))) => payload(err.as_deref(), val.as_deref(), "err"),
        (_, val) => Err(ValueError::mismatch(format_args!("{ty:#}"), format_args!("{}", kind(val)))),
    }
}

fn kind(val: &Val) -> &'static str {
    match val {
        Val::Bool(_) => "bool",
        Val::S8(_) => "s8",
        Val::U8(_) => "u8",
        Val::S16(_) => "s16",
        Val::U16(_) => "u16",
        Val::S32(_) => "s32",
        Val::U32(_) => "u32",
        Val::S64(_) => "s64",
        Val::U64(_) => "u64",
        Val::Float32(_) => "f32",
        Val::Float64(_) => "f64",
        Val::Char(_) => "char",
        Val::String(_) => "string",
        Val::List(_) => "a list",
        Val::FixedLengthList(_) => "a fixed-length list",
        Val::Map(_) => "a map",
        Val::Record(_) => "a record of other fields",
        Val::Tuple(_) => "a tuple",
        Val::Variant(..) => "a variant",
        Val::Enum(_) => "an enum",
        Val::Option(_) => "an option",
        Val::Result(_) => "a result",
        Val::Flags(_) => "flags",
        Val::Resource(_) | Val::Future(_) | Val::Stream(_) | Val::ErrorContext(_) => "a handle",
    }
}
