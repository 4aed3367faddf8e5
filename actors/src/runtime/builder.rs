//! Builds a runtime: prepares every function, then starts the tree.

use std::{fmt, sync::Arc};

use futures::{StreamExt, stream};
use ractor::{Actor, ActorCell};

use super::{Inner, Runtime};
use crate::{
    directory::Directory,
    dispatcher::Gate,
    executor::Executor,
    function::FunctionParts,
    metrics::FunctionMetrics,
    root::{Root, RootMessage},
    spec::{Code, FunctionId, FunctionSpec, SpecError},
    threads::GuestThreads,
    wasm::{CacheOptions, Engine, EngineError, EngineOptions, GuestState, HostInterface, NetworkOptions, PrepareError},
};

/// What a runtime is made of. Every part has a default but the functions.
#[derive(Default)]
pub struct RuntimeBuilder {
    name: Option<String>,
    functions: Vec<FunctionSpec>,
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
    /// Two functions have the same id.
    #[error("{id}: two functions have this id")]
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
        self.functions.push(spec);
        self
    }

    /// Adds functions.
    #[must_use]
    pub fn functions(mut self, specs: impl IntoIterator<Item = FunctionSpec>) -> Self {
        self.functions.extend(specs);
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
        let Self { name, functions, engine, guest_threads } = self;
        let threads = guest_threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
        let blocking = tokio::runtime::Handle::current();
        let engine = blocking.spawn_blocking(move || Engine::new(engine)).await.map_err(|_| interrupted())??;
        let prepared = prepare(&engine, functions, threads).await?;
        let threads = Arc::new(GuestThreads::start(threads)?);
        let directory = Arc::new(Directory::default());
        let name: Arc<str> = name.unwrap_or_else(|| "greenroom".to_owned()).into();
        let linked = supervisor.is_some();
        let root_name = Some(name.to_string());
        let root = match supervisor {
            Some(supervisor) => Root::spawn_linked(root_name, Root, (), supervisor).await,
            None => Root::spawn(root_name, Root, ()).await,
        };
        let (root, _) = root.map_err(|error| StartError::Actor(error.to_string()))?;
        let inner = Inner { root, linked, name, directory, engine, threads };
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
    async fn add(&self, spec: FunctionSpec, executor: Arc<dyn Executor>) -> Result<(), StartError> {
        let parts = FunctionParts {
            gate: Arc::new(Gate::new(spec.id.clone(), &spec.pool)),
            metrics: Arc::new(FunctionMetrics::new(spec.id.as_str())),
            id: spec.id,
            runtime: self.name.clone(),
            pool: spec.pool,
            limits: spec.limits,
            executor,
            directory: self.directory.clone(),
            threads: self.threads.clone(),
        };
        let added = ractor::call!(self.root, RootMessage::Add, Box::new(parts));
        added.map_err(|error| error.to_string()).and_then(|added| added).map_err(StartError::Actor)
    }
}

/// Reads, checks, compiles and links every function, several at a time. One that fails stops none of the others.
async fn prepare(
    engine: &Engine,
    functions: Vec<FunctionSpec>,
    threads: usize,
) -> Result<Vec<(FunctionSpec, Arc<dyn Executor>)>, StartError> {
    let mut seen = std::collections::HashSet::new();
    let mut faults = Vec::new();
    let unique = functions.into_iter().filter(|spec| {
        let new = seen.insert(spec.id.clone());
        if !new {
            faults.push(FunctionFault::Duplicate { id: spec.id.clone() });
        }
        new
    });
    let unique: Vec<_> = unique.collect();
    let jobs = unique.into_iter().map(|spec| {
        let engine = engine.clone();
        tokio::task::spawn_blocking(move || prepare_one(&engine, &spec).map(|executor| (spec, executor)))
    });
    let mut done = stream::iter(jobs).buffered(threads.max(1));
    let mut prepared = Vec::new();
    while let Some(job) = done.next().await {
        match job {
            Ok(Ok(function)) => prepared.push(function),
            Ok(Err(found)) => faults.extend(found),
            Err(_) => return Err(interrupted()),
        }
    }
    if faults.is_empty() { Ok(prepared) } else { Err(StartError::Functions(faults)) }
}

fn prepare_one(engine: &Engine, spec: &FunctionSpec) -> Result<Arc<dyn Executor>, Vec<FunctionFault>> {
    spec.validate().map_err(|fault| vec![FunctionFault::Spec { id: spec.id.clone(), fault }])?;
    match &spec.code {
        Code::Custom(executor) => Ok(executor.clone()),
        Code::Wasm(wasm) => {
            let prepared = engine.prepare(&spec.id, wasm, &spec.limits);
            let prepared = prepared.map_err(|faults| {
                let with_id = |fault| FunctionFault::Prepare { id: spec.id.clone(), fault };
                faults.into_iter().map(with_id).collect::<Vec<_>>()
            })?;
            for warning in &prepared.warnings {
                tracing::warn!(function = %spec.id, field = warning.field, "{}", warning.message);
            }
            Ok(prepared.function)
        }
    }
}

fn interrupted() -> StartError {
    StartError::Actor("preparing the functions was interrupted".to_owned())
}
