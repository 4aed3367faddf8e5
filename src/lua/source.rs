//! Files of Lua: what they may use, and their code, compiled once for all instances.

use std::{collections::BTreeSet, sync::Arc};

use greenroom_actors::{
    spec::FunctionId,
    wasm::{PrepareError, PrepareWarning},
};
use mlua::{Lua, LuaOptions, StdLib, chunk::ChunkMode};

use super::{
    Imports, Module,
    error::plain,
    mentions::{self, Mention, What},
};

/// One file: the code of a `function.lua` or a `library.lua`.
#[derive(Debug)]
pub struct LuaFile {
    /// How errors name it: the path below the registry, or the id of its entry.
    pub name: String,
    /// The code.
    pub text: Arc<str>,
    /// What it may require of ours, and has as globals, too.
    pub modules: BTreeSet<Module>,
    /// What it may require of other files.
    pub imports: Imports,
}

/// A file, ready for any number of instances.
pub(super) struct Chunk {
    pub(super) name: String,
    /// Bytecode that was made here, of text.
    pub(super) code: Vec<u8>,
    pub(super) modules: BTreeSet<Module>,
    pub(super) imports: Vec<(String, Arc<Chunk>)>,
}

impl LuaFile {
    /// Whether it, or what it imports, may call functions or spawn processes.
    pub fn reaches_others(&self) -> bool {
        let reaches = [Module::Funcs, Module::Process].iter().any(|module| self.modules.contains(module));
        reaches || self.imports.values().any(|file| file.reaches_others())
    }

    /// Looks whether the code is Lua, and what it names that is not there. `is_function` says which ids are functions;
    /// names without a namespace are of the entry's.
    ///
    /// # Errors
    /// Why it is no Lua, with the line.
    pub(crate) fn check(
        &self,
        id: &FunctionId,
        is_function: impl Fn(&str) -> bool,
    ) -> Result<Vec<PrepareWarning>, PrepareError> {
        bytecode(self)?;
        let mut warnings = Vec::new();
        for Mention { name, line, what } in mentions::of(without_first_line(&self.text)) {
            let (message, note) = match what {
                What::Call => {
                    let full = if name.contains(':') { name.clone() } else { format!("{}:{name}", id.namespace()) };
                    if is_function(&full) {
                        continue;
                    }
                    (format!("there is no function `{full}`, which is called here"), None)
                }
                What::Require if self.imports.contains_key(&name) => continue,
                What::Require => match Module::find(&name) {
                    Some(module) if self.modules.contains(&module) || Module::GLOBAL.contains(&module) => continue,
                    Some(_) => (
                        format!("`{name}` is required here, and not in the entry's `modules`"),
                        Some(format!("add it: `modules: [{name}]`")),
                    ),
                    None => (format!("there is no module `{name}`, and `imports` has none of this name, either"), None),
                },
            };
            let place = format!("{}:{line}", self.name);
            warnings.push(PrepareWarning {
                field: "source",
                message: format!("{place}: {message}"),
                notes: note.into_iter().collect(),
            });
        }
        Ok(warnings)
    }
}

/// Compiles a file and all that it imports, each once.
pub(super) fn compile(file: &Arc<LuaFile>) -> Result<Arc<Chunk>, PrepareError> {
    with_imports(file, &mut Vec::new())
}

fn with_imports(file: &Arc<LuaFile>, done: &mut Vec<(Arc<LuaFile>, Arc<Chunk>)>) -> Result<Arc<Chunk>, PrepareError> {
    if let Some((_, chunk)) = done.iter().find(|(known, _)| Arc::ptr_eq(known, file)) {
        return Ok(Arc::clone(chunk));
    }
    let code = bytecode(file)?;
    let imports = file.imports.iter().map(|(alias, file)| Ok((alias.clone(), with_imports(file, done)?)));
    let imports = imports.collect::<Result<_, PrepareError>>()?;
    let chunk = Arc::new(Chunk { name: file.name.clone(), code, modules: file.modules.clone(), imports });
    done.push((Arc::clone(file), Arc::clone(&chunk)));
    Ok(chunk)
}

fn bytecode(file: &LuaFile) -> Result<Vec<u8>, PrepareError> {
    let failed = |error: mlua::Error| PrepareError::invalid("source", format!("this is no Lua: {}", plain(&error)));
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::new()).map_err(failed)?;
    let chunk = lua.load(without_first_line(&file.text)).set_name(format!("@{}", file.name)).set_mode(ChunkMode::Text);
    Ok(chunk.into_function().map_err(failed)?.dump(false))
}

/// The code as `lua` reads it: without a mark of its encoding, and without a first line that names its interpreter.
fn without_first_line(text: &str) -> &str {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match text.starts_with('#') {
        // The line's end stays, so that lines keep their numbers.
        true => text.find('\n').and_then(|end| text.get(end..)).unwrap_or_default(),
        false => text,
    }
}
