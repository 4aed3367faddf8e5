//! The one test binary of the crate: a module per behaviour, and nothing else here.
#![allow(clippy::unwrap_used, reason = "a test that panics fails, which is what it is for")]

mod cli;
mod document;
mod examples;
mod guests;
mod http;
mod library;
mod lua;
mod otlp;
mod registry;
mod registry_diagnostics;
mod registry_environment;
mod registry_fields;
mod registry_http;
mod registry_processes;
mod registry_robustness;
mod registry_schema;
mod tidy;
mod wasi;
