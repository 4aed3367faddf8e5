//! The VM of one instance: the sandbox, the files that it loads, and the modules that these require.

use std::{
    cell::RefCell,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use mlua::{
    Function, Lua, LuaOptions, MultiValue, StdLib, Table, Value,
    chunk::ChunkMode,
    state::{GcIncParams, GcMode},
    thread::AsyncThread,
};

use super::{
    error::{LuaError, known, plain},
    modules::{self, Module},
    pattern,
    source::Chunk,
    turn::Turns,
};

/// How tracebacks name our own code, which they leave out.
const OURS: &str = "=[greenroom]";

/// The code of what a file sees of Lua's own library, and that of its lists, compiled once.
fn sandbox() -> mlua::Result<&'static [Vec<u8>; 2]> {
    static CODE: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    if let Some(code) = CODE.get() {
        return Ok(code);
    }
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::new())?;
    let compiled = |text: &str| Ok::<_, mlua::Error>(lua.load(text).set_name(OURS).into_function()?.dump(false));
    let code = [compiled(include_str!("sandbox.lua"))?, compiled(include_str!("lists.lua"))?];
    Ok(CODE.get_or_init(|| code))
}

/// Coroutines that a file may spawn before they have their first turn.
const SPAWNED_MAX: usize = 10_000;

/// A VM that is ready for a call.
pub(super) struct Vm {
    pub(super) lua: Lua,
    pub(super) turns: Turns,
    /// Runs a call: takes its arguments, gives what the function returns, or `false` and what was raised, with its traceback.
    pub(super) start: Function,
}

/// Lua code that makes a function give the thread up after it, where that is due.
struct Pausing(Function);

/// A function of ours that may take long.
pub(super) fn pausing(lua: &Lua, function: Function) -> mlua::Result<Function> {
    let pausing = lua.app_data_ref::<Pausing>().map(|pausing| pausing.0.clone());
    pausing.map_or(Ok(function.clone()), |pausing| pausing.call(function))
}

/// Lua code that runs functions so that what they raise comes with a traceback.
struct Guard(Function);

impl Vm {
    /// Makes a VM and loads the file into it. Nothing of the file runs.
    pub(super) fn new(chunk: &Arc<Chunk>, method: &str, memory_bytes: u64) -> mlua::Result<Self> {
        let libraries = StdLib::COROUTINE | StdLib::TABLE | StdLib::STRING | StdLib::UTF8 | StdLib::MATH | StdLib::OS;
        // Otherwise mlua has a `pcall` of its own, within which nothing can wait.
        let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(true))?;
        // What is made here stays, and there is nothing to collect.
        lua.gc_stop();
        pattern::install(&lua)?;
        lua.set_memory_limit(usize::try_from(memory_bytes).unwrap_or(usize::MAX))?;
        let print = lua.create_function(|lua, line: mlua::LuaString| modules::logger::print(lua, &line))?;
        let traceback = lua.create_function(traceback)?;
        let [sandbox, lists] = sandbox()?;
        let ours = |code: &[u8]| lua.load(code).set_name(OURS).set_mode(ChunkMode::Binary).into_function();
        let (sandbox, lists) = (ours(sandbox)?, ours(lists)?);
        let spawn = lua.create_function(spawn)?;
        let opened = lua.create_function(opened)?;
        let module = lua.create_function(global)?;
        let turns = Turns::new();
        let asked = turns.clone();
        let is_over = lua.create_function(move |lua, ()| asked.is_over(lua))?;
        let (environment, guard, starter, pausing): (Function, Function, Function, Function) =
            sandbox.call((print, traceback, spawn, opened, module, is_over, lists))?;
        lua.set_app_data(Pausing(pausing));
        lua.set_app_data(Guard(guard.clone()));
        lua.set_app_data(Loader { environment, modules: RefCell::default(), files: RefCell::default() });
        let (code, env) = load(&lua, chunk)?;
        let start: Function = starter.call((code, env, method))?;
        let start = guard.bind(start)?;
        turns.install(&lua)?;
        // By default, the finalizers of many small userdata, as channels and errors leave, fall behind what is made.
        lua.gc_set_mode(GcMode::Incremental(GcIncParams::default().pause(150).step_multiplier(800)));
        lua.gc_restart();
        Ok(Self { lua, turns, start })
    }
}

/// What loads files and modules.
pub(super) struct Loader {
    environment: Function,
    /// The modules that were made, by name.
    pub(super) modules: RefCell<Vec<(Module, Value)>>,
    /// The files that were required, and what they returned; nothing while they run.
    files: RefCell<Vec<(usize, Option<Value>)>>,
}

/// Loads a file, with an environment of its own.
fn load(lua: &Lua, chunk: &Arc<Chunk>) -> mlua::Result<(Function, Table)> {
    let known = Arc::clone(chunk);
    let require = lua.create_async_function(move |lua, name: String| require(lua, known.clone(), name))?;
    let environment = lua.app_data_ref::<Loader>().map(|loader| loader.environment.clone());
    let environment = environment.ok_or_else(|| mlua::Error::runtime("the VM is not complete"))?;
    let env: Table = environment.call(require)?;
    for module in &chunk.modules {
        env.raw_set(module.name(), modules::get(lua, *module)?)?;
    }
    let code = lua.load(&*chunk.code).set_name(format!("@{}", chunk.name)).set_mode(ChunkMode::Binary);
    Ok((code.set_environment(env.clone()).into_function()?, env))
}

/// Gives a file what it requires: a module of ours, or another file, which runs once.
async fn require(lua: Lua, by: Arc<Chunk>, name: String) -> mlua::Result<Value> {
    if let Some((_, file)) = by.imports.iter().find(|(alias, _)| *alias == name) {
        return require_file(&lua, file).await;
    }
    match Module::find(&name) {
        Some(module) if by.modules.contains(&module) || Module::GLOBAL.contains(&module) => modules::get(&lua, module),
        Some(_) => Err(LuaError::raised(greenroom_actors::CallError::new(
            greenroom_actors::ErrorKind::PermissionDenied,
            format!("`{name}` is not in the entry's `modules`; add it: `modules: [{name}]`"),
        ))),
        None => {
            let known: Vec<_> = by.imports.iter().map(|(alias, _)| alias.as_str()).collect();
            let names = Module::ALL.map(Module::name).join(", ");
            let imports =
                if known.is_empty() { String::new() } else { format!(", and of `imports`: {}", known.join(", ")) };
            Err(LuaError::invalid(format!("there is no module `{name}`; there are {names}{imports}")))
        }
    }
}

async fn require_file(lua: &Lua, file: &Arc<Chunk>) -> mlua::Result<Value> {
    let key = Arc::as_ptr(file) as usize;
    let no_loader = || mlua::Error::runtime("the VM is not complete");
    {
        let loader = lua.app_data_ref::<Loader>().ok_or_else(no_loader)?;
        let files = loader.files.borrow();
        match files.iter().find(|(known, _)| *known == key) {
            Some((_, Some(value))) => return Ok(value.clone()),
            Some((_, None)) => {
                return Err(LuaError::invalid(format!("`{}` requires itself while it is loaded", file.name)));
            }
            None => {}
        }
    }
    let note = |value: Option<Value>| {
        if let Some(loader) = lua.app_data_ref::<Loader>() {
            let mut files = loader.files.borrow_mut();
            files.retain(|(known, _)| *known != key);
            files.extend([(key, value)]);
        }
    };
    note(None);
    let (code, _) = load(lua, file)?;
    let value: Value = code.call_async(()).await?;
    let value = if value.is_nil() { Value::Boolean(true) } else { value };
    note(Some(value.clone()));
    Ok(value)
}

/// An error that a function of ours raised, as Lua code sees what it caught: a value with a kind, or a text.
fn opened(lua: &Lua, raised: Value) -> mlua::Result<Value> {
    let Value::Error(error) = &raised else { return Ok(raised) };
    match known(error) {
        Some(error) => lua.create_userdata(LuaError::new(lua, error)?).map(Value::UserData),
        None => lua.create_string(plain(error)).map(Value::String),
    }
}

/// A module that every file has as a global, made when it is first used.
fn global(lua: &Lua, name: Value) -> mlua::Result<Value> {
    let Value::String(name) = &name else { return Ok(Value::Nil) };
    let module = Module::GLOBAL.into_iter().find(|module| *name == module.name());
    module.map_or(Ok(Value::Nil), |module| modules::get(lua, module))
}

/// The frames of the coroutine that asks, as Lua shows them.
fn traceback(lua: &Lua, (message, level): (Value, Option<usize>)) -> mlua::Result<Value> {
    let message = match &message {
        Value::Nil => None,
        Value::String(text) => Some(text.to_string_lossy()),
        Value::Integer(_) | Value::Number(_) => Some(message.to_string()?),
        _ => return Ok(message),
    };
    let level = level.unwrap_or(1);
    let text = lua.traceback(message.as_deref(), level)?.to_string_lossy();
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("\t[greenroom]:")).collect();
    lua.create_string(lines.join("\n")).map(Value::String)
}

/// Coroutines that the file has spawned and that nobody runs yet.
#[derive(Clone, Default)]
pub(super) struct Spawned(Arc<Mutex<Vec<AsyncThread<MultiValue>>>>);

impl Spawned {
    /// Those of the call that begins.
    pub(super) fn new(lua: &Lua) -> Self {
        let spawned = Self::default();
        lua.set_app_data(spawned.clone());
        spawned
    }

    pub(super) fn take(&self) -> Vec<AsyncThread<MultiValue>> {
        std::mem::take(&mut *self.threads())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.threads().is_empty()
    }

    fn threads(&self) -> MutexGuard<'_, Vec<AsyncThread<MultiValue>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `coroutine.spawn(f, …)`: runs a function beside the one that spawns it. What it raises fails the call.
fn spawn(lua: &Lua, (function, args): (Function, MultiValue)) -> mlua::Result<()> {
    let guard = lua.app_data_ref::<Guard>().map(|guard| guard.0.clone());
    let spawned = lua.app_data_ref::<Spawned>().map(|spawned| spawned.clone());
    let (Some(guard), Some(spawned)) = (guard, spawned) else { return Err(mlua::Error::runtime("no call runs")) };
    let thread = lua.create_thread(guard.bind(function)?)?.into_async(args)?;
    let mut threads = spawned.threads();
    if threads.len() >= SPAWNED_MAX {
        return Err(LuaError::invalid(format!("coroutine.spawn: more than {SPAWNED_MAX} at once")));
    }
    threads.push(thread);
    Ok(())
}
