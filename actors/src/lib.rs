//! The supervision tree, pools and WebAssembly executor of Greenroom.
//!
//! ```text
//! root ── function supervisor ┬─ dispatcher     its run queue, deadlines
//!         (one per function)  └─ workers …      run calls on the guest threads, next instance ready
//! ```
//!
//! A call takes this way: [`Runtime::call`] finds the function in the directory, the gate bounds it, it waits in the
//! dispatcher's run queue until a worker takes it, and the worker runs it on an instance and answers the caller.
//!
//! This crate never sees YAML or a command line, and HTTP only as requests of guests; functions come as
//! [`spec::FunctionSpec`].

pub mod call;
mod directory;
mod dispatcher;
mod exchange;
pub mod executor;
mod function;
pub mod metrics;
mod pool;
mod process;
mod root;
mod runtime;
pub mod spec;
mod threads;
pub mod tree;
pub mod wasm;
mod worker;

pub use call::{
    Answer, BodyError, CallError, CallOptions, Context, ErrorKind, HttpBody, HttpRequest, Payload, Responder,
};
pub use dispatcher::CallMessage;
pub use exchange::ResponseBody;
pub use process::{Exit, Process, ProcessOptions};
pub use runtime::{FunctionFault, Language, Runtime, RuntimeBuilder, StartError, WeakRuntime};
pub use {ractor, wasmtime};
