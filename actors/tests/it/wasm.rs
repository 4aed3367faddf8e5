//! WebAssembly functions, from their bytes to the answers of calls.

mod fixture;
mod calls;
