//! Files of Lua: what they may use, and their code, compiled once for all instances.

use std::{collections::BTreeSet, sync::Arc};

use greenroom_actors::wasm::PrepareError;
use mlua::{Lua, LuaOptions, StdLib};

use super::{Imports, Module, error::plain};

/// One file: the code of a `function.lua` or a `library.lua`.
#[derive(Debug)]
pub struct LuaFile {
    /// How errors name it: the path below the registry, or the id of its entry.
    pub name: String,
    /// The code.
    pub text: Arc<str>,
    /// What it may require of ours; functions have these as globals, too.
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
    /// Looks whether the code is Lua.
    ///
    /// # Errors
    /// Why it is not, with the line.
    pub fn check(&self) -> Result<(), PrepareError> {
        compile(self).map(drop)
    }
}

/// Compiles a file and all that it imports.
pub(super) fn compile(file: &LuaFile) -> Result<Arc<Chunk>, PrepareError> {
    let failed = |error: mlua::Error| PrepareError::invalid("source", format!("this is no Lua: {}", plain(&error)));
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::new()).map_err(failed)?;
    let function = lua.load(&*file.text).set_name(format!("@{}", file.name)).set_mode(mlua::chunk::ChunkMode::Text);
    let code = function.into_function().map_err(failed)?.dump(false);
    let imports = file.imports.iter().map(|(alias, file)| Ok((alias.clone(), compile(file)?)));
    let imports = imports.collect::<Result<_, PrepareError>>()?;
    Ok(Arc::new(Chunk { name: file.name.clone(), code, modules: file.modules.clone(), imports }))
}
