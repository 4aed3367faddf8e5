//! The integration tests of the crate, in one binary: a module for each behaviour.

mod wasm;
