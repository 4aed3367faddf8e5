//! Builds a runtime: prepares every function, then starts the tree.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak, atomic::AtomicBool},
};

use ractor::{Actor, ActorCell};

use super::{Inner, Runtime, WeakRuntime};
use crate::{
    call::Functions,
    directory::Directory,
    dispatcher::Gate,
    executor::Executor,
    function::FunctionParts,
    metrics::FunctionMetrics,
    process::{Program, Programs},
    root::{Root, RootMessage},
    spec::{Code, FunctionId, FunctionSpec, ProcessSpec, SpecError},
    threads::GuestThreads,
    wasm::{
        CacheOptions, Engine, EngineError, EngineOptions, GuestState, HostInterface, NetworkOptions, PrepareError,
        Prepared, WasmFunction,
    },
};

/// What a runtime is made of. Every part has a default but the functions.
#[derive(Default)]
pub struct RuntimeBuilder {
    name: Option<String>,
    jobs: Vec<Job>,
    engine: EngineOptions,
    guest_threads: Option<usize>,
}

/// One reason why a function cannot run.
#[derive(Debug, thiserror::Error)]
pub enum FunctionFault {
    /// The spec contradicts itself.
    #[error("{id}: {fault}")]
    Spec {
        /// The function.
        id: FunctionId,
        /// What does not fit.
        fault: SpecError,
    },
    /// Its code cannot be read, checked, compiled or linked.
    #[error("{id}: {fault}")]
    Prepare {
        /// The function.
        id: FunctionId,
        /// What is wrong.
        fault: PrepareError,
    },
    /// Two functions or processes have the same id.
    #[error("{id}: two entries have this id")]
    Duplicate {
        /// The id.
        id: FunctionId,
    },
}

/// Why a runtime cannot start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Functions that cannot run: all of them, not the first.
    #[error("{}", Lines(.0))]
    Functions(Vec<FunctionFault>),
    /// The engine cannot be made.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The guest threads cannot be started.
    #[error("the guest threads cannot be started: {0}")]
    Threads(#[from] std::io::Error),
    /// An actor cannot be started.
    #[error("{0}; is another runtime of this name running? `RuntimeBuilder::name` gives this one its own")]
    Actor(String),
}

struct Lines<'a>(&'a [FunctionFault]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl RuntimeBuilder {
    /// Adds a function.
    #[must_use]
    pub fn function(mut self, spec: FunctionSpec) -> Self {
        self.jobs.push(Job::Function(Box::new(spec)));
        self
    }

    /// Adds functions.
    #[must_use]
    pub fn functions(mut self, specs: impl IntoIterator<Item = FunctionSpec>) -> Self {
        self.jobs.extend(specs.into_iter().map(|spec| Job::Function(Box::new(spec))));
        self
    }

    /// Adds a process that can be spawned.
    #[must_use]
    pub fn process(mut self, spec: ProcessSpec) -> Self {
        self.jobs.push(Job::Process(Box::new(spec)));
        self
    }

    /// Adds processes that can be spawned.
    #[must_use]
    pub fn processes(mut self, specs: impl IntoIterator<Item = ProcessSpec>) -> Self {
        self.jobs.extend(specs.into_iter().map(|spec| Job::Process(Box::new(spec))));
        self
    }

    /// The name with which the names of dispatchers begin in ractor's registry. Default is `greenroom`; two runtimes in
    /// one process need two names.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Provides an interface of your own to guests: `ns:pkg/iface`, with or without a version.
    #[must_use]
    pub fn host(
        mut self,
        interface: impl Into<String>,
        link: impl Fn(&mut wasmtime::component::LinkerInstance<'_, GuestState>) -> wasmtime::Result<()>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.engine.hosts.push(HostInterface { name: interface.into(), link: Arc::new(link) });
        self
    }

    /// Where compiled code is kept on disk. Default is nowhere.
    #[must_use]
    pub fn cache(mut self, cache: CacheOptions) -> Self {
        self.engine.cache = cache;
        self
    }

    /// How guests look names up, and whom their `https` requests trust. Default is as the system does. What each may
    /// reach is its spec's business.
    #[must_use]
    pub fn network(mut self, network: NetworkOptions) -> Self {
        self.engine.network = network;
        self
    }

    /// Live instances over all functions, at most. Default is 10,000. Calls wait for a place.
    #[must_use]
    pub fn instances_max(mut self, instances: usize) -> Self {
        self.engine.instances_max = instances;
        self
    }

    /// Threads that run guests. Default is one per processor.
    #[must_use]
    pub fn guest_threads(mut self, threads: usize) -> Self {
        self.guest_threads = Some(threads.max(1));
        self
    }

    /// Starts the tree.
    ///
    /// # Errors
    /// Everything that keeps functions from running, or the engine or the actors from starting.
    pub async fn start(self) -> Result<Runtime, StartError> {
        self.start_under(None).await
    }

    /// Starts the tree under a supervisor of yours, which owns it: the tree ends with the supervisor, and not when the
    /// last [`Runtime`] is dropped. When the root ends, the supervisor hears of it as of any child.
    ///
    /// # Errors
    /// As [`RuntimeBuilder::start`].
    pub async fn start_linked(self, supervisor: ActorCell) -> Result<Runtime, StartError> {
        self.start_under(Some(supervisor)).await
    }

    async fn start_under(self, supervisor: Option<ActorCell>) -> Result<Runtime, StartError> {
        let Self { name, jobs, engine, guest_threads } = self;
        let threads = guest_threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
        let blocking = tokio::runtime::Handle::current();
        let directory = Arc::new(Directory::default());
        // Weak, because functions in the directory hold the engine.
        let callable: Weak<dyn Functions> = Arc::downgrade(&(directory.clone() as Arc<dyn Functions>));
        let made = blocking.spawn_blocking(move || Engine::with_functions(engine, callable));
        let engine = made.await.map_err(|_| interrupted())??;
        let weak = WeakRuntime::new(&directory, &engine);
        let (prepared, programs) = prepare(&engine, &weak, jobs, threads).await?;
        let threads = Arc::new(GuestThreads::start(threads)?);
        let name: Arc<str> = name.unwrap_or_else(|| "greenroom".to_owned()).into();
        let linked = supervisor.is_some();
        let root_name = Some(name.to_string());
        let root = match supervisor {
            Some(supervisor) => Root::spawn_linked(root_name, Root, (), supervisor).await,
            None => Root::spawn(root_name, Root, ()).await,
        };
        let (root, _) = root.map_err(|error| StartError::Actor(error.to_string()))?;
        let programs = Arc::new(Programs {
            by_id: programs.into_iter().map(|program| (program.id.clone(), Arc::new(program))).collect(),
            directory: directory.clone(),
            threads: threads.clone(),
            root: root.get_cell(),
            closed: AtomicBool::new(false),
        });
        weak.started(&programs);
        let inner = Inner { root, linked, name, directory, programs, engine, threads };
        for (spec, executor) in prepared {
            if let Err(error) = inner.add(spec, executor).await {
                inner.root.stop(None);
                return Err(error);
            }
        }
        Ok(Runtime(Arc::new(inner)))
    }
}

impl Inner {
    async fn add(&self, spec: Box<FunctionSpec>, executor: Arc<dyn Executor>) -> Result<(), StartError> {
        let metrics = Arc::new(FunctionMetrics::new(spec.id.as_str()));
        let parts = FunctionParts {
            gate: Arc::new(Gate::new(spec.id.clone(), &spec.pool, metrics.clone())),
            metrics,
            id: spec.id,
            runtime: self.name.clone(),
            pool: spec.pool,
            limits: spec.limits,
            executor,
            directory: self.directory.clone(),
            threads: self.threads.clone(),
        };
        let added = ractor::call!(self.root, RootMessage::Add, Arc::new(parts));
        added.map_err(|error| error.to_string()).and_then(|added| added).map_err(StartError::Actor)
    }
}

/// What was asked for, before and after it is prepared. Boxed, because there may be thousands: a list that grows leaves
/// its old room behind.
enum Job {
    Function(Box<FunctionSpec>),
    Process(Box<ProcessSpec>),
}

enum Done {
    Function(Box<FunctionSpec>, Arc<dyn Executor>),
    Process(Program),
}

type Ready = (Vec<(Box<FunctionSpec>, Arc<dyn Executor>)>, Vec<Program>);

/// Reads, checks, compiles and links everything, several at a time. One that fails stops none of the others.
async fn prepare(
    engine: &Engine,
    runtime: &WeakRuntime,
    mut jobs: Vec<Job>,
    threads: usize,
) -> Result<Ready, StartError> {
    let mut seen = std::collections::HashSet::new();
    let mut faults = Vec::new();
    jobs.retain(|job| {
        let new = seen.insert(job.id().clone());
        if !new {
            faults.push(FunctionFault::Duplicate { id: job.id().clone() });
        }
        new
    });
    let jobs = Arc::new(Mutex::new(jobs.into_iter().enumerate()));
    // So many threads and no more: each leaves some memory behind that it does not use.
    let working = (0..threads.max(1)).map(|_| {
        let (jobs, engine, runtime) = (Arc::clone(&jobs), engine.clone(), runtime.clone());
        tokio::task::spawn_blocking(move || {
            let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
            std::iter::from_fn(next).map(|(index, job)| (index, job.prepare(&engine, &runtime))).collect::<Vec<_>>()
        })
    });
    let mut done = Vec::new();
    for worked in futures::future::join_all(working).await {
        done.extend(worked.map_err(|_| interrupted())?);
    }
    done.sort_unstable_by_key(|(index, _)| *index);
    let (mut ready, mut programs) = (Vec::new(), Vec::new());
    for (_, job) in done {
        match job {
            Ok(Done::Function(spec, executor)) => ready.push((spec, executor)),
            Ok(Done::Process(program)) => programs.push(program),
            Err(found) => faults.extend(found),
        }
    }
    if faults.is_empty() { Ok((ready, programs)) } else { Err(StartError::Functions(faults)) }
}

impl Job {
    fn id(&self) -> &FunctionId {
        match self {
            Self::Function(spec) => &spec.id,
            Self::Process(spec) => &spec.id,
        }
    }

    fn prepare(self, engine: &Engine, runtime: &WeakRuntime) -> Result<Done, Vec<FunctionFault>> {
        match self {
            Self::Function(spec) => {
                valid(&spec.id, spec.validate())?;
                let executor: Arc<dyn Executor> = match &spec.code {
                    Code::Custom(executor) => executor.clone(),
                    Code::Language(code) => faults(&spec.id, code.prepare(&spec.id, &spec.limits, runtime))?,
                    Code::Wasm(wasm) => compiled(&spec.id, engine.prepare(&spec.id, wasm, &spec.limits))?,
                };
                Ok(Done::Function(spec, executor))
            }
            Self::Process(spec) => {
                valid(&spec.id, spec.validate())?;
                let executor = compiled(&spec.id, engine.prepare_process(&spec))?;
                let metrics = Arc::new(FunctionMetrics::new(spec.id.as_str()));
                Ok(Done::Process(Program { id: spec.id, limits: spec.limits, executor, metrics }))
            }
        }
    }
}

fn valid(id: &FunctionId, outcome: Result<(), SpecError>) -> Result<(), Vec<FunctionFault>> {
    outcome.map_err(|fault| vec![FunctionFault::Spec { id: id.clone(), fault }])
}

fn compiled(
    id: &FunctionId,
    prepared: Result<Prepared, Vec<PrepareError>>,
) -> Result<Arc<WasmFunction>, Vec<FunctionFault>> {
    let prepared = faults(id, prepared)?;
    for warning in &prepared.warnings {
        tracing::warn!(function = %id, field = warning.field, "{}", warning.message);
    }
    Ok(prepared.function)
}

fn faults<T>(id: &FunctionId, prepared: Result<T, Vec<PrepareError>>) -> Result<T, Vec<FunctionFault>> {
    let with_id = |fault| FunctionFault::Prepare { id: id.clone(), fault };
    prepared.map_err(|faults| faults.into_iter().map(with_id).collect())
}

fn interrupted() -> StartError {
    StartError::Actor("preparing the functions was interrupted".to_owned())
}
