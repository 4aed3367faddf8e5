//! The supervision tree, pools and WebAssembly executor of Greenroom.

pub mod call;
mod dispatcher;
pub mod executor;
mod metrics;
pub mod spec;
pub mod wasm;

pub use call::{Answer, CallError, CallOptions, Context, ErrorKind, Payload};
