//! Compiled code: on disk, and in memory, so that equal bytes are compiled once.
//!
//! The cache on disk holds machine code that later runs with the rights of this process: whoever may write to its
//! directory may do what this process may. Where the directory is by default is for the command line to decide; what is in
//! its files is the business of `files`.

mod files;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use self::files::Files;
use super::engine::Profile;

/// The SHA-256 of some bytes.
pub(crate) type Hash = [u8; 32];

/// Where compiled code is kept between runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CacheOptions {
    /// Nowhere: everything is compiled at each start.
    #[default]
    Disabled,
    /// In a directory, made when it does not exist. One that cannot be used is a warning in the log, never an error.
    Directory {
        /// The directory. Others must not be able to write to it: it holds machine code.
        path: PathBuf,
        /// How large it may become, in bytes. Beyond it, what was not used for longest goes.
        max_bytes: u64,
    },
}

impl CacheOptions {
    /// The bound that the command line uses when it is given none: 1 GiB.
    pub const MAX_BYTES_DEFAULT: u64 = 1 << 30;
}

/// The cache on disk, or what stands in for one that cannot be used.
pub(crate) struct DiskCache {
    files: Option<Files>,
    hits: AtomicUsize,
    misses: AtomicUsize,
}

impl DiskCache {
    pub(crate) fn open(options: &CacheOptions) -> Self {
        let files = match options {
            CacheOptions::Disabled => None,
            CacheOptions::Directory { path, max_bytes } => Files::open(path, *max_bytes)
                .inspect_err(|reason| {
                    tracing::warn!(
                        path = %path.display(),
                        "the cache of compiled code cannot be used ({reason}); everything is compiled at each start"
                    );
                })
                .ok(),
        };
        Self { files, hits: AtomicUsize::new(0), misses: AtomicUsize::new(0) }
    }

    /// Components found on disk, and components that were not.
    pub(crate) fn hits_and_misses(&self) -> (usize, usize) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    /// A component that this engine loads from the disk, or compiles and leaves there.
    ///
    /// # Errors
    /// What the compiler says.
    pub(crate) fn component(
        &self,
        engine: &wasmtime::Engine,
        bytes: &[u8],
        sha256: &Hash,
    ) -> wasmtime::Result<Component> {
        let Some(files) = &self.files else { return Component::from_binary(engine, bytes) };
        let place = files.place(engine, sha256);
        if let Some(component) = files.load(engine, &place) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("greenroom_cache_hits_total").increment(1);
            return Ok(component);
        }
        let component = Component::from_binary(engine, bytes)?;
        self.misses.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("greenroom_cache_misses_total").increment(1);
        if let Err(error) = files.keep(&place, &component) {
            tracing::warn!(path = %place.display(), "compiled code cannot be kept, and will be compiled again: {error:#}");
        }
        Ok(component)
    }
}

/// The hash by which compiled code is known.
pub(crate) fn hash(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// What tells compiled components apart: the hash of their bytes, the engine they were compiled for, and the pages that
/// their memory has ready for growing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) sha256: Hash,
    pub(crate) profile: Profile,
    pub(crate) headroom: u64,
}

/// The compiled components that functions use now. Concurrent preparations of the same bytes wait for one compilation.
#[derive(Default)]
pub(crate) struct Compiled {
    slots: Mutex<HashMap<Key, Arc<Mutex<Weak<Component>>>>>,
    compilations: AtomicUsize,
}

impl Compiled {
    /// The component of this key, compiled now when nothing uses it yet.
    ///
    /// # Errors
    /// What the compiler says.
    pub(crate) fn get_or_compile(
        &self,
        key: Key,
        compile: impl FnOnce() -> wasmtime::Result<Component>,
    ) -> wasmtime::Result<Arc<Component>> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            if !slots.contains_key(&key) {
                // A slot that somebody else holds is being compiled into; one that is locked is as well.
                slots.retain(|_, slot| {
                    Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|component| component.strong_count() > 0)
                });
            }
            Arc::clone(slots.entry(key).or_default())
        };
        let mut component = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(component) = component.upgrade() {
            return Ok(component);
        }
        let start = Instant::now();
        let compiled = compile();
        metrics::histogram!("greenroom_compile_seconds").record(start.elapsed().as_secs_f64());
        let compiled = Arc::new(compiled?);
        self.compilations.fetch_add(1, Ordering::Relaxed);
        *component = Arc::downgrade(&compiled);
        Ok(compiled)
    }

    /// How many components were compiled, or loaded from the cache on disk, so far.
    pub(crate) fn compilations(&self) -> usize {
        self.compilations.load(Ordering::Relaxed)
    }
}
