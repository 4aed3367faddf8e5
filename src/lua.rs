//! Functions written in Lua 5.4: one more language beside WebAssembly, run by the same supervisors, pools and deadlines.
//!
//! Each call has a VM of its own, which holds nothing of the one before, and runs as a coroutine that gives its thread up
//! each millisecond and while it waits. What a file may use is listed in its entry: `modules` of ours, and `imports` of
//! other files. Which entries there are is the registry's business.

mod channel;
mod duration;
mod error;
mod executor;
mod held;
mod mentions;
mod modules;
mod pattern;
mod source;
mod turn;
mod value;
mod vm;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use greenroom_actors::{
    Language, WeakRuntime,
    executor::Executor,
    spec::{FunctionId, Limits, Network},
    wasm::PrepareError,
};

pub use self::{modules::Module, source::LuaFile};
use crate::registry::Environment;

/// Memory of one instance, in bytes, when the entry does not say.
pub const MEMORY_BYTES: u64 = 64 << 20;

/// A function written in Lua.
#[derive(Debug, Clone)]
pub struct LuaFunction {
    /// Its file.
    pub file: Arc<LuaFile>,
    /// The function that is called: that of the table that the file returns, or a global. A file with neither is itself
    /// what is called.
    pub method: String,
    /// What `http_client` may reach. Default is nothing.
    pub network: Network,
    /// The variables that `env` reads.
    pub environment: Arc<Environment>,
    /// Entries that may stand as a process's host in `process.spawn_monitored`, where they mean nothing.
    pub hosts: Arc<BTreeSet<String>>,
    /// How many calls one instance serves before it is dropped.
    pub reuse: u32,
}

impl Language for LuaFunction {
    fn prepare(
        &self,
        function: &FunctionId,
        limits: &Limits,
        runtime: &WeakRuntime,
    ) -> Result<Arc<dyn Executor>, Vec<PrepareError>> {
        let chunks = source::compile(&self.file).map_err(|error| vec![error])?;
        Ok(Arc::new(executor::LuaExecutor::new(function, self, limits, chunks, runtime)))
    }
}

/// Files by the name under which another requires them.
pub type Imports = BTreeMap<String, Arc<LuaFile>>;
