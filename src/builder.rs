//! A runtime from a registry folder, from specs built in Rust, or from both. The tree itself is `greenroom-actors`.

use std::{ops::Deref, path::PathBuf, sync::Arc};

use greenroom_actors::{
    FunctionFault, RuntimeBuilder,
    ractor::ActorCell,
    spec::{FunctionId, FunctionSpec, ProcessSpec},
    wasm::{CacheOptions, GuestState, NetworkOptions},
    wasmtime::{self, component::LinkerInstance},
};

use crate::registry::{Diagnostics, LoadOptions, Registry, Severity};

/// A running tree of functions; everything that [`greenroom_actors::Runtime`] can do, and the registry it came from.
#[derive(Clone, Debug)]
pub struct Runtime {
    tree: greenroom_actors::Runtime,
    registry: Option<Arc<Registry>>,
}

impl Runtime {
    /// What to run, and how.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The registry that was loaded; `None` when every function was built in Rust. Its
    /// [environment](Registry::environment) holds the variables of the functions.
    pub fn registry(&self) -> Option<&Registry> {
        self.registry.as_deref()
    }
}

impl Deref for Runtime {
    type Target = greenroom_actors::Runtime;

    fn deref(&self) -> &Self::Target {
        &self.tree
    }
}

/// Why a runtime cannot start. Nothing is left running.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Everything that is wrong with the registry and its functions.
    #[error("{0}")]
    Registry(Diagnostics),
    /// What keeps the tree from starting.
    #[error(transparent)]
    Tree(#[from] greenroom_actors::StartError),
    /// The thread that read the registry was interrupted.
    #[error("reading the registry was interrupted")]
    Interrupted,
}

/// What a runtime is made of. Every part has a default; a runtime without functions is allowed, and idle.
#[derive(Default)]
pub struct Builder {
    tree: RuntimeBuilder,
    registry: Option<Origin>,
    load: LoadOptions,
    only: Option<Vec<String>>,
}

/// Where the registry comes from.
enum Origin {
    Folder(PathBuf),
    Loaded(Box<Registry>),
}

impl Builder {
    /// Loads a registry folder at the start.
    #[must_use]
    pub fn registry(mut self, root: impl Into<PathBuf>) -> Self {
        self.registry = Some(Origin::Folder(root.into()));
        self
    }

    /// Takes a registry that was loaded before, in place of a folder. Its warnings are known to whoever loaded it, and
    /// not logged again.
    #[must_use]
    pub fn loaded(mut self, registry: Registry) -> Self {
        self.registry = Some(Origin::Loaded(Box::new(registry)));
        self
    }

    /// What loading the registry accepts.
    #[must_use]
    pub fn load_options(mut self, options: LoadOptions) -> Self {
        self.load = options;
        self
    }

    /// Starts only these functions of the registry and lets only these processes be spawned, and compiles nothing else.
    /// Errors of other entries' code are then not met; those of the registry files themselves are. Default is all.
    #[must_use]
    pub fn only(mut self, ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.only = Some(ids.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a function built in Rust.
    #[must_use]
    pub fn function(mut self, spec: FunctionSpec) -> Self {
        self.tree = self.tree.function(spec);
        self
    }

    /// Adds a process built in Rust, which can be spawned.
    #[must_use]
    pub fn process(mut self, spec: ProcessSpec) -> Self {
        self.tree = self.tree.process(spec);
        self
    }

    /// The name with which the names of dispatchers begin in ractor's registry. Default is `greenroom`; two runtimes in
    /// one process need two names.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.tree = self.tree.name(name);
        self
    }

    /// Provides an interface of your own to guests: `ns:pkg/iface`, with or without a version.
    #[must_use]
    pub fn host(
        mut self,
        interface: impl Into<String>,
        link: impl Fn(&mut LinkerInstance<'_, GuestState>) -> wasmtime::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.tree = self.tree.host(interface, link);
        self
    }

    /// How guests look names up, and whom their `https` requests trust. Default is as the system does; what each guest may
    /// reach is in its entry's `wasi.network.allow`.
    #[must_use]
    pub fn network(mut self, network: NetworkOptions) -> Self {
        self.tree = self.tree.network(network);
        self
    }

    /// Where compiled code is kept on disk. Default is nowhere.
    #[must_use]
    pub fn cache(mut self, cache: CacheOptions) -> Self {
        self.tree = self.tree.cache(cache);
        self
    }

    /// Live WebAssembly instances over all functions, at most. Default is 10,000. Calls wait for a place.
    #[must_use]
    pub fn instances_max(mut self, instances: usize) -> Self {
        self.tree = self.tree.instances_max(instances);
        self
    }

    /// Threads that run guests. Default is one per processor.
    #[must_use]
    pub fn guest_threads(mut self, threads: usize) -> Self {
        self.tree = self.tree.guest_threads(threads);
        self
    }

    /// Loads, compiles, and starts the tree.
    ///
    /// # Errors
    /// Everything that is wrong with the registry and its functions, or what keeps the tree from starting.
    pub async fn start(self) -> Result<Runtime, StartError> {
        self.start_under(None).await
    }

    /// Starts the tree under a supervisor of yours, which owns it: the tree ends with the supervisor, and not when the
    /// last [`Runtime`] is dropped. When the root ends, the supervisor hears of it as of any child.
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub async fn start_linked(self, supervisor: ActorCell) -> Result<Runtime, StartError> {
        self.start_under(Some(supervisor)).await
    }

    async fn start_under(self, supervisor: Option<ActorCell>) -> Result<Runtime, StartError> {
        let Self { mut tree, registry: origin, load, only } = self;
        let loaded = match origin {
            Some(Origin::Folder(root)) => Some(load_folder(root, load).await?),
            Some(Origin::Loaded(registry)) => Some(*registry),
            None => None,
        };
        let mut registry = None;
        if let Some(loaded) = loaded {
            let wanted =
                |id: &FunctionId| only.as_ref().is_none_or(|only| only.iter().any(|wanted| wanted == id.as_str()));
            tree = tree
                .functions(loaded.functions().iter().filter(|spec| wanted(&spec.id)).cloned())
                .processes(loaded.processes().iter().filter(|spec| wanted(&spec.id)).cloned());
            registry = Some(Arc::new(loaded));
        }
        let started = match supervisor {
            Some(supervisor) => tree.start_linked(supervisor).await,
            None => tree.start().await,
        };
        match (started, registry) {
            (Ok(tree), registry) => Ok(Runtime { tree, registry }),
            (Err(greenroom_actors::StartError::Functions(faults)), Some(registry)) => {
                let mut diagnostics = Diagnostics::default();
                diagnostics.extend(faults.iter().map(|fault| diagnose(&registry, fault)));
                Err(StartError::Registry(diagnostics))
            }
            (Err(error), _) => Err(error.into()),
        }
    }
}

async fn load_folder(root: PathBuf, load: LoadOptions) -> Result<Registry, StartError> {
    // Reading files blocks.
    let reading = tokio::task::spawn_blocking(move || Registry::load(&root, &load));
    let (loaded, warnings) = reading.await.map_err(|_| StartError::Interrupted)?.map_err(StartError::Registry)?;
    for warning in warnings.iter() {
        tracing::warn!(entry = warning.entry().map(tracing::field::display), "{}", warning.message());
    }
    Ok(loaded)
}

/// Shows a fault at the line of the registry file that it is about.
fn diagnose(registry: &Registry, fault: &FunctionFault) -> crate::registry::Diagnostic {
    let at = |id, field, message: String, notes: Vec<String>| {
        let help = (!notes.is_empty()).then(|| notes.join("\n"));
        registry.diagnose(id, field, message, help, Severity::Error)
    };
    match fault {
        FunctionFault::Spec { id, fault } => at(id, "pool", fault.to_string(), Vec::new()),
        FunctionFault::Prepare { id, fault } => at(id, fault.field, fault.message.clone(), fault.notes.clone()),
        FunctionFault::Duplicate { id } => at(id, "name", "two entries have this id".to_owned(), Vec::new()),
    }
}
