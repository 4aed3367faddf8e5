//! WebAssembly functions under an actor supervision tree, described by YAML registries.

pub mod cli;
