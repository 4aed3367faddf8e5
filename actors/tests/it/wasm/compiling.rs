//! Compiled code: once for equal bytes, and found again on disk.

use std::{fs, path::Path, thread};

use greenroom_actors::{
    spec::Limits,
    wasm::{CacheOptions, Engine, EngineError, EngineOptions},
};
use serde_json::json;

use super::fixture::*;

fn module(answer: u32) -> String {
    format!(
        r#"(module (func (export "f") (result i32) i32.const {answer}) (func (export "g") (result i32) i32.const 0))"#
    )
}

fn cached_in(directory: &Path) -> Engine {
    let cache = CacheOptions::Directory { path: directory.to_owned(), max_bytes: CacheOptions::MAX_BYTES_DEFAULT };
    Engine::new(EngineOptions { instances_max: 2, cache, ..EngineOptions::default() }).unwrap()
}

#[test]
fn equal_bytes_are_compiled_once_by_concurrent_preparations() {
    let engine = engine();
    let prepared: Vec<_> = thread::scope(|scope| {
        let one = |method| engine.prepare(&id(), &text(&module(1), method), &Limits::default()).unwrap();
        let threads: Vec<_> = ["f", "g", "f", "g"].map(|method| scope.spawn(move || one(method))).into_iter().collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(engine.compilations(), 1);
    assert!(prepared.iter().all(|other| other.function.shares_code_with(&prepared[0].function)));
    engine.prepare(&id(), &text(&module(2), "f"), &Limits::default()).unwrap();
    assert_eq!(engine.compilations(), 2);
    // Code that no function uses any more is let go.
    drop(prepared);
    engine.prepare(&id(), &text(&module(1), "f"), &Limits::default()).unwrap();
    assert_eq!(engine.compilations(), 3);
}

#[test]
fn a_second_engine_finds_what_the_first_compiled() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("made/when/needed");
    let answer = |engine: &Engine| {
        let prepared = engine.prepare(&id(), &text(&module(5), "f"), &Limits::default()).unwrap();
        assert_eq!(call(&prepared, json!([])).unwrap(), json!(5));
        engine.cache_hits_and_misses()
    };
    assert_eq!(answer(&cached_in(&place)), (0, 1));
    assert_eq!(answer(&cached_in(&place)), (1, 0));
    // Damaged files are compiled anew.
    let mut damaged = 0;
    for file in files(&place) {
        fs::write(file, b"damaged").unwrap();
        damaged += 1;
    }
    assert!(damaged > 0);
    assert_eq!(answer(&cached_in(&place)), (0, 1));
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn compilations_and_the_cache_are_in_the_metrics() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let text = metrics::with_local_recorder(&recorder, || {
        for answer in [7, 8, 7] {
            let engine = cached_in(directory.path());
            engine.prepare(&id(), &text(&module(answer), "f"), &Limits::default()).unwrap();
        }
        recorder.handle().render()
    });
    for line in ["greenroom_cache_hits_total 1", "greenroom_cache_misses_total 2", "greenroom_compile_seconds_count 3"]
    {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
}

#[cfg(unix)]
#[test]
fn a_new_cache_directory_is_private() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("cache");
    cached_in(&place);
    assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_cache_that_cannot_be_used_is_gone_without() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    let engine = cached_in(&file);
    let prepared = engine.prepare(&id(), &text(&module(6), "f"), &Limits::default()).unwrap();
    assert_eq!(call(&prepared, json!([])).unwrap(), json!(6));
    assert_eq!(engine.cache_hits_and_misses(), (0, 0));
}

#[test]
fn an_engine_without_instances_is_refused() {
    let error = Engine::new(EngineOptions { instances_max: 0, ..EngineOptions::default() }).unwrap_err();
    assert!(matches!(error, EngineError::NoInstances));
}
