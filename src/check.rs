//! Checks a registry as far as a start would go: loads, compiles and links every function, and runs nothing.

use std::{
    panic::resume_unwind,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use greenroom_actors::{
    executor::Executor as _,
    spec::{Code, FunctionId, FunctionSpec, ProcessSpec},
    wasm::{CacheOptions, Engine, EngineError, EngineOptions, PrepareError, PrepareWarning, Prepared, Signature},
};

use crate::{
    http::{self, Takes},
    registry::{Diagnostic, Diagnostics, Entry, LoadOptions, Registry, Severity},
};

/// What a check found.
#[derive(Debug)]
pub struct Checked {
    /// The registry, with every entry that is sound.
    pub registry: Registry,
    /// The functions and processes that compile and link, in the order of ids, with their WIT signatures; components that
    /// handle HTTP requests themselves have none. Functions in Lua are not among them.
    pub functions: Vec<(FunctionId, Option<Signature>)>,
    /// All errors and warnings of all entries.
    pub diagnostics: Diagnostics,
}

/// Loads a registry, compiles and links its functions, several at a time. An error in one entry keeps nobody from checking
/// the others.
///
/// Blocks on files and on the compiler: call it where blocking is allowed.
///
/// # Errors
/// When there is no engine to compile with. What is wrong with the registry is in [`Checked::diagnostics`].
pub fn check(root: &Path, options: &LoadOptions, cache: CacheOptions) -> Result<Checked, EngineError> {
    let (registry, mut diagnostics) = Registry::read(root, options);
    let engine = Engine::new(EngineOptions { cache, ..EngineOptions::default() })?;
    let specs: Vec<_> = registry
        .functions()
        .iter()
        .map(Runnable::Function)
        .chain(registry.processes().iter().map(Runnable::Process))
        .collect();
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from).min(specs.len().max(1));
    let work = || {
        let mut done = Vec::new();
        while let Some(spec) = specs.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push((spec.id(), prepare(&engine, &registry, spec)));
        }
        done
    };
    let mut results = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        threads.into_iter().flat_map(join).collect::<Vec<_>>()
    });
    results.sort_by_key(|(id, _)| *id);
    let mut functions = Vec::new();
    for (id, (prepared, found)) in results {
        diagnostics.extend(found);
        functions.extend(prepared.map(|prepared| (id.clone(), prepared.function.signature().cloned())));
    }
    diagnostics.extend(lua(&registry));
    diagnostics.extend(endpoints(&registry, &functions));
    Ok(Checked { registry, functions, diagnostics })
}

/// What is wrong with functions and libraries in Lua, and what they name that is not there.
fn lua(registry: &Registry) -> Vec<Diagnostic> {
    let is_function = |name: &str| {
        let found = registry.entries().binary_search_by(|entry| entry.id.as_str().cmp(name));
        found.ok().and_then(|found| registry.entries().get(found)).is_some_and(Entry::is_function)
    };
    let mut found = Vec::new();
    for (id, file) in registry.lua() {
        match file.check(id, is_function) {
            Ok(warnings) => found.extend(warnings.iter().map(|warning| warned(registry, id, warning))),
            Err(error) => found.push(failed(registry, id, &error)),
        }
    }
    found
}

/// What is wrong with endpoints whose functions are sound.
fn endpoints(registry: &Registry, functions: &[(FunctionId, Option<Signature>)]) -> Vec<Diagnostic> {
    let routers = registry.servers().iter().flat_map(|server| &server.routers);
    let faults = routers.flat_map(|router| &router.endpoints).filter_map(|endpoint| {
        let found = functions.binary_search_by(|(id, _)| id.cmp(&endpoint.function)).ok()?;
        let takes = match &functions.get(found)?.1 {
            Some(signature) => Takes::Values(signature.clone()),
            None => Takes::Requests,
        };
        let message = http::check(endpoint, takes).err()?;
        Some(registry.diagnose(&endpoint.id, "func", message, None, Severity::Error))
    });
    faults.collect()
}

/// What is compiled and linked.
enum Runnable<'a> {
    Function(&'a FunctionSpec),
    Process(&'a ProcessSpec),
}

impl<'a> Runnable<'a> {
    fn id(&self) -> &'a FunctionId {
        match self {
            Self::Function(spec) => &spec.id,
            Self::Process(spec) => &spec.id,
        }
    }
}

fn prepare(engine: &Engine, registry: &Registry, spec: &Runnable<'_>) -> (Option<Prepared>, Vec<Diagnostic>) {
    let id = spec.id();
    let prepared = match spec {
        Runnable::Function(FunctionSpec { code: Code::Wasm(wasm), limits, .. }) => engine.prepare(id, wasm, limits),
        // Those in Lua are looked at with their libraries, by `lua`.
        Runnable::Function(_) => return (None, Vec::new()),
        Runnable::Process(process) => engine.prepare_process(process),
    };
    match prepared {
        Ok(prepared) => {
            let warnings = prepared.warnings.iter().map(|warning| warned(registry, id, warning)).collect();
            (Some(prepared), warnings)
        }
        Err(errors) => (None, errors.iter().map(|error| failed(registry, id, error)).collect()),
    }
}

fn warned(registry: &Registry, id: &FunctionId, warning: &PrepareWarning) -> Diagnostic {
    registry.diagnose(id, warning.field, warning.message.clone(), help(&warning.notes), Severity::Warning)
}

fn failed(registry: &Registry, id: &FunctionId, error: &PrepareError) -> Diagnostic {
    registry.diagnose(id, error.field, error.message.clone(), help(&error.notes), Severity::Error)
}

fn help(notes: &[String]) -> Option<String> {
    (!notes.is_empty()).then(|| notes.join("\n"))
}
