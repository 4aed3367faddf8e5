//! Every outcome and every end is counted once, and Prometheus can read it.

use std::{collections::BTreeSet, time::Duration};

use greenroom_actors::{
    CallOptions, ErrorKind,
    spec::{Code, Limits, PoolSpec, Sizing, Source},
    wasm::{CacheOptions, Engine, EngineOptions},
};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::tree::{Gate, lab, metrics, until, wat, within};

#[tokio::test]
async fn n_calls_of_every_outcome_are_read_back_as_exactly_n() {
    let (gate, metrics) = (Gate::new(), metrics());
    let uses_clock = r#"(component
        (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock (export "now" (func (result u64)))))
        (core func $now (canon lower (func $clock "now")))
        (core module $m (import "c" "now" (func $now (result i64))) (func (export "run") (drop (call $now))))
        (core instance $i (instantiate $m (with "c" (instance (export "now" (func $now))))))
        (func (export "run") (canon lift (core func $i "run"))))"#;
    let runtime = gate
        .builder("metrics-outcomes")
        .function(lab("m:add", "add", PoolSpec::lazy(1)))
        .function(within(lab("m:spin", "spin", PoolSpec::lazy(1)), 20))
        .function(lab("m:wait", "wait", PoolSpec::inline().with_buffer(0)))
        .function(lab("m:trap", "trap", PoolSpec::lazy(1)))
        .function(wat("m:denied", uses_clock, None, "run", PoolSpec::lazy(1)))
        .start()
        .await
        .unwrap();
    let n = 7;
    let before = metrics.value("greenroom_calls_total", &[("function", "none"), ("outcome", "not_found")]);
    for _ in 0..n {
        runtime.call::<i32>("m:add", (1, 2)).await.unwrap();
        assert_eq!(runtime.call::<i32>("m:nothing", ()).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(runtime.call::<i32>("m:add", ("one", 2)).await.unwrap_err().kind(), ErrorKind::Invalid);
        assert_eq!(runtime.call::<()>("m:spin", ()).await.unwrap_err().kind(), ErrorKind::Timeout);
        assert_eq!(runtime.call::<()>("m:trap", ()).await.unwrap_err().kind(), ErrorKind::Internal);
        assert_eq!(runtime.call::<()>("m:denied", ()).await.unwrap_err().kind(), ErrorKind::PermissionDenied);
        let held = tokio::spawn({
            let runtime = runtime.clone();
            async move { runtime.call::<u32>("m:wait", (1,)).await }
        });
        until("it runs", || gate.held() == 1).await;
        assert_eq!(runtime.call::<u32>("m:wait", (2,)).await.unwrap_err().kind(), ErrorKind::RateLimited);
        held.abort();
        until("it is gone", || gate.held() == 0).await;
    }
    let calls = |function: &str, outcome: &str| {
        metrics.value("greenroom_calls_total", &[("function", function), ("outcome", outcome)])
    };
    until("the last one was counted", || calls("m:wait", "canceled") == f64::from(n)).await;
    let ends = |function: &str, reason: &str| {
        metrics.value("greenroom_worker_ends_total", &[("function", function), ("reason", reason)])
    };
    until("the last worker has ended", || ends("m:wait", "canceled") + ends("m:spin", "deadline") == f64::from(2 * n))
        .await;
    runtime.shutdown(Duration::from_secs(60)).await;
    for _ in 0..n {
        assert_eq!(runtime.call::<i32>("m:add", (1, 2)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let n = f64::from(n);
    until("the workers that were left have ended", || ends("m:add", "shutdown") == 1.0).await;
    for (function, outcome) in [
        ("m:add", "ok"),
        ("m:add", "invalid"),
        ("m:add", "unavailable"),
        ("m:spin", "timeout"),
        ("m:trap", "internal"),
        ("m:denied", "permission_denied"),
        ("m:wait", "rate_limited"),
        ("m:wait", "canceled"),
    ] {
        assert_eq!(calls(function, outcome), n, "{function} {outcome}");
    }
    assert_eq!(calls("none", "not_found") - before, n);
    let of = |name: &str, function: &str| metrics.value(name, &[("function", function)]);
    assert_eq!((ends("m:spin", "deadline"), ends("m:wait", "canceled"), ends("m:trap", "crash")), (n, n, 0.0));
    for function in ["m:add", "m:spin", "m:wait", "m:trap"] {
        assert_eq!(histogram_count(&metrics.text(), "greenroom_call_duration_seconds", function), n, "{function}");
    }
    assert_eq!(histogram_count(&metrics.text(), "greenroom_queue_wait_seconds", "m:spin"), n);
    assert_eq!(histogram_count(&metrics.text(), "greenroom_kill_lateness_seconds", "m:spin"), n);
    // One for each call, and those that were made ahead for calls that never came.
    assert!(of("greenroom_instances_made_total", "m:trap") >= n);
    let restarts = [("function", "m:spin"), ("actor", "worker")];
    assert_eq!(
        metrics.value("greenroom_restarts_total", &restarts),
        n - 1.0,
        "each call but the first has a new worker"
    );
}

#[tokio::test]
async fn a_function_has_one_series_until_its_first_call_and_then_all() {
    let (gate, metrics) = (Gate::new(), metrics());
    let builder = gate.builder("metrics-idle");
    let builder = builder.function(lab("m:idle", "add", PoolSpec::lazy(1)));
    let runtime = builder.function(lab("m:warm", "add", PoolSpec::fixed(1, 1))).start().await.unwrap();
    let series = |function: &str| {
        let label = format!("{{function=\"{function}\"");
        metrics.text().lines().filter(|line| line.contains(&label)).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(series("m:idle"), ["greenroom_calls_total{function=\"m:idle\",outcome=\"ok\"} 0"]);
    assert!(series("m:warm").len() > 30, "one whose workers are there from the start is seen from the start");
    runtime.call::<i32>("m:idle", (1, 2)).await.unwrap();
    let found = series("m:idle");
    for series in [
        "greenroom_calls_total{function=\"m:idle\",outcome=\"ok\"} 1",
        "greenroom_calls_total{function=\"m:idle\",outcome=\"timeout\"} 0",
        "greenroom_worker_ends_total{function=\"m:idle\",reason=\"crash\"} 0",
        "greenroom_kill_lateness_seconds_count{function=\"m:idle\"} 0",
    ] {
        assert!(found.iter().any(|found| found == series), "no {series} in {found:#?}");
    }
}

/// How many observations a histogram of a function has.
fn histogram_count(text: &str, name: &str, function: &str) -> f64 {
    let line = format!("{name}_count{{function=\"{function}\"}} ");
    let value =
        text.lines().find_map(|found| found.strip_prefix(&line)).unwrap_or_else(|| panic!("no {line} in\n{text}"));
    value.parse().unwrap()
}

#[test]
fn what_is_compiled_and_what_the_cache_has_is_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let directory = tempfile::tempdir().unwrap();
    let spec = lab("m:cached", "add", PoolSpec::lazy(1));
    let Code::Wasm(mut wasm) = spec.code else { panic!("the laboratory is WebAssembly") };
    wasm.source = Source::Text(r#"(module (func (export "cached") (result i32) (i32.const 20261)))"#.into());
    (wasm.wit, wasm.method) = (None, "cached".to_owned());
    // The recorder of this thread alone: other tests compile, too.
    metrics::with_local_recorder(&recorder, || {
        for _ in 0..4 {
            let cache = CacheOptions::Directory { path: directory.path().to_owned(), max_bytes: 1 << 20 };
            let options = EngineOptions { cache, instances_max: 1, ..EngineOptions::default() };
            Engine::new(options).unwrap().prepare(&spec.id, &wasm, &Limits::default()).unwrap();
        }
    });
    let text = handle.render();
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).map(str::to_owned);
    assert_eq!(value("greenroom_cache_misses_total").as_deref(), Some("1"), "{text}");
    assert_eq!(value("greenroom_cache_hits_total").as_deref(), Some("3"), "{text}");
    assert_eq!(value("greenroom_compile_seconds_count").as_deref(), Some("4"), "loads count, too: {text}");
}

#[tokio::test]
async fn guest_memory_and_instances_that_fail_are_read_back() {
    let metrics = metrics();
    let memory = r#"(module (memory 2) (func (export "grow") (result i32) (memory.grow (i32.const 3))))"#;
    let failing = r#"(module (func $start unreachable) (start $start) (func (export "run")))"#;
    let runtime = Gate::new()
        .builder("metrics-memory")
        .function(wat("m:memory", memory, None, "grow", PoolSpec::new(Sizing::Static { workers: 1, size: 1 })))
        .function(wat("m:failing", failing, None, "run", PoolSpec::lazy(1)))
        .start()
        .await
        .unwrap();
    let bytes = || metrics.value("greenroom_guest_memory_bytes", &[("function", "m:memory")]);
    // With what a guest that grows has ready for it.
    until("the ready instance has its pages", || bytes() == (2.0 + 16.0) * 65_536.0).await;
    assert_eq!(runtime.call::<i32>("m:memory", ()).await.unwrap(), 2);
    until("the next one has as many", || bytes() == (2.0 + 16.0) * 65_536.0).await;
    assert_eq!(runtime.call::<()>("m:failing", ()).await.unwrap_err().kind(), ErrorKind::Internal);
    let failed = metrics.value("greenroom_instances_failed_total", &[("function", "m:failing")]);
    assert!(failed >= 1.0, "{failed}");
    let ended = metrics.value("greenroom_worker_ends_total", &[("function", "m:failing"), ("reason", "instance")]);
    assert!(ended >= 1.0, "{ended}");
    runtime.shutdown(Duration::ZERO).await;
    until("no memory is left", || bytes() == 0.0).await;
}

#[tokio::test]
async fn what_is_rendered_parses_as_prometheus_text_and_every_metric_has_a_help_line() {
    let metrics = metrics();
    let runtime =
        Gate::new().builder("metrics-text").function(lab("m:text", "add", PoolSpec::lazy(1))).start().await.unwrap();
    runtime.call_with::<i32>("m:text", (1, 2), CallOptions::default()).await.unwrap();
    let text = metrics.text();
    let scrape = prometheus_parse::Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let names: BTreeSet<_> = scrape.samples.iter().map(|sample| sample.metric.clone()).collect();
    for name in [
        "greenroom_calls_total",
        "greenroom_call_duration_seconds",
        "greenroom_queue_wait_seconds",
        "greenroom_queue_depth",
        "greenroom_workers",
        "greenroom_worker_ends_total",
        "greenroom_instances",
        "greenroom_instances_made_total",
        "greenroom_instances_failed_total",
        "greenroom_restarts_total",
        "greenroom_guest_memory_bytes",
        "greenroom_compile_seconds",
    ] {
        assert!(names.iter().any(|found| found.starts_with(name)), "{name} is missing from {names:?}");
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no help line");
    }
}

#[tokio::test]
async fn a_call_that_ends_with_its_dispatcher_has_run_and_nothing_is_left_of_it_in_the_gauges() {
    let (gate, metrics) = (Gate::new(), metrics());
    let spec = lab("m:ended", "wait", PoolSpec::lazy(1));
    let runtime = gate.builder("metrics-ended").function(spec).start().await.unwrap();
    let of = |name: &str| metrics.value(name, &[("function", "m:ended")]);
    let calls = [1, 2].map(|n: u32| {
        let runtime = runtime.clone();
        tokio::spawn(async move { runtime.call::<u32>("m:ended", (n,)).await })
    });
    until("one call runs and the other waits", || gate.held() == 1 && of("greenroom_queue_depth") == 1.0).await;
    runtime.dispatcher("m:ended").unwrap().kill();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    }
    for name in ["greenroom_queue_wait_seconds", "greenroom_call_duration_seconds"] {
        assert_eq!(histogram_count(&metrics.text(), name, "m:ended"), 1.0, "{name}: one was started");
    }
    until("nothing waits", || of("greenroom_queue_depth") == 0.0).await;
    assert_eq!(metrics.workers("m:ended"), 0.0);
}

#[tokio::test]
async fn the_gauges_of_a_runtime_that_has_ended_are_zero() {
    let metrics = metrics();
    let spec = lab("m:over", "add", PoolSpec::fixed(2, 2));
    let runtime = Gate::new().builder("metrics-over").function(spec).start().await.unwrap();
    until("its workers are there", || metrics.workers("m:over") == 2.0).await;
    assert!(runtime.shutdown(Duration::from_secs(60)).await);
    until("they are gone", || metrics.workers("m:over") == 0.0).await;
}
