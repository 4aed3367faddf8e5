//! The modules that files require: their names, and one of each in a VM that has it.

mod env;
mod errors;
pub(super) mod funcs;
mod http;
mod http_client;
mod json;
pub(super) mod logger;
mod process;
mod time;

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use greenroom_actors::{
    CallError, Context, ErrorKind, WeakRuntime,
    spec::FunctionId,
    wasm::{GuestLog, HttpClient},
};
use mlua::{Lua, Value};
use tokio::task::AbortHandle;

pub(super) use self::http::Exchange;
use super::{channel, error::LuaError, vm::Loader};
use crate::registry::Environment;

/// A module of ours, which an entry's `modules` may list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Module {
    /// Channels between coroutines. Always there.
    Channel,
    /// Reads the variables of the registry.
    Env,
    /// Makes errors and tells them apart. Always there.
    Errors,
    /// Calls other entries.
    Funcs,
    /// The request and the response of the endpoint that called.
    Http,
    /// Requests to what `network.allow` lists.
    HttpClient,
    /// JSON to and from tables.
    Json,
    /// Lines for the log.
    Logger,
    /// Spawns processes and hears of their ends.
    Process,
    /// Waits, and knows what time it is.
    Time,
}

impl Module {
    /// Every module, in the order of names.
    pub const ALL: [Self; 10] = [
        Self::Channel,
        Self::Env,
        Self::Errors,
        Self::Funcs,
        Self::Http,
        Self::HttpClient,
        Self::Json,
        Self::Logger,
        Self::Process,
        Self::Time,
    ];

    /// Those that every file has, and as globals: they reach nothing outside of their VM.
    pub(super) const GLOBAL: [Self; 2] = [Self::Channel, Self::Errors];

    /// The name, as `modules` and `require` write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Env => "env",
            Self::Errors => "errors",
            Self::Funcs => "funcs",
            Self::Http => "http",
            Self::HttpClient => "http_client",
            Self::Json => "json",
            Self::Logger => "logger",
            Self::Process => "process",
            Self::Time => "time",
        }
    }

    /// The module of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|module| module.name() == name)
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Module {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::find(name).ok_or_else(|| format!("there is no module `{name}`"))
    }
}

/// What the modules of a VM know of the function that they are used by.
pub(super) struct Host {
    pub(super) function: FunctionId,
    pub(super) runtime: WeakRuntime,
    pub(super) environment: Arc<Environment>,
    pub(super) log: GuestLog,
    /// What reaches what the entry lists.
    pub(super) client: HttpClient,
    /// Entries that may stand as a process's host.
    pub(super) hosts: Arc<BTreeSet<String>>,
}

/// The call that a VM runs.
pub(super) struct Current(pub(super) Arc<Context>);

/// What a call has started in the background, which ends with it.
#[derive(Default)]
pub(super) struct Tasks(Vec<AbortHandle>);

impl Tasks {
    /// Tasks that have ended are forgotten when there are as many as this, and twice as many, and so on.
    const KEPT: usize = 64;

    /// One more of the call that a VM runs.
    pub(super) fn add(lua: &Lua, task: AbortHandle) {
        if let Some(mut tasks) = lua.app_data_mut::<Self>() {
            if tasks.0.len() >= Self::KEPT && tasks.0.len().is_power_of_two() {
                tasks.0.retain(|task| !task.is_finished());
            }
            tasks.0.push(task);
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Host {
    /// That of a VM.
    pub(super) fn of(lua: &Lua) -> Result<Arc<Self>, CallError> {
        lua.app_data_ref::<Arc<Self>>().map(|host| Arc::clone(&host)).ok_or_else(too_early)
    }
}

impl Current {
    /// The context of the call that a VM runs.
    pub(super) fn context(lua: &Lua) -> Result<Arc<Context>, CallError> {
        lua.app_data_ref::<Self>().map(|current| Arc::clone(&current.0)).ok_or_else(too_early)
    }
}

fn too_early() -> CallError {
    CallError::new(ErrorKind::Internal, "no call runs in this VM")
}

/// A module, made when it is first asked for.
pub(super) fn get(lua: &Lua, module: Module) -> mlua::Result<Value> {
    let known = lua.app_data_ref::<Loader>().and_then(|loader| {
        let modules = loader.modules.borrow();
        modules.iter().find(|(known, _)| *known == module).map(|(_, value)| value.clone())
    });
    if let Some(known) = known {
        return Ok(known);
    }
    let made = match module {
        Module::Channel => channel::module(lua)?,
        Module::Env => env::module(lua)?,
        Module::Errors => errors::module(lua)?,
        Module::Funcs => funcs::module(lua)?,
        Module::Json => json::module(lua)?,
        Module::Logger => logger::module(lua)?,
        Module::Time => time::module(lua)?,
        Module::Http => http::module(lua)?,
        Module::HttpClient => http_client::module(lua)?,
        Module::Process => process::module(lua)?,
    };
    if let Some(loader) = lua.app_data_ref::<Loader>() {
        loader.modules.borrow_mut().push((module, made.clone()));
    }
    Ok(made)
}

/// What functions that may fail give back: a value, or nothing and an error.
pub(super) fn outcome(lua: &Lua, result: Result<Value, CallError>) -> mlua::Result<(Value, Value)> {
    match result {
        Ok(value) => Ok((value, Value::Nil)),
        Err(error) => Ok((Value::Nil, Value::UserData(lua.create_userdata(LuaError::new(lua, error)?)?))),
    }
}
