//! The bounds of one call and one instance. Each is enforced where its doc says, and named in its error.

use std::time::Duration;

use super::SpecError;

/// The bounds of one call and one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long a call may run from the moment a worker starts it. Default is none: only the caller's own timeout ends it.
    pub max_execution: Option<Duration>,
    /// Linear memory of one instance, in bytes, over all its memories. Beyond it the guest sees a failed `memory.grow`.
    /// Default is 256 MiB.
    pub max_memory_bytes: u64,
    /// Stack of WebAssembly frames, in bytes. Beyond it the call traps. Default is 512 KiB.
    pub max_stack_bytes: u64,
    /// Size of a result, in bytes. A larger one fails the call. Default is 64 MiB.
    pub max_result_bytes: u64,
    /// Size of the module or component, in bytes, before it is compiled. Default is 256 MiB.
    pub max_module_bytes: u64,
}

impl Limits {
    /// How long making an instance may take when `max_execution` says nothing.
    pub const MAKE_MAX: Duration = Duration::from_secs(10);

    /// How long making one instance may take.
    pub fn make_max(&self) -> Duration {
        self.max_execution.unwrap_or(Self::MAKE_MAX)
    }

    /// Checks each bound.
    ///
    /// # Errors
    /// The first bound that is zero or beyond what the engine can do.
    pub fn validate(&self) -> Result<(), SpecError> {
        const KIB: u64 = 1 << 10;
        const GIB: u64 = 1 << 30;
        let within = |field, found, min, max| {
            if (min..=max).contains(&found) { Ok(()) } else { Err(SpecError::Limit { field, found, min, max }) }
        };
        if let Some(time) = self.max_execution {
            let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            within("max_execution_ms", millis, 1, 7 * 24 * 3600 * 1000)?;
        }
        within("max_memory_bytes", self.max_memory_bytes, 64 * KIB, 4 * GIB)?;
        within("max_stack_bytes", self.max_stack_bytes, 16 * KIB, 64 << 20)?;
        within("max_result_bytes", self.max_result_bytes, 1, 4 * GIB)?;
        within("max_module_bytes", self.max_module_bytes, 8, 4 * GIB)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_execution: None,
            max_memory_bytes: 256 << 20,
            max_stack_bytes: 512 << 10,
            max_result_bytes: 64 << 20,
            max_module_bytes: 256 << 20,
        }
    }
}
