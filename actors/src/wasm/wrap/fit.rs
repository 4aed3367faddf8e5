//! Fits a world to a module: reads one from core types where there is no `wit`, and finds the core export behind each
//! function of one where there is.

use wasmparser::ValType;
use wit_parser::{
    Resolve, Type, TypeDefKind,
    abi::{AbiVariant, WasmType},
};

use super::core::{CoreFunc, CoreModule, type_text};
use crate::{
    call::ErrorKind,
    wasm::{
        error::{PrepareError, did_you_mean},
        names,
        wit::{Wit, WitExport},
    },
};

/// The world of a module without `wit`: its functions of numbers. `None` when it has none and is a program.
///
/// # Errors
/// When `method` is a function that needs a `wit`, or the module has nothing to call.
pub(super) fn world_of(core: &CoreModule, method: &str) -> Result<Option<String>, PrepareError> {
    let wanted = core.funcs.iter().find(|func| names::same(&func.name, method));
    if let Some(func) = wanted.filter(|func| !is_infrastructure(&func.name))
        && let Err(reason) = wit_of(func)
    {
        return Err(PrepareError::invalid("method", format!("`{}` is {}: {reason}", func.name, func.type_text())));
    }
    let mut text = String::new();
    let mut taken = Vec::new();
    // Names that are kebab-case already come first: `add-one` keeps its name beside an `add_one`.
    let (exact, others): (Vec<_>, Vec<_>) = core.funcs.iter().partition(|func| names::kebab(&func.name) == func.name);
    for func in exact.into_iter().chain(others).filter(|func| !is_infrastructure(&func.name)) {
        let name = names::kebab(&func.name);
        let Ok(types) = wit_of(func) else { continue };
        if wit_parser::validate_id(&name).is_ok() && !taken.contains(&name) {
            text.push_str(&format!("%{name}: func{types};\n"));
            taken.push(name);
        }
    }
    if !text.is_empty() {
        return Ok(Some(text));
    }
    if core.is_command() {
        return Ok(None);
    }
    let message = match core.funcs.iter().filter(|func| !is_infrastructure(&func.name)).count() {
        0 => "the module exports no function".to_owned(),
        _ => "the module exports no function of numbers; give its signature in `wit`".to_owned(),
    };
    Err(PrepareError::new("method", ErrorKind::NotFound, message).with_notes(listed(core)))
}

/// Refuses a method that could be any of several exports, which differ only in how their one name is written.
///
/// # Errors
/// The exports that are meant alike.
pub(super) fn refuse_ambiguous(core: &CoreModule, method: &str) -> Result<(), PrepareError> {
    let alike: Vec<_> = core.funcs.iter().filter(|func| names::same(&func.name, method)).collect();
    if alike.len() < 2 {
        return Ok(());
    }
    let found = alike.iter().map(|func| format!("`{}`", func.name)).collect::<Vec<_>>().join(", ");
    let message =
        format!("`{method}` is ambiguous: {found} are one name in kebab-case; give the exports names that differ");
    Err(PrepareError::invalid("method", message).with_notes(listed(core)))
}

/// Exports that belong to toolchains and not to users.
fn is_infrastructure(name: &str) -> bool {
    name.starts_with('_') || name.starts_with("cabi_") || name.starts_with("canonical_abi_")
}

/// The types of a function of numbers in WIT, or why it has none.
fn wit_of(func: &CoreFunc) -> Result<String, &'static str> {
    let number = |ty: &ValType| match ty {
        ValType::I32 => Ok("s32"),
        ValType::I64 => Ok("s64"),
        ValType::F32 => Ok("f32"),
        ValType::F64 => Ok("f64"),
        ValType::V128 | ValType::Ref(_) => Err("vectors and references cannot be passed to a function"),
    };
    let param = |(i, ty): (usize, &ValType)| number(ty).map(|ty| format!("p{i}: {ty}"));
    let params: Result<Vec<_>, _> = func.params.iter().enumerate().map(param).collect();
    let result = match func.results.as_slice() {
        [] => String::new(),
        [one] => format!(" -> {}", number(one)?),
        _ => return Err("a function has one result; return a pointer to a tuple, and give its type in `wit`"),
    };
    Ok(format!("({}){result}", params?.join(", ")))
}

fn listed(core: &CoreModule) -> Vec<String> {
    let mut lines: Vec<_> = core
        .funcs
        .iter()
        .filter(|func| !is_infrastructure(&func.name))
        .map(|func| format!("  {}: {}", func.name, func.type_text()))
        .collect();
    if !lines.is_empty() {
        lines.insert(0, "it exports:".to_owned());
    }
    lines
}

/// New names for core exports, so that each function of the world finds its own.
///
/// # Errors
/// The first function that the module lacks, has with another type, or lacks the memory for.
pub(super) fn names(core: &CoreModule, wit: &Wit) -> Result<Vec<(String, String)>, PrepareError> {
    let mut renamed = Vec::new();
    for export in wit.exports() {
        let name = export.func.legacy_core_export_name(export.interface.as_deref()).into_owned();
        // A program's start is what the adapter makes `wasi:cli/run` of.
        if name.starts_with("wasi:cli/run@") && core.is_command() {
            continue;
        }
        let func = find(core, &export, &name).ok_or_else(|| absent(core, wit, &export))?;
        check_type(wit, &export, func)?;
        check_memory(core, wit, &export)?;
        if func.name != name {
            let post_return = format!("cabi_post_{}", func.name);
            if core.has_func(&post_return) {
                renamed.push((post_return, format!("cabi_post_{name}")));
            }
            renamed.push((func.name.clone(), name));
        }
    }
    Ok(renamed)
}

/// The core function behind a function of the world: of the exact name, or one that differs in how words are joined or
/// leaves out package and interface.
fn find<'a>(core: &'a CoreModule, export: &WitExport<'_>, name: &str) -> Option<&'a CoreFunc> {
    let by = |rule: &dyn Fn(&str) -> bool| core.funcs.iter().find(|func| rule(&func.name));
    by(&|core_name| core_name == name)
        .or_else(|| {
            let interface = names::interface_parts(export.interface.as_deref()?).1;
            by(&|core_name| {
                core_name.split_once('#').is_some_and(|(core_interface, core_func)| {
                    names::same(names::interface_parts(core_interface).1, interface)
                        && names::same(core_func, &export.func.name)
                })
            })
        })
        .or_else(|| by(&|core_name| core_name == export.func.name))
        .or_else(|| by(&|core_name| names::same(core_name, &export.func.name)))
}

fn absent(core: &CoreModule, wit: &Wit, export: &WitExport<'_>) -> PrepareError {
    let candidates = core.funcs.iter().map(|func| func.name.as_str()).filter(|name| !is_infrastructure(name));
    let hint =
        did_you_mean(&export.func.name, candidates).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
    PrepareError::invalid(
        "wit",
        format!("`wit` says `{}`, but the module exports no such function{hint}", wit.describe(export.func)),
    )
    .with_notes(listed(core))
}

fn check_type(wit: &Wit, export: &WitExport<'_>, func: &CoreFunc) -> Result<(), PrepareError> {
    let signature = wit.resolve.wasm_signature(AbiVariant::GuestExport, export.func);
    let lower = |types: &[WasmType]| -> Vec<ValType> {
        types
            .iter()
            .map(|ty| match ty {
                WasmType::I32 | WasmType::Pointer | WasmType::Length => ValType::I32,
                WasmType::I64 | WasmType::PointerOrI64 => ValType::I64,
                WasmType::F32 => ValType::F32,
                WasmType::F64 => ValType::F64,
            })
            .collect()
    };
    let (params, results) = (lower(&signature.params), lower(&signature.results));
    if params == func.params && results == func.results {
        return Ok(());
    }
    Err(PrepareError::invalid(
        "wit",
        format!(
            "the module's `{}` is {}, but `wit` says `{}`, which needs {}",
            func.name,
            func.type_text(),
            wit.describe(export.func),
            type_text(&params, &results)
        ),
    ))
}

fn check_memory(core: &CoreModule, wit: &Wit, export: &WitExport<'_>) -> Result<(), PrepareError> {
    let signature = wit.resolve.wasm_signature(AbiVariant::GuestExport, export.func);
    let passes_memory =
        signature.indirect_params || export.func.params.iter().any(|param| is_in_memory(&wit.resolve, &param.ty));
    let returns_memory =
        signature.retptr || export.func.result.as_ref().is_some_and(|ty| is_in_memory(&wit.resolve, ty));
    let lacking = |what: &str, why: &str| {
        let described = wit.describe(export.func);
        Err(PrepareError::invalid(
            "wit",
            format!("`wit` says `{described}`, but the module exports no `{what}`, {why}"),
        ))
    };
    if (passes_memory || returns_memory) && !core.has_memory {
        return lacking("memory", "through which strings, lists and records pass");
    }
    let has_realloc = core.has_func("cabi_realloc") || core.has_func("canonical_abi_realloc");
    if passes_memory && !has_realloc {
        return lacking("cabi_realloc", "with which the host asks it for the memory of arguments");
    }
    Ok(())
}

/// Whether values of a type lie in linear memory, at least in part.
fn is_in_memory(resolve: &Resolve, ty: &Type) -> bool {
    let any = |ty: &Type| is_in_memory(resolve, ty);
    let optional = |ty: &Option<Type>| ty.as_ref().is_some_and(any);
    let id = match ty {
        Type::String => return true,
        Type::Id(id) => *id,
        _ => return false,
    };
    match &resolve.types[id].kind {
        TypeDefKind::List(_) | TypeDefKind::Map(..) => true,
        TypeDefKind::FixedLengthList(item, _) => any(item),
        TypeDefKind::Record(record) => record.fields.iter().any(|field| any(&field.ty)),
        TypeDefKind::Tuple(tuple) => tuple.types.iter().any(any),
        TypeDefKind::Variant(variant) => variant.cases.iter().any(|case| optional(&case.ty)),
        TypeDefKind::Option(some) => any(some),
        TypeDefKind::Result(result) => optional(&result.ok) || optional(&result.err),
        TypeDefKind::Type(ty) => any(ty),
        _ => false,
    }
}
