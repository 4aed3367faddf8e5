//! The bounds of a store: linear memory, tables, handles, and what a guest may hand to the host at once.
//!
//! How long a guest runs is bounded elsewhere, by whoever awaits its future.

use wasmtime::{ResourceLimiter, component::Val};

use crate::spec::Limits;

/// Elements that one table may have.
pub(crate) const TABLE_ELEMENTS_MAX: usize = 100_000;

/// Handles to resources of the host that one instance may hold at once: streams, pollables, files, errors. A pollable of
/// a clock takes two.
pub(crate) const HANDLES_MAX: usize = 16_384;

/// Files and directories that one instance may have open at once, beside its mounts.
pub(crate) const FILES_MAX: usize = 256;

/// Files and directories that all instances of an engine may have open at once, however many the process may have.
pub(crate) const ALL_FILES_MAX: usize = 65_536;

/// Files that a process may have open, where the system does not say.
pub(crate) const PROCESS_FILES_ASSUMED: usize = 1_024;

/// Streams of files that one instance may have open at once. Each may hold 64 KiB that are read ahead or not yet written.
pub(crate) const FILE_STREAMS_MAX: usize = 256;

/// Directories that one instance may be reading at once. Each holds the names of all that is in it.
pub(crate) const DIRECTORY_STREAMS_MAX: usize = 64;

/// Random bytes that a guest may ask for at once. They are made in one go, which no deadline can interrupt.
pub(crate) const RANDOM_BYTES_MAX: u64 = 16 << 20;

/// What a guest may always hand to the host at once, however small its results must be: enough for writes to streams
/// and files.
const HOST_CALL_BYTES_MIN: usize = 1 << 20;

/// Host memory that lifting one result, or the arguments of one host call, may take. A value that the guest lays out
/// in one byte takes a whole [`Val`] on this side.
pub(crate) fn host_call_bytes_max(limits: &Limits) -> usize {
    let result = usize::try_from(limits.max_result_bytes).unwrap_or(usize::MAX);
    result.saturating_mul(size_of::<Val>()).max(HOST_CALL_BYTES_MIN)
}

/// Counts and bounds the memory of one store, over all its linear memories.
#[derive(Debug)]
pub(crate) struct Limiter {
    bytes_max: usize,
    bytes: usize,
    /// The growth that was allowed last, taken back when the system cannot provide it.
    pending: usize,
    /// What the guest asked for in total when it was last refused.
    refused: Option<usize>,
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        let bytes_max = usize::try_from(limits.max_memory_bytes).unwrap_or(usize::MAX);
        Self { bytes_max, bytes: 0, pending: 0, refused: None }
    }

    /// Linear memory in use, in bytes. Memories never shrink: this is also the most that was in use.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What the guest asked for in total when it was last refused.
    pub(crate) fn refused(&self) -> Option<usize> {
        self.refused
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        let total = self.bytes.saturating_add(growth);
        if total > self.bytes_max {
            self.pending = 0;
            self.refused = Some(total);
            return Ok(false);
        }
        self.pending = growth;
        self.bytes = total;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.bytes = self.bytes.saturating_sub(std::mem::take(&mut self.pending));
        Ok(())
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(bytes_max: u64) -> Limiter {
        Limiter::new(&Limits { max_memory_bytes: bytes_max, ..Limits::default() })
    }

    #[test]
    fn all_memories_of_a_store_share_one_bound() {
        let mut limiter = limiter(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(!limiter.memory_growing(0, 41, None).unwrap());
        assert_eq!(limiter.refused(), Some(101));
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert_eq!(limiter.bytes(), 100);
    }

    #[test]
    fn growth_that_the_system_refuses_is_not_counted() {
        let mut limiter = limiter(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(60, 100, None).unwrap());
        limiter.memory_grow_failed(wasmtime::format_err!("no memory")).unwrap();
        assert_eq!(limiter.bytes(), 60);
        assert!(!limiter.memory_growing(60, 101, None).unwrap());
        limiter.memory_grow_failed(wasmtime::format_err!("refused")).unwrap();
        assert_eq!(limiter.bytes(), 60);
    }
}
