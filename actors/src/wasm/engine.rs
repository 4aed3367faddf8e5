//! The engine: wasmtime's settings, the pool of instances, and what all functions of a runtime share.
//!
//! What is compiled with it is `prepare`'s business; this file knows no function.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
};

use tokio::sync::Semaphore;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, component::Linker};

use super::{
    cache::{CacheOptions, Compiled, DiskCache},
    files::OpenFiles,
    host::{GuestState, HostInterface},
    limits::TABLE_ELEMENTS_MAX,
    link,
    network::{HttpClient, NetworkOptions, SharedNetwork},
    survey::Surveys,
    ticker::Ticker,
};
use crate::{
    call::Functions,
    spec::{Capabilities, FunctionId, Limits, Network, Transport},
};

/// Memory maps that one live instance takes, at most, of what `vm.max_map_count` allows a process.
const MAPS_PER_INSTANCE: usize = 5;

/// Memory maps that are left for everything else: threads, libraries, compiled code.
const MAPS_RESERVED: usize = 4_000;

/// Instances of an engine for functions of an unusual profile.
const SECONDARY_INSTANCES_MAX: usize = 1_000;

/// Stacks that the pool holds for each instance whose guest may do several things at once: one for each of those things
/// that waits in the middle of a call. Most wait without a stack.
const STACKS_PER_CONCURRENT_INSTANCE: u32 = 4;

/// Tables that the pool holds for each memory. A component of several modules has more tables than memories.
const TABLES_PER_INSTANCE: u32 = 4;

/// Core instances that the pool allows for each component: a count, it reserves nothing.
const CORE_INSTANCES_PER_INSTANCE: u32 = 64;

/// Slots of the pool that are given back to the system together.
const SLOTS_CLEARED_TOGETHER: usize = 16;

/// Slots of the pool for each processor, 8 of those at least, beyond those of the instances that may live: what a thread
/// clears at a time is nobody's meanwhile, and whoever has a place must find a slot.
const SLOTS_BEING_CLEARED: usize = 2 * SLOTS_CLEARED_TOGETHER;

/// What a slot keeps of a memory between two instances.
const KEPT_BYTES: usize = 256 << 10;

/// Description of one component and its modules, in bytes. A bound only: it reserves nothing. Interpreters compiled to
/// WebAssembly need some hundred KiB.
const INSTANCE_DESCRIPTION_BYTES_MAX: usize = 32 << 20;

/// Stack for the host's own functions, above what the guest may use.
const HOST_STACK_BYTES: usize = 1536 << 10;

/// Address space that a memory without a pool has ahead of its size, so that growing it seldom moves it.
const ON_DEMAND_GROWTH_BYTES: u64 = 1 << 20;

/// Inaccessible address space behind a memory without a pool.
const ON_DEMAND_GUARD_BYTES: u64 = 64 << 10;

/// Settings of an [`Engine`].
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Where compiled code is kept between runs. Default is nowhere.
    pub cache: CacheOptions,
    /// Instances that live at once, over all functions; the next one waits. Default is 10,000. Lowered, with a line in
    /// the log, when the system's `vm.max_map_count` does not allow as many.
    pub instances_max: usize,
    /// Interfaces that the embedder provides, beside those of WASI. Default is none.
    pub hosts: Vec<HostInterface>,
    /// How guests look names up and whom they trust. Default is as the system does.
    pub network: NetworkOptions,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            cache: CacheOptions::Disabled,
            instances_max: 10_000,
            hosts: Vec::new(),
            network: NetworkOptions::default(),
        }
    }
}

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No instance may live.
    #[error("`instances_max` is 0; it must be 1 or more")]
    NoInstances,
    /// The WebAssembly engine refuses its settings.
    #[error("the WebAssembly engine cannot start: {0}")]
    Settings(String),
    /// The system gives no thread for the epoch ticker.
    #[error("the WebAssembly engine cannot start its clock: {0}")]
    Thread(#[from] std::io::Error),
}

/// Compiles, links and runs WebAssembly functions. A cheap handle: clones share everything.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    hosts: Vec<HostInterface>,
    /// What guests may call; none without a runtime.
    functions: Option<Weak<dyn Functions>>,
    network: Arc<SharedNetwork>,
    disk: DiskCache,
    open_files: Arc<OpenFiles>,
    surveys: Surveys,
    compiled: Compiled,
    instances_max: usize,
    /// Counts memories, of which an instance has one or more: what the system runs out of first.
    permits: Arc<Semaphore>,
    /// Made when first needed.
    by_profile: Mutex<BTreeMap<Profile, Arc<ProfileEngine>>>,
}

/// What functions need that wasmtime sets per engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Profile {
    /// The stack of a guest.
    pub(crate) stack_bytes: u64,
    /// Whether guests may do several things at once, as those of WASI 0.3 do. Where they may, every call is dearer.
    pub(crate) is_concurrent: bool,
}

impl Profile {
    /// What functions need that say nothing of their stack.
    fn usual() -> Self {
        Self { stack_bytes: Limits::default().max_stack_bytes, is_concurrent: false }
    }
}

/// A wasmtime engine, for functions of one profile.
pub(crate) struct ProfileEngine {
    // Before the engine, so that nothing ticks an engine that is gone.
    pub(crate) ticker: Ticker,
    pub(crate) engine: wasmtime::Engine,
    pub(crate) profile: Profile,
    /// Bounds the instances of this engine alone, whose pool may be smaller than all functions together.
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) instances_max: usize,
    linkers: Mutex<HashMap<(Capabilities, Transport), Linker<GuestState>>>,
}

impl Engine {
    /// An engine with these settings. Reserves address space for its instances, and no memory.
    ///
    /// # Errors
    /// When the options do not fit or the system refuses a thread. A cache or a pool that it refuses is a warning in the
    /// log; what else it refuses is an error of the functions that need it.
    pub fn new(options: EngineOptions) -> Result<Self, EngineError> {
        Self::made(options, None)
    }

    /// An engine whose guests can call functions.
    pub(crate) fn with_functions(options: EngineOptions, functions: Weak<dyn Functions>) -> Result<Self, EngineError> {
        Self::made(options, Some(functions))
    }

    /// The settings of wasmtime with which functions run that say nothing of their stack, and a pool of this many
    /// instances. For measuring what the tree adds to wasmtime alone.
    #[doc(hidden)]
    pub fn settings(instances_max: usize) -> Config {
        let profile = Profile::usual();
        let mut config = settings(profile);
        config.allocation_strategy(pool(profile, instances_max));
        config
    }

    fn made(options: EngineOptions, functions: Option<Weak<dyn Functions>>) -> Result<Self, EngineError> {
        if options.instances_max == 0 {
            return Err(EngineError::NoInstances);
        }
        let instances_max = within_map_count(options.instances_max.min(1_000_000), max_map_count());
        let shared = Shared {
            hosts: options.hosts,
            functions,
            network: Arc::new(SharedNetwork::new(options.network)),
            disk: DiskCache::open(&options.cache),
            open_files: Arc::new(OpenFiles::new()),
            surveys: Surveys::default(),
            compiled: Compiled::default(),
            instances_max,
            permits: Arc::new(Semaphore::new(instances_max)),
            by_profile: Mutex::default(),
        };
        let engine = Self(Arc::new(shared));
        // Its pool takes a while, in which functions can be read and checked. Who needs it meanwhile waits, and meets its
        // errors.
        let early = engine.clone();
        let making = thread::Builder::new().name("greenroom-engine".to_owned());
        making.spawn(move || early.for_profile(Profile::usual()).map(drop))?;
        Ok(engine)
    }

    /// What a function of another language sends HTTP requests with, to what its entry's `network.allow` lists.
    pub fn http_client(&self, function: &FunctionId, network: &Network) -> HttpClient {
        HttpClient::new(function, network, Arc::clone(&self.0.network))
    }

    /// Instances that may live at once, over all functions: the option, lowered to what the system allows.
    pub fn instances_max(&self) -> usize {
        self.0.instances_max
    }

    /// Instances that could be made now without waiting for others to end, counted by their memories.
    pub fn instances_available(&self) -> usize {
        self.0.permits.available_permits()
    }

    /// Waits until no instance is left, for example to see what guests wrote last. New ones wait meanwhile.
    pub(crate) async fn emptied(&self) {
        let all = u32::try_from(self.0.instances_max).unwrap_or(u32::MAX);
        // Nobody closes it; were it closed, nothing could live.
        drop(self.0.permits.acquire_many(all).await);
    }

    /// Components that were compiled, or loaded from the cache on disk, so far. Equal bytes count once.
    pub fn compilations(&self) -> usize {
        self.0.compiled.compilations()
    }

    /// Components that the cache on disk had, and components that it did not have, so far.
    pub fn cache_hits_and_misses(&self) -> (usize, usize) {
        self.0.disk.hits_and_misses()
    }

    pub(crate) fn hosts(&self) -> &[HostInterface] {
        &self.0.hosts
    }

    pub(crate) fn functions(&self) -> Option<&Weak<dyn Functions>> {
        self.0.functions.as_ref()
    }

    pub(super) fn network(&self) -> &Arc<SharedNetwork> {
        &self.0.network
    }

    pub(super) fn open_files(&self) -> &Arc<OpenFiles> {
        &self.0.open_files
    }

    pub(crate) fn permits(&self) -> &Arc<Semaphore> {
        &self.0.permits
    }

    pub(super) fn surveys(&self) -> &Surveys {
        &self.0.surveys
    }

    pub(crate) fn compiled(&self) -> (&Compiled, &DiskCache) {
        (&self.0.compiled, &self.0.disk)
    }

    /// The engine for functions of this profile.
    pub(crate) fn for_profile(&self, profile: Profile) -> Result<Arc<ProfileEngine>, EngineError> {
        let mut engines = self.0.by_profile.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = engines.get(&profile) {
            return Ok(Arc::clone(engine));
        }
        let instances_max = match profile == Profile::usual() {
            true => self.0.instances_max,
            false => self.0.instances_max.min(SECONDARY_INSTANCES_MAX),
        };
        let engine = Arc::new(ProfileEngine::new(profile, instances_max)?);
        engines.insert(profile, Arc::clone(&engine));
        Ok(engine)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("instances_max", &self.0.instances_max).finish_non_exhaustive()
    }
}

impl ProfileEngine {
    fn new(profile: Profile, instances_max: usize) -> Result<Self, EngineError> {
        let mut config = settings(profile);
        config.allocation_strategy(pool(profile, instances_max));
        let engine = wasmtime::Engine::new(&config).or_else(|error| {
            tracing::warn!(
                instances_max,
                "no pool of WebAssembly instances ({error:#}); memory is asked of the system for each instance, which \
                 is slower: raise the limit on address space (`ulimit -v`) or lower `instances_max`"
            );
            on_demand(&mut config);
            wasmtime::Engine::new(&config).map_err(|error| EngineError::Settings(format!("{error:#}")))
        })?;
        let ticking = engine.clone();
        Ok(Self {
            ticker: Ticker::start(move || ticking.increment_epoch())?,
            engine,
            profile,
            permits: Arc::new(Semaphore::new(instances_max)),
            instances_max,
            linkers: Mutex::default(),
        })
    }

    /// A linker with what these groups hold, and a transport needs. Linking takes a lock of the whole process, so there is
    /// one for each set of groups, and components clone it.
    pub(crate) fn linker(&self, granted: Capabilities, transport: Transport) -> wasmtime::Result<Linker<GuestState>> {
        let mut linkers = self.linkers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(linker) = linkers.get(&(granted, transport)) {
            return Ok(linker.clone());
        }
        let mut linker = Linker::new(&self.engine);
        link::provide(&mut linker, granted, transport)?;
        if self.profile.is_concurrent {
            link::p3::provide(&mut linker, granted, transport)?;
        }
        linkers.insert((granted, transport), linker.clone());
        Ok(linker)
    }
}

/// What compiling, caching and running share. One place, because a difference recompiles in silence.
fn settings(profile: Profile) -> Config {
    let stack_bytes = usize::try_from(profile.stack_bytes).unwrap_or(usize::MAX);
    let mut config = Config::new();
    config
        .concurrency_support(profile.is_concurrent)
        .wasm_component_model_async(profile.is_concurrent)
        .epoch_interruption(true)
        .parallel_compilation(true)
        .memory_init_cow(true)
        .max_wasm_stack(stack_bytes)
        .async_stack_size(stack_bytes.saturating_add(HOST_STACK_BYTES));
    config
}

fn pool(profile: Profile, instances_max: usize) -> InstanceAllocationStrategy {
    let processors = thread::available_parallelism().map_or(1, usize::from).max(8);
    let slots = instances_max.saturating_add(processors * SLOTS_BEING_CLEARED);
    let instances = u32::try_from(slots).unwrap_or(u32::MAX);
    let stacks = if profile.is_concurrent { STACKS_PER_CONCURRENT_INSTANCE } else { 1 };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES_PER_INSTANCE))
        .total_memories(instances)
        .total_tables(instances.saturating_mul(TABLES_PER_INSTANCE))
        .total_stacks(instances.saturating_mul(stacks))
        .total_gc_heaps(instances)
        .max_component_instance_size(INSTANCE_DESCRIPTION_BYTES_MAX)
        .max_core_instance_size(INSTANCE_DESCRIPTION_BYTES_MAX)
        .max_memories_per_module(16)
        .max_tables_per_module(16)
        .table_elements(TABLE_ELEMENTS_MAX)
        // What a slot keeps between two instances, so that small guests cost no page faults.
        .linear_memory_keep_resident(KEPT_BYTES)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(16 << 10)
        // Of a memory, the pages that were written, wherever they are: guests with a large stack or heap write few of
        // them. Where the system cannot tell, those at its beginning.
        .pagemap_scan(Enabled::Auto)
        .decommit_batch_size(SLOTS_CLEARED_TOGETHER);
    InstanceAllocationStrategy::Pooling(pool)
}

/// Settings for a system that refuses address space: without a pool, and without reserving for each memory all that it
/// could ever address. Accesses to memory are checked in code instead.
fn on_demand(config: &mut Config) {
    config
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .memory_reservation(0)
        .memory_reservation_for_growth(ON_DEMAND_GROWTH_BYTES)
        .memory_guard_size(ON_DEMAND_GUARD_BYTES)
        .guard_before_linear_memory(false)
        .gc_heap_reservation(0)
        .gc_heap_reservation_for_growth(ON_DEMAND_GROWTH_BYTES)
        .gc_heap_guard_size(ON_DEMAND_GUARD_BYTES);
}

/// Slots of the pool that an instance takes, in units of one memory and its share of tables.
pub(crate) fn weight(memories: u32, tables: u32) -> u32 {
    memories.max(tables.div_ceil(TABLES_PER_INSTANCE)).max(1)
}

/// How many memory maps this process may have, where the system says so.
fn max_map_count() -> Option<usize> {
    std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()
}

fn within_map_count(instances_max: usize, max_map_count: Option<usize>) -> usize {
    let Some(maps) = max_map_count else { return instances_max };
    let allowed = (maps.saturating_sub(MAPS_RESERVED) / MAPS_PER_INSTANCE).max(1);
    if instances_max > allowed {
        tracing::warn!(
            "instances_max is lowered from {instances_max} to {allowed}: vm.max_map_count is {maps}, and an instance \
             takes {MAPS_PER_INSTANCE} maps; raise it with `sysctl -w vm.max_map_count={}`",
            instances_max * MAPS_PER_INSTANCE + MAPS_RESERVED
        );
    }
    instances_max.min(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_stay_below_what_memory_maps_allow() {
        assert_eq!(within_map_count(10_000, Some(65_530)), 10_000);
        assert_eq!(within_map_count(20_000, Some(65_530)), 12_306);
        assert_eq!(within_map_count(20_000, Some(10)), 1);
        assert_eq!(within_map_count(20_000, None), 20_000);
    }

    #[test]
    fn an_instance_counts_by_what_it_takes_of_the_pool() {
        assert_eq!(weight(0, 0), 1);
        assert_eq!(weight(1, 4), 1);
        assert_eq!(weight(1, 5), 2);
        assert_eq!(weight(3, 1), 3);
    }

    #[test]
    fn functions_of_one_profile_share_an_engine() {
        let engine = Engine::new(EngineOptions { instances_max: 4, ..EngineOptions::default() }).unwrap();
        let of = |stack_bytes, is_concurrent| engine.for_profile(Profile { stack_bytes, is_concurrent }).unwrap();
        let (default, other) = (of(Limits::default().max_stack_bytes, false), of(64 << 10, false));
        assert!(!Arc::ptr_eq(&default, &other));
        assert!(Arc::ptr_eq(&other, &of(64 << 10, false)));
        assert!(!Arc::ptr_eq(&other, &of(64 << 10, true)));
    }
}
