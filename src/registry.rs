//! Registry files: YAML in, [`FunctionSpec`]s and diagnostics out. Compiling and running functions is the business of
//! `greenroom-actors`; faults that it finds come back through [`Registry::diagnose`] to the line that caused them.
//!
//! The way of a load: `source` reads files, `document` makes marked trees, `raw` finds entries, `environment` resolves
//! placeholders, `check` checks fields against the table of `kinds`, and `validate` makes specs.

mod check;
mod diagnostic;
mod document;
mod environment;
mod form;
pub mod http;
mod kinds;
mod path;
mod placeholder;
mod places;
mod raw;
mod schema;
mod shape;
mod source;
mod validate;

use std::{collections::HashMap, fmt, path::Path, sync::Arc};

use greenroom_actors::spec::{FunctionId, FunctionSpec, ProcessSpec};

pub(crate) use check::duration_parts;
pub(crate) use diagnostic::closest;
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use environment::{Environment, EnvironmentError};
pub use schema::schema;

use crate::lua::LuaFile;

/// What a load accepts.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Whether entries of unknown kinds do nothing, with a warning. Default is false: they are errors.
    pub allow_unknown_kinds: bool,
}

/// A process that can be run by a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The name: `meta.command`, or `meta.command.name`.
    pub name: String,
    /// A few words on what it does: `meta.command.short`. Default is none.
    pub about: Option<String>,
    /// The entry that it runs.
    pub process: FunctionId,
}

impl Command {
    /// What no command is called, because it lists them.
    pub const LIST: &str = "list";
}

/// One entry of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: FunctionId,
    /// Its kind, as the file names it.
    pub kind: String,
    /// The file, as the user named the registry root and the path below it.
    pub file: String,
    /// The line of its name, counted from 1.
    pub line: usize,
    /// Whether it has no error.
    pub sound: bool,
    /// Whether this version does nothing with entries of its kind.
    pub inert: bool,
    /// A few words on what it is.
    pub summary: String,
}

impl Entry {
    /// Whether it is called with arguments and gives one result.
    pub fn is_function(&self) -> bool {
        kinds::find(&self.kind).is_some_and(|kind| kind.role == shape::Role::Function)
    }
}

/// A registry that was read from a folder. Has every function whose own entry is sound.
///
/// Its `Debug` output names entries only: fields may hold values of placeholders.
pub struct Registry {
    functions: Box<[FunctionSpec]>,
    lua: Box<[(FunctionId, Arc<LuaFile>)]>,
    processes: Box<[ProcessSpec]>,
    commands: Vec<Command>,
    servers: Vec<http::ServerSpec>,
    entries: Box<[Entry]>,
    environment: Environment,
    places: places::Places,
}

impl Registry {
    /// Reads a registry and refuses it when anything is wrong with it. Warnings are no reason to.
    ///
    /// Does file I/O: call it where blocking is allowed. Creates the directories and files of entries that ask for it
    /// (`auto_init`, `auto_create`).
    ///
    /// # Errors
    /// All errors and warnings, when there is at least one error.
    pub fn load(root: &Path, options: &LoadOptions) -> Result<(Self, Diagnostics), Diagnostics> {
        let (registry, diagnostics) = Self::read(root, options);
        if diagnostics.has_errors() { Err(diagnostics) } else { Ok((registry, diagnostics)) }
    }

    /// Reads a registry as far as it goes, with all errors and warnings, so that an error in one entry keeps nobody from
    /// checking the others further.
    ///
    /// Does file I/O: call it where blocking is allowed. Creates the directories and files of entries that ask for it
    /// (`auto_init`, `auto_create`).
    ///
    /// ```
    /// use std::path::Path;
    ///
    /// use greenroom::registry::{LoadOptions, Registry};
    ///
    /// let (registry, diagnostics) = Registry::read(Path::new("no/such/folder"), &LoadOptions::default());
    /// assert!(registry.functions().is_empty());
    /// assert!(diagnostics.render(false).starts_with("error: there is no registry at `no/such/folder`"));
    /// ```
    pub fn read(root: &Path, options: &LoadOptions) -> (Self, Diagnostics) {
        let mut out = Diagnostics::default();
        let mut index = raw::Index::default();
        for file in source::read_all(root, &mut out) {
            match document::parse(&file) {
                Ok(Some(tree)) => index.add_file(&file, &tree, options.allow_unknown_kinds, &mut out),
                Ok(None) => {}
                Err(diagnostic) => drop(out.push(*diagnostic)),
            }
        }
        // Files and directories are opened later, perhaps from another working directory.
        let root = &root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let expanded = environment::resolve(root, &mut index, &mut out);
        let runnable = validate::validate(root, &mut index, &expanded, &mut out);
        out.finish();

        let mut commands: Vec<_> = runnable.processes.iter().filter_map(|process| process.command.clone()).collect();
        commands.sort_by(|a, b| a.name.cmp(&b.name));
        // Boxed, because a `Vec` made in place would keep the room of what it was made from.
        let functions_in_lua = runnable.functions.iter().filter_map(|function| {
            let lua = function.lua.as_ref()?;
            Some((function.spec.id.clone(), Arc::clone(&lua.file)))
        });
        let mut lua: Vec<_> = functions_in_lua.chain(runnable.libraries).collect();
        lua.sort_by(|a, b| a.0.cmp(&b.0));
        let processes: Box<[_]> = runnable.processes.into_iter().map(|process| process.spec).collect();
        let functions: Box<[_]> = runnable.functions.into_iter().map(|function| function.spec).collect();
        let validate::Http { servers, summaries: served } = runnable.http;
        let entries = summaries(&index, &functions, &processes, &commands, served);
        let environment = expanded.environment;
        let places = places::Places::of(&index);
        (Self { functions, lua: lua.into(), processes, commands, servers, entries, environment, places }, out)
    }

    /// The functions whose entries are sound, in the order of ids.
    pub fn functions(&self) -> &[FunctionSpec] {
        &self.functions
    }

    /// The function with this id, if its entry is sound.
    pub fn function(&self, id: &FunctionId) -> Option<&FunctionSpec> {
        let found = self.functions.binary_search_by(|function| function.id.cmp(id)).ok()?;
        self.functions.get(found)
    }

    /// The files of functions and libraries in Lua whose entries are sound, in the order of ids.
    pub fn lua(&self) -> &[(FunctionId, Arc<LuaFile>)] {
        &self.lua
    }

    /// The processes whose entries are sound, in the order of ids.
    pub fn processes(&self) -> &[ProcessSpec] {
        &self.processes
    }

    /// The commands, in the order of names.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// The HTTP servers, with all that belongs to them and is sound: first the default one, which is there when something
    /// belongs to it, then the others in the order of ids. Those that `lifecycle.auto_start` keeps from listening are left
    /// out.
    pub fn servers(&self) -> &[http::ServerSpec] {
        &self.servers
    }

    /// All entries, in the order of ids.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The variables.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// A diagnostic about a field of an entry, for faults that are found after the load.
    ///
    /// `field` is written `hash`, `pool.max_size` or `wasi.mounts[1].fs`. A field that the entry does not have is shown at
    /// its parent, else at the entry's name. An id that is not in the registry gives a diagnostic without a place.
    pub fn diagnose(
        &self,
        id: &FunctionId,
        field: &str,
        message: impl Into<String>,
        help: Option<String>,
        severity: Severity,
    ) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(severity, message).of(Some(id), field);
        let entry = self.entries.binary_search_by(|entry| entry.id.cmp(id)).ok();
        if let Some((file, span)) = entry.and_then(|entry| self.places.find(entry, field)) {
            diagnostic = diagnostic.at(file, span, "");
        }
        if let Some(help) = help {
            diagnostic.help(help);
        }
        diagnostic
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.entries.iter().map(|entry| (&entry.id, &entry.kind));
        f.debug_map().entries(ids).finish()
    }
}

/// The entries as lists show them.
fn summaries(
    index: &raw::Index,
    functions: &[FunctionSpec],
    processes: &[ProcessSpec],
    commands: &[Command],
    mut served: HashMap<FunctionId, String>,
) -> Box<[Entry]> {
    let word = |id: &FunctionId| {
        let command = commands.iter().find(|command| command.process == *id);
        command.map_or_else(|| "process".to_owned(), |command| format!("command {}", command.name))
    };
    let entries = index.in_id_order().filter_map(|number| Some((number, index.entries.get(number)?)));
    entries
        .map(|(number, entry)| {
            let function = functions.binary_search_by(|function| function.id.cmp(&entry.id)).ok();
            let summary = match function.and_then(|found| functions.get(found)) {
                Some(function) => {
                    let method = method(entry).unwrap_or_else(|| kinds::lua::METHOD.to_owned());
                    format!("{} pool, method {method}", function.pool.sizing.kind())
                }
                None if processes.iter().any(|process| process.id == entry.id) => {
                    let method = method(entry).unwrap_or_else(|| ProcessSpec::METHOD.to_owned());
                    format!("{}, method {method}", word(&entry.id))
                }
                None if served.contains_key(&entry.id) => served.remove(&entry.id).unwrap_or_default(),
                None => entry.kind.map_or_else(|| "of an unknown kind".to_owned(), |kind| kind.about.to_owned()),
            };
            Entry {
                id: entry.id.clone(),
                kind: entry.kind_name.clone(),
                file: entry.file.shown().to_owned(),
                line: entry.file.position(entry.name_span.start).0,
                inert: entry.kind.is_none_or(|kind| kind.role == shape::Role::Inert),
                sound: !index.failed.get(number).copied().unwrap_or(true),
                summary,
            }
        })
        .collect()
}

/// The method as the file has it: a placeholder's value is not shown.
fn method(entry: &raw::RawEntry) -> Option<String> {
    entry.node.get("method").and_then(|method| method.scalar()).map(document::Scalar::shown)
}
