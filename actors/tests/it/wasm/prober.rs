//! The guest that tries what it may be granted, and folders of the host for it.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use greenroom_actors::{
    CallError,
    executor::{Executor, Instance},
    spec::{Capability, Limits, Mount, Source, WasmSpec},
    wasm::{Engine, EngineOptions, PrepareError, Prepared},
};
use serde_json::{Value, json};

use super::fixture::*;

/// A guest that is built for tests.
pub fn guest(name: &str, method: &str, granted: &[Capability]) -> WasmSpec {
    let path = format!("{}/tests/guests/{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let mut spec = spec(Source::Bytes(Arc::from(bytes)), method);
    spec.imports = granted.iter().copied().collect();
    spec
}

/// Prepares on an engine that all tests share, so that each guest is compiled once.
pub fn try_prepare(spec: &WasmSpec) -> Result<Prepared, Vec<PrepareError>> {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    let engine =
        ENGINE.get_or_init(|| Engine::new(EngineOptions { instances_max: 64, ..EngineOptions::default() }).unwrap());
    engine.prepare(&id(), spec, &Limits::default())
}

pub fn prepared(spec: &WasmSpec) -> Prepared {
    try_prepare(spec).unwrap()
}

pub fn prober(method: &str, granted: &[Capability]) -> WasmSpec {
    guest("prober", method, granted)
}

pub fn mount(host: &Path, guest: &str, read_only: bool) -> Mount {
    Mount { host: host.to_owned(), guest: guest.to_owned(), read_only }
}

/// A function and an instance of it.
pub type Made = (Prepared, Box<dyn Instance>);

/// An instance of the prober that sees these mounts.
pub fn with_mounts(method: &str, mounts: &[Mount]) -> Made {
    let prepared = prepared(&sees(method, mounts));
    let instance = block_on(prepared.function.make()).unwrap();
    (prepared, instance)
}

/// The prober that sees these mounts.
pub fn sees(method: &str, mounts: &[Mount]) -> WasmSpec {
    let mut spec = prober(method, &[Capability::Filesystem, Capability::Cli, Capability::Clocks]);
    spec.wasi.mounts = mounts.to_vec();
    spec
}

/// What one operation gave, by WASI's own functions: `Ok` with what was read, or the name of the error.
pub fn file(
    made: &mut Made,
    what: &str,
    (mount, path): (&str, &str),
    (to_mount, to): (&str, &str),
) -> Result<String, String> {
    outcome(block_on(run(&made.0, &mut made.1, json!([what, mount, path, to_mount, to]))))
}

/// What one operation gave, by C's library.
pub fn c_file(made: &mut Made, what: &str, path: &str, to: &str) -> Result<String, String> {
    outcome(block_on(run(&made.0, &mut made.1, json!([what, path, to]))))
}

fn outcome(result: Result<Value, CallError>) -> Result<String, String> {
    let value = result.unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match value.get("ok") {
        Some(read) => Ok(text(read)),
        None => Err(text(&value["err"])),
    }
}
