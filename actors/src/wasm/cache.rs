//! Compiled code: on disk, by wasmtime's own cache, and in memory, so that equal bytes are compiled once.
//!
//! The cache on disk holds machine code that later runs with the rights of this process: whoever may write to its
//! directory may do what this process may. Where the directory is by default is for the command line to decide.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use wasmtime::{Cache, CacheConfig, component::Component};

use super::engine::Profile;

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
    cache: Option<Cache>,
    /// Components that were asked of the cache; each becomes a hit or a miss.
    asked: AtomicUsize,
    hits_seen: AtomicUsize,
    misses_seen: AtomicUsize,
    /// Whether it once did not count in time, as when it cannot write any more.
    is_behind: AtomicBool,
}

/// How long a compilation waits for the cache to have counted it. Waited for in vain once at most.
const COUNT_WAIT_MAX: Duration = Duration::from_secs(1);

impl DiskCache {
    pub(crate) fn open(options: &CacheOptions) -> Self {
        let cache = match options {
            CacheOptions::Disabled => None,
            CacheOptions::Directory { path, max_bytes } => open(path, *max_bytes)
                .inspect_err(|reason| {
                    tracing::warn!(
                        path = %path.display(),
                        "the cache of compiled code cannot be used ({reason}); everything is compiled at each start"
                    );
                })
                .ok(),
        };
        let zero = AtomicUsize::default;
        Self { cache, asked: zero(), hits_seen: zero(), misses_seen: zero(), is_behind: AtomicBool::new(false) }
    }

    /// What wasmtime is configured with.
    pub(crate) fn for_config(&self) -> Option<Cache> {
        self.cache.clone()
    }

    /// Modules found on disk, and modules that were not.
    pub(crate) fn hits_and_misses(&self) -> (usize, usize) {
        self.cache.as_ref().map_or((0, 0), |cache| (cache.cache_hits(), cache.cache_misses()))
    }

    /// Adds to the metrics that one more component was asked of the cache.
    fn count(&self) {
        if self.cache.is_none() {
            return;
        }
        // The cache counts on a thread of its own, which is a moment behind, and drops what it has no time for.
        let asked = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let start = Instant::now();
        let (hits, misses) = loop {
            let (hits, misses) = self.hits_and_misses();
            if hits + misses >= asked {
                break (hits, misses);
            }
            if self.is_behind.load(Ordering::Relaxed) || start.elapsed() > COUNT_WAIT_MAX {
                self.is_behind.store(true, Ordering::Relaxed);
                break (hits, misses);
            }
            thread::park_timeout(Duration::from_millis(1));
        };
        let since = |seen: &AtomicUsize, now: usize| now.saturating_sub(seen.fetch_max(now, Ordering::Relaxed)) as u64;
        metrics::counter!("greenroom_cache_hits_total").increment(since(&self.hits_seen, hits));
        metrics::counter!("greenroom_cache_misses_total").increment(since(&self.misses_seen, misses));
    }
}

fn open(path: &Path, max_bytes: u64) -> Result<Cache, String> {
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    make_private(&path).map_err(|error| error.to_string())?;
    // wasmtime writes nothing before the first compilation and then only logs failures at a low level: try it here.
    let probe = path.join(format!(".probe-{}", std::process::id()));
    fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(|error| error.to_string())?;
    let mut config = CacheConfig::new();
    config.with_directory(path).with_files_total_size_soft_limit(max_bytes);
    Cache::new(config).map_err(|error| format!("{error:#}"))
}

/// What is in the cache is machine code that is loaded and run: whoever may write it, runs what they like.
fn warn_if_shared(path: &Path) {
    #[cfg(unix)]
    if let Ok(metadata) = fs::metadata(path)
        && std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o022 != 0
    {
        tracing::warn!(
            path = %path.display(),
            "others may write to the cache of compiled code, and so run code of theirs here; `chmod go-w` it"
        );
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        warn_if_shared(path);
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// What tells compiled components apart: their bytes, the engine they were compiled for, and the pages that their memory
/// has ready for growing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    sha256: [u8; 32],
    profile: Profile,
    headroom: u64,
}

impl Key {
    pub(crate) fn new(component: &[u8], profile: Profile, headroom: u64) -> Self {
        Self { sha256: Sha256::digest(component).into(), profile, headroom }
    }
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
        disk: &DiskCache,
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
        disk.count();
        self.compilations.fetch_add(1, Ordering::Relaxed);
        *component = Arc::downgrade(&compiled);
        Ok(compiled)
    }

    /// How many components were compiled, or loaded from the cache on disk, so far.
    pub(crate) fn compilations(&self) -> usize {
        self.compilations.load(Ordering::Relaxed)
    }
}
