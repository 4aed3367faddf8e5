//! What a process is: a WebAssembly program that is spawned and runs until it exits.

use super::{FunctionId, Limits, SpecError, WasmSpec};

/// Everything that is needed to spawn a process.
#[derive(Debug, Clone)]
pub struct ProcessSpec {
    /// Its id, unique among the functions and processes of a runtime.
    pub id: FunctionId,
    /// Its code. The method takes no parameters: [`ProcessSpec::METHOD`] of a command, or any other such function. `reuse`
    /// has no meaning.
    pub code: WasmSpec,
    /// The bounds of one run. Without `max_execution`, it may run for ever.
    pub limits: Limits,
}

impl ProcessSpec {
    /// The method of commands: `run` of `wasi:cli/run`, which the `_start` of preview 1 programs becomes.
    pub const METHOD: &str = "run";

    /// Checks what types cannot.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn validate(&self) -> Result<(), SpecError> {
        self.limits.validate()?;
        self.code.validate()
    }
}
