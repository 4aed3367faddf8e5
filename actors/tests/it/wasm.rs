//! WebAssembly functions, from their bytes to the answers of calls.

mod calls;
mod compiling;
mod fixture;
mod grants;
mod groups;
mod handles;
mod limits;
mod log;
mod methods;
#[cfg(unix)]
mod mounts;
mod preview1;
mod prober;
mod reuse;
mod source;
mod versions;
mod wasi;
mod wrapping;
