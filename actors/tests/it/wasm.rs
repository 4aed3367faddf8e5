//! WebAssembly functions, from their bytes to the answers of calls.

mod calls;
mod fixture;
