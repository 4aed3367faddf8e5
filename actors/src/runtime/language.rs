//! Functions of languages other than WebAssembly: how they become executors, and what these may do in the tree that they
//! belong to.

use std::sync::{Arc, OnceLock, Weak};

use crate::{
    call::{Answer, CallError, CallOptions, ErrorKind, Payload},
    directory::Directory,
    executor::{self, Executor},
    process::{Process, ProcessOptions, Programs},
    spec::{FunctionId, Limits},
    wasm::{Engine, PrepareError, Signature},
};

/// A function of another language, before it belongs to a runtime.
pub trait Language: Send + Sync + 'static {
    /// Reads and checks the code, and gives what makes instances of it. Runs where blocking is allowed, once for each
    /// runtime that has the function.
    ///
    /// # Errors
    /// Everything that keeps the function from running.
    fn prepare(
        &self,
        function: &FunctionId,
        limits: &Limits,
        runtime: &WeakRuntime,
    ) -> Result<Arc<dyn Executor>, Vec<PrepareError>>;
}

/// The runtime that a function belongs to, as its code calls it: it keeps nothing alive. Cheap to clone.
#[derive(Clone)]
pub struct WeakRuntime {
    directory: Weak<Directory>,
    programs: Arc<OnceLock<Weak<Programs>>>,
    engine: Engine,
}

impl WeakRuntime {
    pub(super) fn new(directory: &Arc<Directory>, engine: &Engine) -> Self {
        Self { directory: Arc::downgrade(directory), programs: Arc::default(), engine: engine.clone() }
    }

    /// The programs are there, too.
    pub(super) fn started(&self, programs: &Arc<Programs>) {
        self.programs.get_or_init(|| Arc::downgrade(programs));
    }

    /// The engine, which reaches the network.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The WIT signature of a function; `Ok(None)` is a function of another language.
    ///
    /// # Errors
    /// `not_found`, and `unavailable` at the end of the runtime.
    pub fn signature(&self, id: &str) -> Result<Option<Signature>, CallError> {
        Ok(self.directory()?.find(id)?.executor.signature().cloned())
    }

    /// Calls a function; dropping the future cancels the call. The context of the options is that of the nested call:
    /// [`Context::nested`](crate::Context::nested).
    ///
    /// # Errors
    /// As [`Runtime::call_with`](super::Runtime::call_with).
    pub async fn call(&self, id: &str, args: Payload, options: CallOptions) -> Result<Answer, CallError> {
        let entry = self.directory()?.find(id)?;
        let args = entry.refusing(executor::fit(args, &*entry.executor))?;
        entry.call(args, options).await
    }

    /// Starts a process, which outlives its caller and ends with the runtime.
    ///
    /// # Errors
    /// As [`Runtime::spawn`](super::Runtime::spawn).
    pub fn spawn(&self, id: &str, options: ProcessOptions) -> Result<Process, CallError> {
        self.programs.get().and_then(Weak::upgrade).ok_or_else(over)?.spawn(id, options)
    }

    fn directory(&self) -> Result<Arc<Directory>, CallError> {
        self.directory.upgrade().ok_or_else(over)
    }
}

impl std::fmt::Debug for WeakRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WeakRuntime").finish_non_exhaustive()
    }
}

fn over() -> CallError {
    CallError::new(ErrorKind::Unavailable, "the runtime is shutting down and makes no more calls")
}
