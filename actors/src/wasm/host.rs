//! What a running guest sees of the host: the state of its store, and interfaces that an embedder adds.
//!
//! Which WASI interfaces are linked is `link`'s business; where output goes is `stdio`'s.

use std::{
    fmt,
    sync::{
        Arc, LazyLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use wasmtime::component::{LinkerInstance, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, p2::bindings::cli::environment, p3::bindings::cli as p3_cli};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::{
    engine::Engine,
    files::{Held, OpenFiles},
    limits::{HANDLES_MAX, Limiter, RANDOM_BYTES_MAX},
    mounts::{Mounted, Mounts},
    network::{FunctionNetwork, Outgoing, StoreNetwork},
    pipe::{Stdio, Written},
    stdio::GuestLog,
};
use crate::{
    call::{CallError, Context, ErrorKind, Functions},
    spec::{Capability, EnvBinding, FunctionId, Limits, WasiSpec, WasmSpec},
};

/// Adds the functions of an interface to a linker.
pub type Link = dyn Fn(&mut LinkerInstance<'_, GuestState>) -> wasmtime::Result<()> + Send + Sync;

/// An interface that the embedder provides to every guest that imports it.
#[derive(Clone)]
pub struct HostInterface {
    /// Its name, `ns:pkg/iface@1.0.0`. A guest may import any version that semantic versioning calls compatible; without
    /// a version, any at all.
    pub name: String,
    /// Defines its functions. Called once for each function that imports the interface.
    ///
    /// Functions that wait must be async: a guest thread that is blocked runs no other guest.
    pub link: Arc<Link>,
}

impl fmt::Debug for HostInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HostInterface").field(&self.name).finish()
    }
}

/// The context of instances that are being made.
static NO_CONTEXT: LazyLock<Arc<Context>> = LazyLock::new(Arc::default);

/// The state of one store, as host functions see it. What the guest may never use is made when it first does: most
/// instances serve one call and are gone.
pub struct GuestState {
    world: Arc<GuestWorld>,
    /// None while the instance is being made.
    context: Option<Arc<Context>>,
    environment: Vec<(String, String)>,
    /// What follows the arguments of the entry.
    arguments: Vec<String>,
    wasi: Option<Box<WasiCtx>>,
    http: WasiHttpCtx,
    outgoing: Option<Outgoing>,
    network: Option<Arc<StoreNetwork>>,
    table: ResourceTable,
    mounted: Option<Mounted>,
    pub(super) held: Held,
    pub(crate) limiter: Limiter,
}

impl GuestState {
    /// The function that runs.
    pub fn function(&self) -> &FunctionId {
        &self.world.function
    }

    /// What the running call carries; an empty context while the instance is being made.
    pub fn context(&self) -> &Arc<Context> {
        self.context.as_ref().unwrap_or(&NO_CONTEXT)
    }

    /// The handles to resources that the guest holds.
    pub fn table(&mut self) -> &mut ResourceTable {
        &mut self.table
    }

    /// What the guest may call; `None` when there is no runtime, or it has ended.
    pub(super) fn functions(&self) -> Option<Arc<dyn Functions>> {
        self.world.functions.as_ref()?.upgrade()
    }

    pub(super) fn network(&mut self) -> &Arc<StoreNetwork> {
        self.network.get_or_insert_with(|| self.world.network())
    }

    /// The files that all guests have open.
    pub(super) fn open_files(&self) -> &Arc<OpenFiles> {
        &self.world.open_files
    }

    pub(super) fn new(world: &Arc<GuestWorld>) -> Result<Self, CallError> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES_MAX);
        Ok(Self {
            context: None,
            environment: world.environment_of_start(),
            arguments: Vec::new(),
            wasi: None,
            http: WasiHttpCtx::new(),
            outgoing: None,
            network: None,
            table,
            mounted: world.mounts.open()?,
            held: Held::default(),
            limiter: Limiter::new(&world.limits),
            world: Arc::clone(world),
        })
    }

    /// The state of a program with arguments and streams of its own, and what ends when its output is written.
    pub(super) fn of_command(
        world: &Arc<GuestWorld>,
        arguments: Vec<String>,
        stdio: Stdio,
    ) -> Result<(Self, Written), CallError> {
        let mut state = Self { arguments, ..Self::new(world)? };
        let network = Arc::clone(state.network());
        let (wasi, written) = world.wasi(state.mounted.as_ref(), &network, stdio);
        state.wasi = Some(Box::new(wasi));
        Ok((state, written))
    }

    /// Makes the state that of a new call.
    pub(super) fn begin(&mut self, context: &Arc<Context>) -> Result<(), CallError> {
        if let Some(mounted) = &self.mounted {
            self.world.mounts.refuse_replaced(mounted)?;
        }
        self.environment = self.world.environment()?;
        self.context = Some(Arc::clone(context));
        // What is sent from now on is of this call.
        self.outgoing = None;
        if self.world.uses_wasi.load(Ordering::Relaxed) {
            // On the guest's own stack it would take a page that stays for as long as the call sleeps.
            WasiView::ctx(self);
        }
        Ok(())
    }
}

impl fmt::Debug for GuestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestState").field("function", &self.world.function).finish_non_exhaustive()
    }
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Self { world, mounted, network, wasi, table, .. } = self;
        let ctx = wasi.get_or_insert_with(|| {
            world.uses_wasi.store(true, Ordering::Relaxed);
            let network = network.get_or_insert_with(|| world.network());
            Box::new(world.wasi(mounted.as_ref(), network, Stdio::default()).0)
        });
        WasiCtxView { ctx, table }
    }
}

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Self { world, context, network, .. } = self;
        let hooks = self.outgoing.get_or_insert_with(|| {
            let network = network.get_or_insert_with(|| world.network());
            Outgoing { network: Arc::clone(network), context: context.clone() }
        });
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks }
    }
}

/// Our own, because variables are looked up anew for each call and an instance may serve several.
impl environment::Host for GuestState {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self.environment.clone())
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.world.arguments.iter().chain(&self.arguments).cloned().collect())
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        Ok(self.world.spec.cwd.clone())
    }
}

impl p3_cli::environment::Host for GuestState {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        environment::Host::get_environment(self)
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        environment::Host::get_arguments(self)
    }

    fn get_initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        environment::Host::initial_cwd(self)
    }
}

/// What all instances of a function have in common.
pub(super) struct GuestWorld {
    pub(super) function: FunctionId,
    pub(super) limits: Limits,
    spec: WasiSpec,
    /// With `argv[0]`.
    arguments: Vec<String>,
    mounts: Mounts,
    /// What the guest may call when it has the grant; none without a runtime.
    functions: Option<Weak<dyn Functions>>,
    /// Those of all functions.
    open_files: Arc<OpenFiles>,
    log: Arc<GuestLog>,
    network: Arc<FunctionNetwork>,
    /// Whether a guest of this function has ever used WASI.
    uses_wasi: AtomicBool,
}

impl GuestWorld {
    pub(super) fn new(function: &FunctionId, spec: &WasmSpec, limits: &Limits, engine: &Engine) -> Self {
        let wasi = &spec.wasi;
        let program = wasi.program.as_deref().unwrap_or(function.name()).to_owned();
        // Without the grant nothing can reach them.
        let mounts = if spec.imports.has(Capability::Filesystem) { wasi.mounts.as_slice() } else { &[] };
        Self {
            function: function.clone(),
            limits: limits.clone(),
            spec: wasi.clone(),
            arguments: std::iter::once(program).chain(wasi.args.iter().cloned()).collect(),
            mounts: Mounts::new(function, mounts),
            functions: engine.functions().cloned(),
            open_files: Arc::clone(engine.open_files()),
            log: Arc::new(GuestLog::new(function)),
            network: Arc::new(FunctionNetwork::new(
                function,
                &wasi.network,
                Arc::clone(engine.network()),
                "wasi.network.allow",
            )),
            uses_wasi: AtomicBool::new(false),
        }
    }

    /// The variables of a call that starts now.
    fn environment(&self) -> Result<Vec<(String, String)>, CallError> {
        self.spec.env.iter().filter_map(|binding| self.value(binding).transpose()).collect()
    }

    /// The variables while an instance is being made: what is missing fails the call that needs it, not the making.
    fn environment_of_start(&self) -> Vec<(String, String)> {
        self.spec.env.iter().filter_map(|binding| self.value(binding).ok().flatten()).collect()
    }

    fn value(&self, binding: &EnvBinding) -> Result<Option<(String, String)>, CallError> {
        let EnvBinding { name, required, variable } = binding;
        match variable.get() {
            Ok(Some(value)) => Ok(Some((name.clone(), value))),
            Ok(None) if !required => Ok(None),
            Ok(None) => Err(CallError::new(
                ErrorKind::Invalid,
                format!(
                    "`{}` requires the environment variable `{name}`, but `{}` has no value; set it, or drop `required: true`",
                    self.function,
                    variable.id()
                ),
            )),
            Err(reason) => Err(CallError::new(
                ErrorKind::Unavailable,
                format!("the environment variable `{name}` of `{}` cannot be read: {reason}", self.function),
            )),
        }
    }

    fn network(&self) -> Arc<StoreNetwork> {
        Arc::new(StoreNetwork::new(&self.network))
    }

    fn wasi(&self, mounted: Option<&Mounted>, network: &Arc<StoreNetwork>, stdio: Stdio) -> (WasiCtx, Written) {
        let mut wasi = WasiCtx::builder();
        let written = stdio.give(&mut wasi, &self.log);
        wasi.max_random_size(RANDOM_BYTES_MAX);
        let network = Arc::clone(network);
        wasi.allow_tcp(true).allow_udp(true).socket_addr_check(move |address, purpose| {
            let allowed = network.allows(address, purpose);
            Box::pin(async move { allowed })
        });
        let mut wasi = wasi.build();
        if let Some(mounted) = mounted {
            wasi.filesystem().clone_from(mounted.directories());
        }
        (wasi, written)
    }
}
