//! WebAssembly functions, from their bytes to the answers of calls.

mod calls;
mod compiling;
mod fixture;
mod grants;
mod groups;
mod growth;
mod handles;
mod heap;
mod http;
mod limits;
mod log;
mod methods;
#[cfg(unix)]
mod mounts;
mod network;
mod p3;
mod preview1;
mod prober;
mod reach;
mod reuse;
mod source;
mod versions;
mod wasi;
mod wrapping;
