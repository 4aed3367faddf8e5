//! How large a value is: to the guest, for the bound on results, and to the host.

use wasmtime::component::Val;

/// The size of a value in bytes, about as the guest laid it out: numbers by their width, strings and lists by their
/// content and 8 bytes for pointer and length, one byte for a discriminant. Padding is not counted.
pub fn payload_bytes(val: &Val) -> u64 {
    const POINTER_AND_LENGTH: u64 = 8;
    const DISCRIMINANT: u64 = 1;
    let sum = |vals: &[Val]| vals.iter().map(payload_bytes).sum::<u64>();
    let payload = |val: &Option<Box<Val>>| val.as_deref().map_or(0, payload_bytes);
    match val {
        Val::Bool(_) | Val::S8(_) | Val::U8(_) => 1,
        Val::S16(_) | Val::U16(_) => 2,
        Val::S32(_) | Val::U32(_) | Val::Float32(_) | Val::Char(_) => 4,
        Val::S64(_) | Val::U64(_) | Val::Float64(_) => 8,
        Val::String(text) => POINTER_AND_LENGTH + text.len() as u64,
        Val::List(items) => POINTER_AND_LENGTH + sum(items),
        Val::FixedLengthList(items) | Val::Tuple(items) => sum(items),
        Val::Map(pairs) => {
            POINTER_AND_LENGTH + pairs.iter().map(|(key, value)| payload_bytes(key) + payload_bytes(value)).sum::<u64>()
        }
        Val::Record(fields) => fields.iter().map(|(_, value)| payload_bytes(value)).sum(),
        Val::Variant(_, value) | Val::Option(value) => DISCRIMINANT + payload(value),
        Val::Result(Ok(value) | Err(value)) => DISCRIMINANT + payload(value),
        Val::Enum(_) => DISCRIMINANT,
        Val::Flags(_) | Val::Resource(_) | Val::Future(_) | Val::Stream(_) | Val::ErrorContext(_) => 4,
    }
}

/// The memory that a value takes on the host, in bytes, itself included. A byte of a `list<u8>` takes 40.
pub fn host_bytes(val: &Val) -> u64 {
    let sum = |vals: &[Val]| vals.iter().map(host_bytes).sum::<u64>();
    let payload = |val: &Option<Box<Val>>| val.as_deref().map_or(0, host_bytes);
    let inside = match val {
        Val::String(text) | Val::Enum(text) => text.len() as u64,
        Val::List(items) if matches!(items.first(), Some(Val::U8(_))) => (items.len() * size_of::<Val>()) as u64,
        Val::List(items) | Val::FixedLengthList(items) | Val::Tuple(items) => sum(items),
        Val::Map(pairs) => pairs.iter().map(|(key, value)| host_bytes(key) + host_bytes(value)).sum(),
        Val::Record(fields) => {
            fields.iter().map(|(name, value)| (size_of::<String>() + name.len()) as u64 + host_bytes(value)).sum()
        }
        Val::Variant(name, value) => name.len() as u64 + payload(value),
        Val::Option(value) | Val::Result(Ok(value) | Err(value)) => payload(value),
        Val::Flags(names) => names.iter().map(|name| (size_of::<String>() + name.len()) as u64).sum(),
        _ => 0,
    };
    size_of::<Val>() as u64 + inside
}
