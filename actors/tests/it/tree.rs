//! What the tests of the tree share: a laboratory of guests, gates that hold them, and the metrics they leave.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use greenroom_actors::{
    Runtime, RuntimeBuilder,
    spec::{Capabilities, Code, FunctionSpec, Limits, PoolSpec, Source, Transport, WasiSpec, WasmSpec},
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::sync::Semaphore;

/// A guest with an export for each way a call can go. `wait` asks the host and goes on when the host says so.
const LAB: &str = r#"
(module
  (import "test:lab/gate" "pass" (func $pass (param i32)))
  (global $calls (mut i32) (i32.const 0))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "count") (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (global.get $calls))
  (func (export "count-or-trap") (param i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (local.get 0) (then unreachable))
    (global.get $calls))
  (func (export "wait") (param i32) (result i32) (call $pass (local.get 0)) (local.get 0))
  (func (export "spin") (loop $again (br $again)))
  (func $down (export "recurse") (call $down))
  (func (export "trap") unreachable)
  (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "work") (param i32) (result i32)
    (local $i i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (local.get 0))))
    (local.get $i)))
"#;

const LAB_WIT: &str = "
package test:lab;
interface gate { pass: func(n: u32); }
world lab {
  import gate;
  export add: func(a: s32, b: s32) -> s32;
  export count: func() -> u32;
  export count-or-trap: func(trap: bool) -> u32;
  export wait: func(n: u32) -> u32;
  export spin: func();
  export recurse: func();
  export trap: func();
  export divide: func(a: s32, b: s32) -> s32;
  export work: func(n: u32) -> u32;
}";

/// Where guests that wait are held.
#[derive(Clone)]
pub struct Gate {
    open: Arc<Semaphore>,
    /// Guests that have come to the gate so far.
    come: Arc<AtomicUsize>,
    /// Guests at the gate now.
    held: Arc<AtomicUsize>,
}

struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Gate {
    pub fn new() -> Self {
        Self { open: Arc::new(Semaphore::new(0)), come: Arc::default(), held: Arc::default() }
    }

    /// Lets this many guests go on.
    pub fn release(&self, guests: usize) {
        self.open.add_permits(guests);
    }

    pub fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    pub fn come(&self) -> usize {
        self.come.load(Ordering::SeqCst)
    }

    /// A runtime whose guests wait at this gate.
    pub fn builder(&self, name: &str) -> RuntimeBuilder {
        let gate = self.clone();
        Runtime::builder().name(name).instances_max(300).guest_threads(2).host("test:lab/gate", move |linker| {
            let gate = gate.clone();
            linker.func_wrap_async("pass", move |_, (_,): (u32,)| {
                let gate = gate.clone();
                Box::new(async move {
                    gate.come.fetch_add(1, Ordering::SeqCst);
                    gate.held.fetch_add(1, Ordering::SeqCst);
                    let _held = Held(gate.held.clone());
                    gate.open.acquire().await?.forget();
                    Ok(())
                })
            })
        })
    }
}

/// A function of the laboratory.
pub fn lab(id: &str, method: &str, pool: PoolSpec) -> FunctionSpec {
    wat(id, LAB, Some(LAB_WIT), method, pool)
}

/// A function of WebAssembly text.
pub fn wat(id: &str, text: &str, wit: Option<&str>, method: &str, pool: PoolSpec) -> FunctionSpec {
    let code = WasmSpec {
        source: Source::Text(text.into()),
        sha256: None,
        wit: wit.map(str::to_owned),
        method: method.to_owned(),
        imports: Capabilities::NONE,
        wasi: WasiSpec::default(),
        reuse: 1,
        transport: Transport::Payload,
    };
    FunctionSpec { id: id.parse().unwrap(), code: Code::Wasm(code), pool, limits: Limits::default() }
}

/// The same function with a time limit.
pub fn within(mut spec: FunctionSpec, millis: u64) -> FunctionSpec {
    spec.limits.max_execution = Some(Duration::from_millis(millis));
    spec
}

/// The same function with instances that serve several calls.
pub fn reusing(mut spec: FunctionSpec, calls: u32) -> FunctionSpec {
    if let Code::Wasm(wasm) = &mut spec.code {
        wasm.reuse = calls;
    }
    spec
}

/// Waits until something is so, and fails the test when it does not come to be.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(120), waiting).await.is_ok(), "it did not come to be: {what}");
}

/// What the metrics say, once a recorder is installed. Functions of different tests have different ids.
pub struct Metrics(&'static PrometheusHandle);

/// Installs the recorder of this process. Call it before the runtime starts.
pub fn metrics() -> Metrics {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    Metrics(HANDLE.get_or_init(|| {
        let handle = PrometheusBuilder::new()
            .set_buckets(&[0.001, 0.01, 0.1, 1.0, 10.0])
            .unwrap()
            .install_recorder()
            .expect("no other recorder in this process");
        greenroom_actors::metrics::describe();
        handle
    }))
}

impl Metrics {
    pub fn text(&self) -> String {
        self.0.render()
    }

    /// The value of the one sample with this name and these labels, 0 when there is none.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let text = self.text();
        let scrape = prometheus_parse::Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap();
        let wanted = |sample: &&prometheus_parse::Sample| {
            sample.metric == name && labels.iter().all(|(key, value)| sample.labels.get(key) == Some(value))
        };
        let found: Vec<_> = scrape.samples.iter().filter(wanted).collect();
        assert!(found.len() <= 1, "{name} {labels:?} names {} samples", found.len());
        found.first().map_or(0.0, |sample| match &sample.value {
            prometheus_parse::Value::Counter(value)
            | prometheus_parse::Value::Gauge(value)
            | prometheus_parse::Value::Untyped(value) => *value,
            other => panic!("{name} is {other:?}"),
        })
    }

    /// Workers of a function, whatever they do.
    pub fn workers(&self, function: &str) -> f64 {
        let state = |state| self.value("greenroom_workers", &[("function", function), ("state", state)]);
        state("starting") + state("idle") + state("running")
    }

    /// Live instances of a function, by state.
    pub fn instances(&self, function: &str, state: &str) -> f64 {
        self.value("greenroom_instances", &[("function", function), ("state", state)])
    }
}
