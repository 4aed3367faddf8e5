//! What a core module imports and exports, and the rewriting of the names of these.

use wasm_encoder::{
    ExportKind, ExportSection, ImportSection, Module, RawSection,
    reencode::{self, Reencode, RoundtripReencoder},
};
use wasmparser::{BinaryReaderError, ExternalKind, KnownCustom, Parser, Payload, ValType, Validator};

use crate::wasm::{error::PrepareError, source::cut_off_hint, wit::Wit};

/// The module that preview 1 functions are imported from.
const PREVIEW1: &str = "wasi_snapshot_preview1";

/// How a preview 1 module ends itself.
const PROC_EXIT: (&str, &str) = (PREVIEW1, "proc_exit");

/// An exported function.
pub(super) struct CoreFunc {
    pub name: String,
    pub params: Vec<ValType>,
    pub results: Vec<ValType>,
}

impl CoreFunc {
    /// Its type as WebAssembly text has it: `(i32, i32) -> i32`.
    pub(super) fn type_text(&self) -> String {
        type_text(&self.params, &self.results)
    }
}

/// A function type as text: `(i32, i32) -> i32`.
pub(super) fn type_text(params: &[ValType], results: &[ValType]) -> String {
    let list = |types: &[ValType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match results {
        [] => format!("({})", list(params)),
        [one] => format!("({}) -> {one}", list(params)),
        many => format!("({}) -> ({})", list(params), list(many)),
    }
}

/// What wrapping needs to know of a module.
pub(super) struct CoreModule {
    pub funcs: Vec<CoreFunc>,
    pub has_memory: bool,
    /// Whether a toolchain left a world in it.
    pub has_world: bool,
    imports: Vec<(String, String)>,
}

impl CoreModule {
    /// Validates a module, and reads its imports and exports.
    ///
    /// # Errors
    /// When it is no valid module.
    pub(super) fn read(bytes: &[u8], field: &'static str) -> Result<Self, PrepareError> {
        let invalid = |error: BinaryReaderError| invalid(field, &error);
        let types = Validator::new().validate_all(bytes).map_err(invalid)?;
        let types = types.as_ref();
        let mut module = Self { funcs: Vec::new(), has_memory: false, has_world: false, imports: Vec::new() };
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(invalid)? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import.map_err(invalid)?;
                        module.imports.push((import.module.to_owned(), import.name.to_owned()));
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.map_err(invalid)?;
                        match export.kind {
                            ExternalKind::Func | ExternalKind::FuncExact => {
                                let ty = types[types.core_function_at(export.index)].unwrap_func();
                                module.funcs.push(CoreFunc {
                                    name: export.name.to_owned(),
                                    params: ty.params().to_vec(),
                                    results: ty.results().to_vec(),
                                });
                            }
                            ExternalKind::Memory if export.name == "memory" => module.has_memory = true,
                            _ => {}
                        }
                    }
                }
                Payload::CustomSection(section) => {
                    let is_world = section.name().starts_with("component-type");
                    module.has_world |= is_world && matches!(section.as_known(), KnownCustom::Unknown);
                }
                _ => {}
            }
        }
        Ok(module)
    }

    /// Whether the module is a program: it exports `_start`.
    pub(super) fn is_command(&self) -> bool {
        self.funcs.iter().any(|func| func.name == "_start")
    }

    pub(super) fn uses_preview1(&self) -> bool {
        self.imports.iter().any(|(module, _)| module == PREVIEW1)
    }

    /// Whether the adapter shares the module's memory.
    pub(super) fn has_adapter(&self) -> bool {
        self.is_command() || self.uses_preview1()
    }

    /// Whether the module ends itself by preview 1.
    pub(super) fn exits(&self) -> bool {
        self.imports.iter().any(|(module, name)| (module.as_str(), name.as_str()) == PROC_EXIT)
    }

    pub(super) fn has_func(&self, name: &str) -> bool {
        self.funcs.iter().any(|func| func.name == name)
    }

    pub(super) fn refuse_old_wasi(&self, field: &'static str) -> Result<(), PrepareError> {
        if self.imports.iter().any(|(module, _)| module == "wasi_unstable") {
            return Err(PrepareError::invalid(
                field,
                "the module imports `wasi_unstable`, a WASI from before preview 1; build it with a current toolchain",
            ));
        }
        Ok(())
    }

    /// The error for imports that a component cannot have, when there are any.
    pub(super) fn foreign_imports(&self, world: Option<&Wit>) -> Option<PrepareError> {
        let of_world: Vec<_> = world.map_or_else(Vec::new, |wit| {
            wit.resolve.worlds[wit.world].imports.keys().map(|key| wit.resolve.name_world_key(key)).collect()
        });
        if self.has_world {
            return None;
        }
        let foreign: Vec<_> = self
            .imports
            .iter()
            .filter(|(module, name)| {
                module != PREVIEW1
                    && !of_world.contains(module)
                    && (module != "$root" || !of_world.contains(name))
                    && !module.starts_with("[export]")
            })
            .map(|(module, name)| format!("`{module}.{name}`"))
            .collect();
        if foreign.is_empty() {
            return None;
        }
        Some(PrepareError::invalid(
            "imports",
            format!(
                "the module imports {}, which nobody provides; a core module may import `{PREVIEW1}`, and interfaces that its `wit` \
                 imports",
                foreign.join(", ")
            ),
        ))
    }
}

/// The error for bytes that are no valid module.
pub(super) fn invalid(field: &'static str, error: &BinaryReaderError) -> PrepareError {
    let (message, offset) = (error.message(), error.offset());
    let hint = cut_off_hint(message);
    PrepareError::invalid(field, format!("the module is not valid WebAssembly: {message} (at byte {offset}){hint}"))
}

/// A copy of a module in which exports have the names that `names` gives them, and the import of `proc_exit` that of
/// `exit`; others keep theirs.
pub(super) fn renamed(
    bytes: &[u8],
    names: &[(String, String)],
    exit: (&str, &str),
) -> Result<Vec<u8>, reencode::Error> {
    let mut module = Module::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        if let Payload::ImportSection(section) = payload {
            let mut imports = ImportSection::new();
            for import in section.into_imports() {
                let import = import?;
                let (module, name) = match (import.module, import.name) {
                    PROC_EXIT => exit,
                    kept => kept,
                };
                imports.import(module, name, RoundtripReencoder.entity_type(import.ty)?);
            }
            module.section(&imports);
        } else if let Payload::ExportSection(section) = payload {
            let mut exports = ExportSection::new();
            for export in section {
                let export = export?;
                let kind = match export.kind {
                    ExternalKind::Func | ExternalKind::FuncExact => ExportKind::Func,
                    ExternalKind::Table => ExportKind::Table,
                    ExternalKind::Memory => ExportKind::Memory,
                    ExternalKind::Global => ExportKind::Global,
                    ExternalKind::Tag => ExportKind::Tag,
                };
                let renamed = names.iter().find(|(old, _)| kind == ExportKind::Func && old == export.name);
                exports.export(renamed.map_or(export.name, |(_, new)| new), kind, export.index);
            }
            module.section(&exports);
        } else if let Some((id, range)) = payload.as_section() {
            module.section(&RawSection { id, data: &bytes[range] });
        }
    }
    Ok(module.finish())
}
