//! The integration tests of the crate, in one binary: a module for each behaviour.

#![allow(clippy::unwrap_used, reason = "what a test needs and does not get fails the test")]

mod asleep;
mod calls;
mod deadlines;
mod funcs;
mod handling;
mod looking;
mod metrics;
mod overload;
mod pools;
mod processes;
mod shutdown;
mod spans;
mod supervision;
mod tree;
mod uncalled;
mod wasm;
