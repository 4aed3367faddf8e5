//! The runtime as its users hold it: start a tree, call functions, stop.
//!
//! A call is looked up in the directory, its arguments are converted, and its entry there does the rest; this file turns
//! arguments and results into what the caller speaks.

mod builder;
mod language;
mod look;

use std::{sync::Arc, time::Duration};

pub use builder::{FunctionFault, RuntimeBuilder, StartError};
use http::{Request, Response, uri::Scheme};
pub use language::{Language, WeakRuntime};
use ractor::{ActorCell, ActorRef};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use wasmtime::component::Val;

use crate::{
    call::{Answer, CallError, CallOptions, ErrorKind, HttpBody, Payload},
    directory::Directory,
    dispatcher::CallMessage,
    exchange::{ResponseBody, exchange},
    executor,
    process::{Process, ProcessOptions, Programs},
    root::RootMessage,
    spec::FunctionId,
    threads::GuestThreads,
    wasm::{self, Engine, Signature},
};

/// A running tree of functions. Cheap to clone; the tree stops when the last clone is dropped, unless it was started
/// under a supervisor of yours, which then owns it.
///
/// ```no_run
/// # async fn example(spec: greenroom_actors::spec::FunctionSpec) -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = greenroom_actors::Runtime::builder().function(spec).start().await?;
/// let product: i32 = runtime.call("myns:compute", (6, 7)).await?;
/// assert_eq!(product, 42);
/// runtime.shutdown(std::time::Duration::from_secs(10)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

struct Inner {
    root: ActorRef<RootMessage>,
    /// Whether a supervisor of the embedder owns the tree.
    linked: bool,
    name: Arc<str>,
    directory: Arc<Directory>,
    programs: Arc<Programs>,
    engine: Engine,
    threads: Arc<GuestThreads>,
}

/// How often a runtime that drains looks whether its calls have finished.
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long the end of a runtime waits for killed guests to be gone.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);

impl Runtime {
    /// What to run, and how.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::default()
    }

    /// Calls a function and waits for its result.
    ///
    /// `args` is a tuple, array or JSON array with one item per parameter; a single value that is no sequence is the one
    /// argument; `()` is none. The result is whatever deserialises from it: a Rust type, or [`Value`].
    ///
    /// Dropping the future cancels the call, queued or running.
    ///
    /// # Errors
    /// `not_found`, `invalid` (arguments that do not fit, or a result that is not an `R`), and whatever the call meets.
    pub async fn call<R: DeserializeOwned>(&self, id: &str, args: impl Serialize) -> Result<R, CallError> {
        self.call_with(id, args, CallOptions::default()).await
    }

    /// [`Runtime::call`] with a timeout or a context.
    ///
    /// # Errors
    /// As [`Runtime::call`], and `timeout` when the caller's time has passed.
    pub async fn call_with<R: DeserializeOwned>(
        &self,
        id: &str,
        args: impl Serialize,
        options: CallOptions,
    ) -> Result<R, CallError> {
        let entry = self.0.directory.find(id)?;
        let args = entry.refusing(executor::payload(&args, &*entry.executor))?;
        match entry.call(args, options).await? {
            Answer::Val(val) => wasm::decode(val.as_ref()).map_err(CallError::from),
            other => serde_json::from_value(executor::json(other, &*entry.executor))
                .map_err(|error| CallError::new(ErrorKind::Invalid, format!("result: {error}"))),
        }
    }

    /// Calls a function with JSON arguments, for a JSON result: 64-bit integers beyond ±2^53 are strings.
    ///
    /// # Errors
    /// As [`Runtime::call_with`].
    pub async fn call_json(&self, id: &str, args: Vec<Value>, options: CallOptions) -> Result<Value, CallError> {
        self.0.directory.find(id)?.call_json(args, options).await
    }

    /// Calls a WebAssembly function with values of the component model, one per parameter.
    ///
    /// # Errors
    /// As [`Runtime::call_with`]; `invalid` when the function is of another language.
    pub async fn call_vals(&self, id: &str, args: Vec<Val>, options: CallOptions) -> Result<Option<Val>, CallError> {
        let entry = self.0.directory.find(id)?;
        let args = entry.refusing(executor::fit(Payload::Vals(args), &*entry.executor))?;
        match entry.call(args, options).await? {
            Answer::Val(val) => Ok(val),
            Answer::Json(_) | Answer::Http => Err(CallError::new(
                ErrorKind::Invalid,
                format!("`{id}` is no WebAssembly function; its result is JSON"),
            )),
        }
    }

    /// Gives an HTTP request to a function that handles requests itself: a component that exports
    /// `wasi:http/incoming-handler`, whose spec's transport is [`Transport::WasiHttp`](crate::spec::Transport). Bodies
    /// stream both ways. Gives back the response as soon as it begins; the call ends with the guest.
    ///
    /// Dropping the future, or the body before it is whole, cancels the call. `scheme` is how the request came. A
    /// [`LengthLimitError`](http_body_util::LengthLimitError) of the request's body is an error of its size to the guest.
    ///
    /// # Errors
    /// As [`Runtime::call_with`]; `invalid` when the function takes arguments. What fails after the response has begun is
    /// an error of its body.
    pub async fn handle(
        &self,
        id: &str,
        scheme: Scheme,
        request: Request<HttpBody>,
        options: CallOptions,
    ) -> Result<Response<ResponseBody>, CallError> {
        exchange(&*self.0.directory.find(id)?, scheme, request, options).await
    }

    /// Whether a function handles HTTP requests itself: [`Runtime::handle`] is then the way to call it.
    ///
    /// # Errors
    /// `not_found`.
    pub fn handles_http(&self, id: &str) -> Result<bool, CallError> {
        Ok(self.0.directory.find(id)?.executor.handles_http())
    }

    /// Starts a process: an actor of its own, which runs the program of this entry until it exits. It belongs to the
    /// runtime and ends with it; dropping the handle leaves it alone.
    ///
    /// ```no_run
    /// # async fn example(runtime: greenroom_actors::Runtime) -> Result<(), greenroom_actors::CallError> {
    /// let process = runtime.spawn("tools:count", greenroom_actors::ProcessOptions::default())?;
    /// let code = process.exited().await.result?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `not_found`, and `unavailable` once the runtime drains or stops. What keeps the program from starting is its
    /// [`Exit`](crate::Exit).
    pub fn spawn(&self, id: &str, options: ProcessOptions) -> Result<Process, CallError> {
        self.0.programs.spawn(id, options)
    }

    /// Runs a task on the guest threads, beside the functions that it calls: a call from there costs no switch of threads,
    /// which is most of the cost of a short call. Guests share these threads in turns of a millisecond, so a task there
    /// may wait for as many of them as guests compute. Ends with the runtime: its handle then says that it was cancelled.
    ///
    /// ```no_run
    /// # async fn example(runtime: greenroom_actors::Runtime) -> Result<(), Box<dyn std::error::Error>> {
    /// let caller = runtime.clone();
    /// let sum = runtime.spawn_beside(async move { caller.call::<i32>("myns:add", (1, 2)).await }).await??;
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_beside<F>(&self, task: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.threads.handle().spawn(task)
    }

    /// The ids of all processes that can be spawned, in order.
    pub fn processes(&self) -> Vec<FunctionId> {
        self.0.programs.ids()
    }

    /// The ids of all functions, in order.
    pub fn functions(&self) -> Vec<FunctionId> {
        self.0.directory.ids()
    }

    /// The WIT signature of a function.
    ///
    /// # Errors
    /// `not_found`; `Ok(None)` is a function of another language.
    pub fn signature(&self, id: &str) -> Result<Option<Signature>, CallError> {
        Ok(self.0.directory.find(id)?.executor.signature().cloned())
    }

    /// The dispatcher of a function, for callers that are actors. In ractor's registry it is named
    /// `{runtime}/{id}`; the process group `{runtime}` has all dispatchers.
    ///
    /// A dispatcher that starts again is another actor: look it up for each call, or again when a send fails. Its own
    /// supervisor is that of the function, or the root while nobody has called a function whose pool keeps no worker.
    ///
    /// # Errors
    /// `not_found`.
    pub fn dispatcher(&self, id: &str) -> Result<ActorRef<CallMessage>, CallError> {
        Ok(self.0.directory.find(id)?.dispatcher.clone())
    }

    /// The root of the tree, to link, monitor or wait for.
    pub fn root(&self) -> ActorCell {
        self.0.root.get_cell()
    }

    /// The name of the runtime, with which the names of its dispatchers begin.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How many more WebAssembly instances may live now, over all functions, counted by their memories.
    pub fn instances_available(&self) -> usize {
        self.0.engine.instances_available()
    }

    /// Takes no new calls from now on, and waits until those that run or wait, and what they call in turn, have finished,
    /// for `within` at most; spawns no new processes either, and lets those that run be. Returns how many calls are left. The tree goes on: [`Runtime::shutdown`] ends it.
    pub async fn drain(&self, within: Duration) -> usize {
        let gates = self.0.directory.gates();
        let inside = || gates.iter().map(|gate| gate.inside()).sum::<usize>();
        gates.iter().for_each(|gate| gate.close());
        self.0.programs.close();
        let emptied = async {
            // Nested calls come and go for as long as the calls that make them run: all gates are looked at together.
            while inside() > 0 {
                tokio::time::sleep(DRAIN_LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(within, emptied).await.is_ok() {
            gates.iter().for_each(|gate| gate.lock());
        }
        inside()
    }

    /// Stops: no new calls from now on; calls that run or wait finish within `drain`; then the tree ends, and what has no
    /// answer yet has `unavailable`. Returns whether every call had finished.
    pub async fn shutdown(&self, drain: Duration) -> bool {
        let drained = self.drain(drain).await == 0;
        let root = self.root();
        root.stop(None);
        // Only a root that ended before can refuse to be waited for.
        drop(root.wait(None).await);
        // Killed guests go at their next yield. Their last words are worth a moment; a guest that takes longer is let be.
        drop(tokio::time::timeout(LAST_WORDS_MAX, self.0.engine.emptied()).await);
        drained
    }

    pub(crate) fn guest_threads(&self) -> usize {
        self.0.threads.count()
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("name", &self.0.name).field("guest_threads", &self.guest_threads()).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.linked {
            self.root.stop(None);
        }
    }
}
