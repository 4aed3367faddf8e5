//! WebAssembly functions, from their bytes to the answers of calls.

mod calls;
mod compiling;
mod fixture;
mod grants;
mod http;
mod limits;
mod log;
mod methods;
mod network;
mod reach;
mod source;
mod wasi;
mod wrapping;
