//! WebAssembly: engine, compilation, linking, values. Implements [`crate::executor`]; knows nothing of actors.

mod cache;
mod command;
mod concurrency;
mod engine;
mod error;
mod files;
mod funcs;
mod headroom;
mod host;
mod incoming;
mod instance;
mod limits;
mod link;
mod method;
mod mounts;
mod names;
mod network;
mod pipe;
mod prepare;
mod resize;
mod source;
mod stdio;
mod survey;
mod ticker;
mod trap;
mod value;
mod wit;
mod wrap;

pub use cache::CacheOptions;
pub use engine::{Engine, EngineError, EngineOptions};
pub use error::{PrepareError, PrepareWarning};
pub use host::{GuestState, HostInterface, Link};
pub use instance::WasmFunction;
pub use network::{
    HttpClient, NetworkOptions, REQUESTS_MAX, RESPONSE_BYTES_MAX, Resolver, SOCKETS_MAX, SystemResolver, TrustedRoots,
};
pub use pipe::{Stdin, Stdio, Stdout};
pub use prepare::Prepared;
pub use stdio::{GuestLog, LINE_BYTES_MAX, LINES_PER_SECOND_MAX};
pub use value::{
    EMPTY_TABLE, JsonVal, Signature, UnsupportedType, ValueError, WitType, decode, host_bytes, payload_bytes, to_json,
};
pub use wrap::component_of;
