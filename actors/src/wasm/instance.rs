//! The executor: makes instances of a prepared function and runs calls on them.
//!
//! Pools, deadlines and retirement are the worker's business: here, dropping a future is what ends a call.

use std::{pin::pin, sync::Arc};

use futures::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::{ComponentExportIndex, Func, InstancePre, Val};

use super::{
    Signature,
    engine::{Engine, ProfileEngine},
    host::{GuestState, GuestWorld},
    incoming::{self, Handler},
    limits::{HANDLES_MAX, host_call_bytes_max},
    stdio, trap,
    value::payload_bytes,
};
use crate::{
    call::{Answer, CallError, Context, ErrorKind, HttpRequest, Payload},
    executor::{Executor, Instance, Reservation},
    spec::{FunctionId, Limits},
};

pub(super) type Store = wasmtime::Store<GuestState>;

/// A WebAssembly function that is compiled, linked and ready to make instances.
pub struct WasmFunction {
    pub(super) facts: Arc<Facts>,
    pub(super) engine: Engine,
    pub(super) pre: InstancePre<GuestState>,
    /// Keeps the compiled code, so that others with the same bytes find it.
    pub(super) component: Arc<wasmtime::component::Component>,
    pub(super) export: ComponentExportIndex,
    /// Whether the export takes HTTP requests, not values.
    pub(super) handles_http: bool,
    pub(super) signature: Signature,
    pub(super) reuse: u32,
    /// Permits that one instance takes.
    pub(super) weight: u32,
}

/// What a function's instances need of it. They share it, so that making one copies nothing.
pub(super) struct Facts {
    pub(super) world: Arc<GuestWorld>,
    pub(super) profile_engine: Arc<ProfileEngine>,
    pub(super) is_command: bool,
    pub(super) params: usize,
    pub(super) has_result: bool,
}

impl Facts {
    fn id(&self) -> &FunctionId {
        &self.world.function
    }

    fn limits(&self) -> &Limits {
        &self.world.limits
    }
}

impl WasmFunction {
    /// The function's id.
    pub fn id(&self) -> &FunctionId {
        self.facts.id()
    }

    /// Whether two functions run the same compiled code.
    pub fn shares_code_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.component, &other.component)
    }

    async fn make_instance(&self) -> Result<WasmInstance, CallError> {
        self.instantiate(GuestState::new(&self.facts.world)?).await
    }

    pub(super) async fn instantiate(&self, state: GuestState) -> Result<WasmInstance, CallError> {
        let Facts { profile_engine, .. } = &*self.facts;
        let mut store = Store::new(&profile_engine.engine, state);
        store.limiter(|state| &mut state.limiter);
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        store.set_hostcall_fuel(host_call_bytes_max(self.facts.limits()));
        // What guests that do several things at once hold of those: tasks, streams, futures.
        if let Some(table) = store.concurrent_resource_table() {
            table.set_max_capacity(HANDLES_MAX);
        }
        let instance = profile_engine.ticker.during(self.pre.instantiate_async(&mut store)).await;
        let instance = instance.map_err(|error| self.not_made(&store, &error))?;
        let lacking = || CallError::new(ErrorKind::Internal, format!("`{}`: its instance lacks its method", self.id()));
        let callee = match self.handles_http {
            true => Callee::Handler(incoming::handler(&instance, &mut store, self.export).map_err(|_| lacking())?),
            false => Callee::Func(instance.get_func(&mut store, self.export).ok_or_else(lacking)?),
        };
        Ok(WasmInstance { store, callee, usable: true, facts: Arc::clone(&self.facts) })
    }

    async fn permits(&self) -> Result<[OwnedSemaphorePermit; 2], CallError> {
        // First the engine's own, of which a rarely used one has fewer: a wait there holds nothing that others need.
        let own = Arc::clone(&self.facts.profile_engine.permits).acquire_many_owned(self.weight).await;
        let all = Arc::clone(self.engine.permits()).acquire_many_owned(self.weight).await;
        match (own, all) {
            (Ok(own), Ok(all)) => Ok([own, all]),
            _ => Err(CallError::new(ErrorKind::Unavailable, "the WebAssembly engine has been closed")),
        }
    }

    fn not_made(&self, store: &Store, error: &wasmtime::Error) -> CallError {
        // A memory whose declared minimum is refused fails the whole instance.
        match store.data().limiter.refused() {
            Some(bytes) if error.downcast_ref::<wasmtime::Trap>().is_none() => CallError::new(
                ErrorKind::Internal,
                format!(
                    "`{}` needs {bytes} bytes of memory to start, and `limits.max_memory_bytes` allows {}; raise it",
                    self.id(),
                    self.facts.limits().max_memory_bytes
                ),
            ),
            _ => trap::call_error(self.id(), self.facts.limits(), error),
        }
    }
}

impl Executor for WasmFunction {
    fn signature(&self) -> Option<&Signature> {
        (!self.handles_http).then_some(&self.signature)
    }

    fn handles_http(&self) -> bool {
        self.handles_http
    }

    fn reuse(&self) -> u32 {
        self.reuse
    }

    fn reserve(&self) -> BoxFuture<'_, Result<Reservation, CallError>> {
        Box::pin(async { Ok(Reservation::new(self.permits().await?)) })
    }

    fn is_crowded(&self) -> bool {
        // Whoever waits has taken all that there are.
        self.engine.permits().available_permits() == 0 || self.facts.profile_engine.permits.available_permits() == 0
    }

    fn make(&self) -> BoxFuture<'_, Result<Box<dyn Instance>, CallError>> {
        Box::pin(async { Ok(Box::new(self.make_instance().await?) as Box<dyn Instance>) })
    }
}

impl std::fmt::Debug for WasmFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WasmFunction").field("id", self.id()).finish_non_exhaustive()
    }
}

/// What a call of an instance goes to.
#[derive(Clone, Copy)]
enum Callee {
    Func(Func),
    Handler(Handler),
}

/// One store with one instance.
pub(super) struct WasmInstance {
    store: Store,
    callee: Callee,
    /// False from the start of a call until its success: a call that failed or was dropped leaves the guest in a state
    /// that nobody knows.
    usable: bool,
    facts: Arc<Facts>,
}

impl WasmInstance {
    async fn call(&mut self, args: Payload, context: &Arc<Context>) -> Result<Answer, CallError> {
        let internal = |message: String| CallError::new(ErrorKind::Internal, message);
        self.is_usable()?;
        let Payload::Vals(args) = args else {
            return Err(internal(format!("`{}` was called with what it does not take", self.id())));
        };
        if args.len() != self.facts.params {
            let (expected, found) = (self.facts.params, args.len());
            return Err(CallError::new(
                ErrorKind::Invalid,
                format!("`{}` takes {expected} arguments, and was called with {found}", self.id()),
            ));
        }
        let result = match self.invoke(&args, context).await {
            Ok(result) => result,
            Err(error) if self.facts.is_command && trap::exit_status(&error) == Some(0) => {
                return Ok(Answer::Val(self.facts.has_result.then_some(Val::Result(Ok(None)))));
            }
            Err(error) => return Err(self.call_error(&error)),
        };
        let bytes = result.as_ref().map_or(0, payload_bytes);
        if bytes > self.facts.limits().max_result_bytes {
            return Err(internal(format!(
                "the result of `{}` has {bytes} bytes, and `limits.max_result_bytes` allows {}; raise it, or return less",
                self.id(),
                self.facts.limits().max_result_bytes
            )));
        }
        self.ended_well();
        Ok(Answer::Val(result))
    }
}

impl WasmInstance {
    async fn request(
        &mut self,
        handler: Handler,
        request: HttpRequest,
        context: &Arc<Context>,
    ) -> Result<Answer, CallError> {
        self.is_usable()?;
        self.handle(handler, request, context).await
    }

    fn is_usable(&self) -> Result<(), CallError> {
        if self.usable {
            return Ok(());
        }
        let message = format!("`{}`: an instance whose last call failed was called again", self.id());
        Err(CallError::new(ErrorKind::Internal, message))
    }

    /// Calls the guest. Its instance is not usable while it runs, and not after it failed.
    pub(super) async fn invoke(&mut self, args: &[Val], context: &Arc<Context>) -> wasmtime::Result<Option<Val>> {
        let Callee::Func(func) = self.callee else { wasmtime::bail!("its method takes HTTP requests") };
        self.begin(context)?;
        // Any value: the call overwrites it.
        let mut results = if self.facts.has_result { vec![Val::Bool(false)] } else { Vec::new() };
        {
            // Pinned here, because a future that is passed on takes its room twice, and many calls may be asleep.
            let call = pin!(func.call_async(&mut self.store, args, &mut results));
            self.facts.profile_engine.ticker.during(call).await?;
        }
        Ok(results.pop())
    }

    /// Makes the instance that of a new call. It is not usable from now on, until the call has ended well.
    pub(super) fn begin(&mut self, context: &Arc<Context>) -> wasmtime::Result<()> {
        self.store.data_mut().begin(context)?;
        self.usable = false;
        // The deadline is an absolute epoch, and epochs have passed since it was last set.
        self.store.set_epoch_deadline(1);
        Ok(())
    }

    pub(super) fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    pub(super) fn ended_well(&mut self) {
        self.usable = true;
    }

    pub(super) fn id(&self) -> &FunctionId {
        self.facts.id()
    }

    /// Linear memory in use, in bytes.
    pub(super) fn memory(&self) -> u64 {
        self.store.data().limiter.bytes() as u64
    }

    /// Why the guest failed, in the words of its callers.
    pub(super) fn call_error(&self, error: &wasmtime::Error) -> CallError {
        trap::call_error(self.id(), self.facts.limits(), error)
    }
}

impl Instance for WasmInstance {
    fn run<'a>(&'a mut self, args: Payload, context: &'a Arc<Context>) -> BoxFuture<'a, Result<Answer, CallError>> {
        // Boxed apart, because the future of a request is many times as large.
        let run: BoxFuture<'a, _> = match (self.callee, args) {
            (Callee::Handler(handler), Payload::Http(request)) => {
                let facts = Arc::clone(&self.facts);
                Box::pin(async move {
                    let request = pin!(self.request(handler, *request, context));
                    facts.profile_engine.ticker.during(request).await
                })
            }
            (_, args) => Box::pin(self.call(args, context)),
        };
        match context.request_id {
            Some(_) => Box::pin(stdio::named(Arc::clone(context), run)),
            None => run,
        }
    }

    fn memory_bytes(&self) -> u64 {
        self.memory()
    }
}
