//! Checks what `wit` says against the component's own type. Types are compared by structure, as components do.

use wasmtime::component::{Type as Compiled, types::ComponentFunc};
use wit_parser::{Function, Resolve, Type, TypeDefKind};

use super::Wit;
use crate::wasm::{Signature, error::PrepareError, method::Export, names};

/// Checks every function that `wit` exports against the component's exports.
///
/// # Errors
/// Each function that is missing or has another type.
pub(in crate::wasm) fn check_component(wit: &Wit, exports: &[Export]) -> Result<(), Vec<PrepareError>> {
    let errors: Vec<_> = wit
        .exports()
        .iter()
        .filter_map(|declared| {
            let func = declared.func;
            let found = exports.iter().find(|export| {
                names::same(&export.name, &func.name)
                    && match (&declared.interface, &export.interface) {
                        (None, interface) => interface.is_none(),
                        (Some(declared), Some(exported)) => {
                            names::interface_parts(declared).1 == names::interface_parts(exported).1
                        }
                        (Some(_), None) => false,
                    }
            });
            let Some(found) = found else {
                let message =
                    format!("`wit` says `{}`, but the component exports no such function", wit.describe(func));
                return Some(PrepareError::invalid("wit", message));
            };
            (!same_function(&wit.resolve, func, &found.func)).then(|| {
                let own = Signature::from_func(&found.func);
                let message = format!(
                    "`wit` says `{}`, but the component's own type is `{}: func{own}`; a component needs no `wit`",
                    wit.describe(func),
                    found.name
                );
                PrepareError::invalid("wit", message)
            })
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn same_function(resolve: &Resolve, declared: &Function, compiled: &ComponentFunc) -> bool {
    let params = compiled.params();
    let same_result = match (&declared.result, compiled.results().next()) {
        (None, None) => true,
        (Some(declared), Some(compiled)) => same(resolve, declared, &compiled),
        _ => false,
    };
    same_result
        && declared.params.len() == params.len()
        && declared.params.iter().zip(params).all(|(declared, (_, compiled))| same(resolve, &declared.ty, &compiled))
}

fn same(resolve: &Resolve, declared: &Type, compiled: &Compiled) -> bool {
    match (declared, compiled) {
        (Type::Bool, Compiled::Bool)
        | (Type::U8, Compiled::U8)
        | (Type::U16, Compiled::U16)
        | (Type::U32, Compiled::U32)
        | (Type::U64, Compiled::U64)
        | (Type::S8, Compiled::S8)
        | (Type::S16, Compiled::S16)
        | (Type::S32, Compiled::S32)
        | (Type::S64, Compiled::S64)
        | (Type::F32, Compiled::Float32)
        | (Type::F64, Compiled::Float64)
        | (Type::Char, Compiled::Char)
        | (Type::String, Compiled::String) => true,
        (Type::Id(id), compiled) => same_definition(resolve, &resolve.types[*id].kind, compiled),
        _ => false,
    }
}

fn same_definition(resolve: &Resolve, declared: &TypeDefKind, compiled: &Compiled) -> bool {
    let both = |a: &Type, b: &Compiled| same(resolve, a, b);
    let optional = |a: &Option<Type>, b: Option<Compiled>| match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => both(a, &b),
        _ => false,
    };
    match (declared, compiled) {
        (TypeDefKind::Type(declared), compiled) => both(declared, compiled),
        (TypeDefKind::List(item), Compiled::List(list)) => both(item, &list.ty()),
        (TypeDefKind::FixedLengthList(item, length), Compiled::FixedLengthList(list)) => {
            *length == list.len() && both(item, &list.ty())
        }
        (TypeDefKind::Map(key, value), Compiled::Map(map)) => both(key, &map.key()) && both(value, &map.value()),
        (TypeDefKind::Option(some), Compiled::Option(option)) => both(some, &option.ty()),
        (TypeDefKind::Result(declared), Compiled::Result(result)) => {
            optional(&declared.ok, result.ok()) && optional(&declared.err, result.err())
        }
        (TypeDefKind::Tuple(declared), Compiled::Tuple(tuple)) => {
            let types = tuple.types();
            declared.types.len() == types.len() && declared.types.iter().zip(types).all(|(a, b)| both(a, &b))
        }
        (TypeDefKind::Record(declared), Compiled::Record(record)) => {
            let fields = record.fields();
            declared.fields.len() == fields.len()
                && declared.fields.iter().zip(fields).all(|(a, b)| a.name == b.name && both(&a.ty, &b.ty))
        }
        (TypeDefKind::Variant(declared), Compiled::Variant(variant)) => {
            let cases = variant.cases();
            declared.cases.len() == cases.len()
                && declared.cases.iter().zip(cases).all(|(a, b)| a.name == b.name && optional(&a.ty, b.ty))
        }
        (TypeDefKind::Enum(declared), Compiled::Enum(compiled)) => {
            declared.cases.iter().map(|case| case.name.as_str()).eq(compiled.names())
        }
        (TypeDefKind::Flags(declared), Compiled::Flags(compiled)) => {
            declared.flags.iter().map(|flag| flag.name.as_str()).eq(compiled.names())
        }
        _ => false,
    }
}
