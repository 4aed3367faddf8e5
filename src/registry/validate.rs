//! From checked entries to [`FunctionSpec`]s: the one place where raw becomes valid. Only what fields mean together is
//! checked here; each field for itself was checked by `check`.

mod directory;
mod http;
mod lua;
mod network;
mod pool;
mod process;
mod text;
mod wasi;

use std::{collections::HashMap, io::ErrorKind, path::PathBuf, sync::Arc, time::Duration};

use cap_std::{ambient_authority, fs::Dir};
use greenroom_actors::spec::{
    Capabilities, Capability, Code, FunctionId, FunctionSpec, Limits, Source, SpecError, Transport, WasmSpec,
};

pub(super) use http::Http;

use super::{
    check::{self, Scope, place},
    diagnostic::Diagnostics,
    document::Node,
    environment::{Environment, Expanded},
    kinds,
    path::FieldPath,
    raw::{Index, RawEntry, Target},
    shape::Role,
    source::reason,
};
use crate::lua::{LuaFile, LuaFunction};

/// A function and what HTTP needs to know of it.
pub(super) struct Function {
    pub(super) spec: FunctionSpec,
    pub(super) transport: Transport,
    pub(super) max_body_bytes: Option<u64>,
    /// What it is in Lua.
    pub(super) lua: Option<LuaFunction>,
}

/// What can run, in the order of ids.
#[derive(Default)]
pub(super) struct Runnable {
    pub(super) functions: Vec<Function>,
    pub(super) libraries: Vec<(FunctionId, Arc<LuaFile>)>,
    pub(super) processes: Vec<process::Process>,
    pub(super) http: http::Http,
}

/// Makes everything whose entry is sound, and reports what is wrong with the others.
pub(super) fn validate(
    root: &std::path::Path,
    index: &mut Index,
    expanded: &Expanded,
    out: &mut Diagnostics,
) -> Runnable {
    let mut directories = HashMap::new();
    for number in 0..index.entries.len() {
        let (Some(entry), Some(node)) = (index.entries.get(number), expanded.nodes.get(number)) else { continue };
        if entry.kind.is_none_or(|kind| kind.role != Role::Directory) || index.failed[number] {
            continue;
        }
        let mut scope = Scope { id: Some(&entry.id), ..Scope::of_file(&entry.file, out) };
        match directory::open(root, entry, node, &mut scope) {
            Some(directory) => drop(directories.insert(entry.id.clone(), directory)),
            None => index.failed[number] = true,
        }
    }
    let root_dir = Dir::open_ambient_dir(root, ambient_authority()).ok();
    // A list that grows leaves its old room behind, and most entries are functions.
    let mut runnable = Runnable { functions: Vec::with_capacity(index.entries.len()), ..Runnable::default() };
    let libraries = libraries(index, expanded, root_dir.as_ref(), out);
    let lua = lua::Lua::new(libraries, &expanded.environment, index, out);
    runnable.libraries = lua.libraries();
    let mut parts = http::Parts::default();
    let mut commands = Vec::new();
    for number in index.in_id_order().collect::<Vec<_>>() {
        let (Some(entry), Some(node)) = (index.entries.get(number), expanded.nodes.get(number)) else { continue };
        let Some(role @ (Role::Function | Role::Process | Role::Http)) = entry.kind.map(|kind| kind.role) else {
            continue;
        };
        let scope = Scope { id: Some(&entry.id), index: Some(index), ..Scope::of_file(&entry.file, out) };
        let sound_fields = !index.failed[number];
        let environment = &expanded.environment;
        let mut reader = Reader { scope, entry, node, directories: &directories, root: root_dir.as_ref(), environment };
        let sound = match role {
            Role::Process => {
                let process = reader.process(sound_fields, &mut commands);
                process.map(|process| runnable.processes.push(process)).is_some()
            }
            Role::Http => reader.http(sound_fields, number, &mut parts).is_some(),
            _ => {
                let function = match entry.kind_name == kinds::lua::FUNCTION {
                    true => reader.lua_function(sound_fields, &lua),
                    false => reader.function(sound_fields),
                };
                function.map(|function| runnable.functions.push(function)).is_some()
            }
        };
        index.failed[number] |= !sound;
    }
    runnable.http = parts.assemble(index, &runnable.functions, out);
    runnable
}

/// The libraries in Lua that are sound by themselves.
fn libraries(index: &mut Index, expanded: &Expanded, root: Option<&Dir>, out: &mut Diagnostics) -> Vec<lua::Library> {
    let mut found = Vec::new();
    for number in index.in_id_order().collect::<Vec<_>>() {
        let (Some(entry), Some(node)) = (index.entries.get(number), expanded.nodes.get(number)) else { continue };
        if entry.kind.is_none_or(|kind| kind.role != Role::Library) {
            continue;
        }
        let scope = Scope { id: Some(&entry.id), index: Some(index), ..Scope::of_file(&entry.file, out) };
        let sound_fields = !index.failed[number];
        let (directories, environment) = (&HashMap::new(), &expanded.environment);
        let library = Reader { scope, entry, node, directories, root, environment }.library(sound_fields, number);
        index.failed[number] |= library.is_none();
        found.extend(library);
    }
    found
}

/// An `fs.directory` that is there.
pub(super) struct Directory {
    path: PathBuf,
    dir: Dir,
}

/// Reads one function entry. Each part gives `None` when it cannot be had; the fault is then reported, here or before.
struct Reader<'a> {
    scope: Scope<'a>,
    entry: &'a RawEntry,
    node: &'a Arc<Node>,
    directories: &'a HashMap<FunctionId, Directory>,
    root: Option<&'a Dir>,
    environment: &'a Environment,
}

impl<'a> Reader<'a> {
    /// Reads all parts before it gives up, so that all faults are reported.
    fn function(&mut self, sound_fields: bool) -> Option<Function> {
        let limits = self.limits();
        let pool = self.pool();
        let (source, sha256) = match self.entry.kind_name.as_str() {
            kinds::FUNCTION_WASM => (self.file(), self.hash().map(Some)),
            _ => (self.source(limits.max_module_bytes), Some(None)),
        };
        let wasi = self.wasi();
        let (pool, reuse) = pool?;
        let text = |field: &str| self.node.get(field).and_then(|node| node.text()).map(str::to_owned);
        let transport = match text("transport").as_deref() {
            Some("wasi-http") => Transport::WasiHttp,
            _ => Transport::Payload,
        };
        let wasm = WasmSpec {
            source: source?,
            sha256: sha256?,
            wit: text("wit"),
            method: text("method")?,
            imports: self.imports(),
            wasi: wasi?,
            reuse,
            transport,
        };
        let spec = FunctionSpec { id: self.entry.id.clone(), code: Code::Wasm(wasm), pool, limits };
        let valid = spec.validate();
        self.sound(sound_fields, valid)?;
        let max_body_bytes = self.node.get("limits").and_then(|limits| limits.get("max_body_bytes")?.count());
        Some(Function { spec, transport, max_body_bytes, lua: None })
    }

    /// Gives up when there was any fault.
    fn sound(&mut self, sound_fields: bool, valid: Result<(), SpecError>) -> Option<()> {
        if !sound_fields || self.scope.failed {
            return None;
        }
        if let Err(error) = valid {
            // Everything that a spec cannot be is checked before with its place; this is for rules that come later.
            self.scope.error(self.entry.name_span.clone(), FieldPath::Root, error.to_string());
            return None;
        }
        Some(())
    }

    fn hash(&self) -> Option<[u8; 32]> {
        self.node.get("hash").and_then(|hash| check::sha256(hash.text()?).ok())
    }

    fn imports(&self) -> Capabilities {
        let names = self.node.get("imports").map(|node| node.items()).unwrap_or_default();
        names.iter().filter_map(|name| name.text()?.parse::<Capability>().ok()).collect()
    }

    fn limits(&self) -> Limits {
        let number = |field: &str| self.node.get("limits").and_then(|limits| limits.get(field)?.count());
        let default = Limits::default();
        Limits {
            max_execution: number("max_execution_ms").map(Duration::from_millis),
            max_memory_bytes: number("max_memory_bytes").unwrap_or(default.max_memory_bytes),
            max_stack_bytes: number("max_stack_bytes").unwrap_or(default.max_stack_bytes),
            max_result_bytes: number("max_result_bytes").unwrap_or(default.max_result_bytes),
            max_module_bytes: number("max_module_bytes").unwrap_or(default.max_module_bytes),
        }
    }

    /// The `source` of a `function.wat`.
    fn source(&mut self, bytes_max: u64) -> Option<Source> {
        let not_utf8 = "WebAssembly text is UTF-8; a binary needs `function.wasm`";
        self.code(bytes_max, not_utf8, "file://name.wat").map(|text| Source::Text(text.into()))
    }

    /// The text of `source`.
    fn code(&mut self, bytes_max: u64, not_utf8: &'static str, example: &'static str) -> Option<String> {
        let bounds = text::Bounds {
            what: "the source",
            bytes_max,
            bound: format!("`limits.max_module_bytes` is {bytes_max}"),
            not_utf8,
            example,
            outside: None,
        };
        self.text(self.node.pair("source")?, FieldPath::Field(&FieldPath::Root, "source"), &bounds)
    }

    /// The `fs` and `path` of a `function.wasm`.
    fn file(&mut self) -> Option<Source> {
        let pair = self.node.pair("path")?;
        let path = pair.value.text()?;
        let shown = pair.value.scalar().map(super::document::Scalar::shown).unwrap_or_default();
        let field = FieldPath::Field(&FieldPath::Root, "path");
        let inside = path.trim_start_matches('/');
        let mut parts = inside.split(['/', '\\']);
        if parts.any(|part| part == "..") {
            self.scope
                .error(place(pair), field, format!("`{shown}` leaves the directory"))
                .label("`..` is not allowed in a path")
                .help("the path is inside the `fs.directory` entry that `fs` names");
            return None;
        }
        let (id, directory) = self.directory(self.node.get("fs")?)?;
        let found = if inside.is_empty() || inside.contains('\0') {
            Err(ErrorKind::NotFound.into())
        } else {
            directory.dir.metadata(inside)
        };
        let message = match found {
            Ok(metadata) if metadata.is_file() => {
                return Some(Source::File { directory: directory.path.clone(), path: path.to_owned() });
            }
            Ok(_) => format!("`{shown}` in `{id}` is no regular file"),
            Err(error) if is_escape(&error) => format!("`{shown}` leads out of `{id}` by a symbolic link"),
            Err(error) if error.kind() == ErrorKind::NotFound => format!("there is no file `{shown}` in `{id}`"),
            Err(error) => format!("cannot find `{shown}` in `{id}`: {}", reason(&error)),
        };
        let help = self.names_like(directory, inside);
        let error = self.scope.error(place(pair), field, message).label("must be a file in that directory");
        if let Some(help) = help {
            error.help(help);
        }
        None
    }

    /// The binaries that stand beside a path that is not there.
    fn names_like(&self, directory: &Directory, inside: &str) -> Option<String> {
        const NAMES_MAX: usize = 1000;
        const SHOWN_MAX: usize = 8;
        let parent = inside.rsplit_once('/').map_or(".", |(parent, _)| parent);
        let entries = directory.dir.read_dir(parent).ok()?.take(NAMES_MAX).filter_map(Result::ok);
        let mut names: Vec<_> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.ends_with(".wasm"))
            .map(|name| super::diagnostic::shown(&name))
            .collect();
        names.sort();
        names.truncate(SHOWN_MAX);
        (!names.is_empty()).then(|| format!("beside it are {}", names.join(", ")))
    }

    /// The directory that a reference names, unless its own entry is at fault.
    fn directory(&self, reference: &Node) -> Option<(&'a FunctionId, &'a Directory)> {
        match self.scope.index?.follow(self.entry.id.namespace(), reference.text()?) {
            Target::Entry(number) => {
                let id = &self.scope.index?.entries.get(number)?.id;
                self.directories.get_key_value(id)
            }
            _ => None,
        }
    }
}

/// Whether `cap-std` refused to leave a directory, rather than the system to open a file.
fn is_escape(error: &std::io::Error) -> bool {
    error.kind() == ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}
