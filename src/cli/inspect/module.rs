//! Core modules: their functions, and the WIT that these read as when an entry gives none.

use greenroom_actors::{
    spec::{Capabilities, Capability},
    wasm::component_of,
};
use wasmparser::{BinaryReaderError, CompositeInnerType, ExternalKind, FuncType, Parser, Payload, TypeRef, ValType};

use super::{Contents, Export, FileKind, Import, component};

pub(super) fn read(binary: &[u8]) -> Result<Contents, BinaryReaderError> {
    let mut types: Vec<Option<FuncType>> = Vec::new();
    let mut functions: Vec<u32> = Vec::new();
    let mut imports = Vec::new();
    let mut exported = Vec::new();
    for payload in Parser::new(0).parse_all(binary) {
        match payload? {
            Payload::TypeSection(section) => {
                for group in section {
                    types.extend(group?.into_types().map(|ty| match ty.composite_type.inner {
                        CompositeInnerType::Func(func) => Some(func),
                        _ => None,
                    }));
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    if let TypeRef::Func(ty) = import.ty {
                        functions.push(ty);
                    }
                    imports.push(Import {
                        name: format!("{}.{}", import.module, import.name),
                        grants: grants(import.module, import.name),
                        free: false,
                    });
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    functions.push(ty?);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    if export.kind == ExternalKind::Func {
                        exported.push((export.name.to_owned(), export.index));
                    }
                }
            }
            _ => {}
        }
    }
    let func = |index: u32| types.get(*functions.get(index as usize)? as usize)?.as_ref();
    let exports: Vec<_> = exported
        .into_iter()
        .filter(|(name, _)| !is_plumbing(name))
        .filter_map(|(name, index)| Some(export(name, func(index)?)))
        .collect();
    let lines: Vec<_> = exports
        .iter()
        .filter(|export| export.refused.is_none() && export.core.is_some())
        .filter_map(|export| Some(format!("{}: {};", wit_name(&export.method)?, export.wit.as_ref()?)))
        .collect();
    let wit = (!lines.is_empty()).then(|| lines.join("\n"));
    if let Some(needed) = groups(binary, wit.as_deref(), &exports) {
        narrow(&mut imports, needed);
    }
    Ok(Contents { kind: FileKind::Module, exports, imports, wit })
}

/// Whether a function is there for toolchains and not for callers.
fn is_plumbing(name: &str) -> bool {
    matches!(name, "cabi_realloc" | "_initialize") || name.starts_with("cabi_post_") || name.starts_with("__")
}

fn export(name: String, func: &FuncType) -> Export {
    let core = format!("({}) -> ({})", core_types(func.params()), core_types(func.results()));
    if name == "_start" {
        // A program: the preview 1 adapter exports it as the `run` of `wasi:cli`.
        let wit = Some("func() -> result".to_owned());
        return Export { method: "run#run".to_owned(), wit, core: None, refused: None, command: true, http: false };
    }
    let params: Option<Vec<_>> =
        func.params().iter().enumerate().map(|(i, ty)| Some(format!("p{i}: {}", wit_type(*ty)?))).collect();
    let result = match func.results() {
        [] => Some(String::new()),
        [ty] => wit_type(*ty).map(|ty| format!(" -> {ty}")),
        _ => None,
    };
    let wit = params.zip(result).map(|(params, result)| format!("func({}){result}", params.join(", ")));
    let refused = if wit.is_none() {
        Some("WIT has no types for its signature".to_owned())
    } else if wit_name(&name).is_none() {
        Some("its name is no WIT name: words of letters and digits, joined by `-` or `_`".to_owned())
    } else {
        None
    };
    Export { method: name, wit, core: Some(core), refused, command: false, http: false }
}

fn core_types(types: &[ValType]) -> String {
    types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The WIT type that a core type reads as.
fn wit_type(ty: ValType) -> Option<&'static str> {
    Some(match ty {
        ValType::I32 => "s32",
        ValType::I64 => "s64",
        ValType::F32 => "f32",
        ValType::F64 => "f64",
        ValType::V128 | ValType::Ref(_) => return None,
    })
}

/// A core name in kebab-case, escaped where it is a keyword; `None` when it cannot be a WIT name.
fn wit_name(name: &str) -> Option<String> {
    let kebab = name.replace('_', "-");
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.bytes().all(|b| b.is_ascii_alphanumeric())
            && !(word.bytes().any(|b| b.is_ascii_lowercase()) && word.bytes().any(|b| b.is_ascii_uppercase()))
    };
    if !kebab.split('-').all(is_word) {
        return None;
    }
    // A percent sign is allowed before every name, and needed before keywords.
    let plain = wit_parser::Resolve::default()
        .push_str("name.wit", &format!("package a:b; world w {{ export {kebab}: func(); }}"));
    Some(if plain.is_ok() { kebab } else { format!("%{kebab}") })
}

/// The groups that the component needs which is made of the module; `None` when none can be made.
fn groups(binary: &[u8], wit: Option<&str>, exports: &[Export]) -> Option<Capabilities> {
    let first = exports.iter().find(|export| export.refused.is_none())?;
    component::groups_of(&component_of(binary, wit, &first.method).ok()?)
}

/// Leaves of the groups that preview 1 functions may need those that the component does need.
fn narrow(imports: &mut [Import], needed: Capabilities) {
    for import in imports.iter_mut().filter(|import| !import.grants.is_empty()) {
        import.grants.retain(|group| needed.has(*group));
        import.free = import.grants.is_empty();
    }
}

/// The groups that the component made of a preview 1 module may need for one of its imports.
fn grants(module: &str, name: &str) -> Vec<Capability> {
    use Capability::{Cli, Clocks, Filesystem, Io, Random};
    if !matches!(module, "wasi_snapshot_preview1" | "wasi_unstable") {
        return Vec::new();
    }
    match name {
        "random_get" => vec![Random],
        "clock_time_get" | "clock_res_get" => vec![Clocks],
        "poll_oneoff" => vec![Io, Clocks],
        "proc_exit" | "args_get" | "args_sizes_get" | "environ_get" | "environ_sizes_get" => vec![Cli],
        "sched_yield" | "proc_raise" => vec![Cli],
        _ => vec![Cli, Io, Filesystem],
    }
}
