//! The integration tests of the crate, in one binary: a module for each behaviour.

mod calls;
mod deadlines;
mod metrics;
mod overload;
mod pools;
mod shutdown;
mod supervision;
mod tree;
mod wasm;
