//! What guests of each toolchain cost: size, compilation, loading from the cache, the first call and those after it.
//!
//! ```sh
//! registry-examples/guests/build.sh javascript python
//! cargo run --release --example guests
//! ```
//!
//! It prints the table of docs/guests.md. Run it in the folder of the repository, and on a machine that does nothing else.
#![allow(clippy::print_stdout, reason = "what an example shows, it prints")]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use greenroom::{
    CallOptions, Runtime,
    registry::{LoadOptions, Registry},
    spec::{Code, FunctionSpec, Limits, Source, WasmSpec},
    wasm::{CacheOptions, Engine, EngineOptions},
};
use serde_json::{Value, json};

/// Calls after the first, of which the median is shown.
const WARM_CALLS: usize = 200;

/// Each toolchain with a function of a guest that it built: registry, id, arguments.
fn guests() -> Vec<(&'static str, &'static str, &'static str, Vec<Value>)> {
    let title = || vec![json!("Crème brûlée, twice")];
    vec![
        ("C: component", "registry-examples/compute", "compute:lazy", vec![json!(6), json!(7)]),
        ("C: component with libc", "registry-examples/env-and-mounts", "env-and-mounts:read_env", vec![json!("MODE")]),
        ("Rust: component", "registry-examples/rust", "rust:slugify", title()),
        ("Rust: `wasi:cli/run` component", "registry-examples/commands", "commands:poem", Vec::new()),
        ("Rust: preview 1 module", "registry-examples/commands", "commands:poem_p1", Vec::new()),
        ("JavaScript: componentize-js", "target/guests/javascript", "javascript:slug", title()),
        ("Python: componentize-py", "target/guests/python", "python:slug", title()),
    ]
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("| toolchain | size | cold compile | cached load | first call | warm call |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let mut absent = Vec::new();
    for (toolchain, root, id, args) in guests() {
        match measure(Path::new(root), id, args).await? {
            Some(row) => println!("| {toolchain} | {row} |"),
            None => absent.push(format!("{root} is not built; run registry-examples/guests/build.sh")),
        }
    }
    absent.iter().for_each(|line| println!("\n{line}"));
    Ok(())
}

/// One row; `None` when the guest is not built.
async fn measure(root: &Path, id: &str, args: Vec<Value>) -> Result<Option<String>, Box<dyn std::error::Error>> {
    if !root.join("_index.yaml").exists() {
        return Ok(None);
    }
    let (registry, _) = Registry::load(root, &LoadOptions::default()).map_err(|diagnostics| diagnostics.to_string())?;
    let function = registry.functions().iter().find(|function| function.id.as_str() == id);
    let function = function.ok_or_else(|| format!("{} has no function {id}", root.display()))?.clone();
    let place = tempfile::tempdir()?;
    let cache = CacheOptions::Directory { path: place.path().to_owned(), max_bytes: CacheOptions::MAX_BYTES_DEFAULT };

    let size = std::fs::metadata(file(&function)?)?.len();
    let cold = prepare(&function, cache.clone())?;
    let cached = prepare(&function, cache.clone())?;

    let runtime = Runtime::builder().name(id.replace(':', "-")).cache(cache).registry(root).only([id]).start().await?;
    let mut times = Vec::with_capacity(WARM_CALLS);
    for _ in 0..=WARM_CALLS {
        let start = Instant::now();
        runtime.call_json(id, args.clone(), CallOptions::default()).await?;
        times.push(start.elapsed());
    }
    runtime.shutdown(Duration::from_secs(10)).await;
    let first = times.remove(0);
    times.sort();
    let warm = times[times.len() / 2];
    let shown = [cold, cached, first, warm].map(time).join(" | ");
    Ok(Some(format!("{} | {shown}", bytes(size))))
}

/// How long it takes from the file to a function that can make instances, in an engine of its own.
fn prepare(function: &FunctionSpec, cache: CacheOptions) -> Result<Duration, Box<dyn std::error::Error>> {
    let engine = Engine::new(EngineOptions { cache, ..EngineOptions::default() })?;
    // The engine makes its pool of instances meanwhile, once for all functions: not what one function takes.
    let any = Source::Text(r#"(module (func (export "any")))"#.into());
    let any = WasmSpec { source: any, method: "any".to_owned(), sha256: None, wit: None, ..code(function)?.clone() };
    engine.prepare(&function.id, &any, &Limits::default()).map_err(|errors| format!("{errors:?}"))?;
    let start = Instant::now();
    engine.prepare(&function.id, code(function)?, &function.limits).map_err(|errors| format!("{errors:?}"))?;
    Ok(start.elapsed())
}

fn code(function: &FunctionSpec) -> Result<&WasmSpec, String> {
    match &function.code {
        Code::Wasm(code) => Ok(code),
        _ => Err(format!("{} is not WebAssembly", function.id)),
    }
}

fn file(function: &FunctionSpec) -> Result<std::path::PathBuf, String> {
    match &code(function)?.source {
        Source::File { directory, path } => Ok(directory.join(path.trim_start_matches('/'))),
        _ => Err(format!("{} is in no file", function.id)),
    }
}

fn bytes(count: u64) -> String {
    match count {
        0..1_000_000 => format!("{} KB", count.div_ceil(1000)),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

fn time(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..1e3 => format!("{micros:.0} µs"),
        ..1e6 => format!("{:.1} ms", micros / 1e3),
        _ => format!("{:.1} s", micros / 1e6),
    }
}
