//! Commands: a program that is run once, with streams and arguments of its own, and exits with a code.

use std::sync::Arc;

use wasmtime::component::Val;

use super::{
    WasmFunction,
    host::GuestState,
    instance::WasmInstance,
    pipe::{Stdio, Written},
    trap,
    value::to_json,
};
use crate::call::{CallError, Context, ErrorKind};

/// A program that is ready to run.
pub(crate) struct Command {
    instance: WasmInstance,
    written: Written,
}

impl WasmFunction {
    /// Makes the program ready: `arguments` follow those of its entry.
    pub(crate) async fn command(&self, arguments: Vec<String>, stdio: Stdio) -> Result<Command, CallError> {
        let (state, written) = GuestState::of_command(&self.facts.world, arguments, stdio)?;
        Ok(Command { instance: self.instantiate(state).await?, written })
    }
}

impl Command {
    /// Linear memory in use, in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.instance.memory()
    }

    /// Runs the program to its end, and until what it wrote is where it should go. Gives back its exit code.
    ///
    /// # Errors
    /// Why it came to no end of its own.
    pub(crate) async fn run(mut self, context: &Arc<Context>) -> Result<i32, CallError> {
        let code = match self.instance.invoke(&[], context).await {
            Ok(Some(Val::Result(Err(why)))) => {
                if let Some(why) = why {
                    let why = to_json(Some(&why), None);
                    let function = self.instance.id();
                    tracing::info!(target: "greenroom::guest", %function, "the program failed: {why}");
                }
                Ok(1)
            }
            Ok(_) => Ok(0),
            Err(error) => trap::exit_status(&error).ok_or_else(|| self.instance.call_error(&error)),
        };
        let function = self.instance.id().clone();
        drop(self.instance);
        let lost = self.written.all().await.map_err(|error| {
            CallError::new(ErrorKind::Internal, format!("the output of `{function}` could not be written: {error}"))
        });
        code.and_then(|code| lost.map(|()| code))
    }
}
