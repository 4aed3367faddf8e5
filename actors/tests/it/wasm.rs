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
mod mounts;
mod preview1;
mod prober;
mod source;
mod versions;
mod wasi;
mod wrapping;
