//! Guests that wait hold no thread: far more of them than there are threads sleep at once, and all go when they are let go.

use std::path::Path;

use greenroom_actors::{
    CallOptions, Runtime,
    spec::{Capability, Code, FunctionSpec, Limits, PoolSpec, Source, Transport, WasiSpec, WasmSpec},
};

use crate::tree::{metrics, until};

/// Calls that sleep at once.
const CALLS: usize = 1500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_more_calls_sleep_at_once_than_there_are_threads() {
    let metrics = metrics();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../registry-examples/sleep/wasm");
    let code = WasmSpec {
        source: Source::File { directory: folder, path: "sleep_test.wasm".to_owned() },
        sha256: None,
        wit: None,
        method: "sleep-ms".to_owned(),
        imports: [Capability::Clocks].into_iter().collect(),
        wasi: WasiSpec::default(),
        reuse: 1,
        transport: Transport::Payload,
    };
    let limits = Limits::default();
    let pool = PoolSpec::lazy(CALLS);
    let spec = FunctionSpec { id: "asleep:f".parse().unwrap(), code: Code::Wasm(code), pool, limits };
    let builder = Runtime::builder().name("asleep").instances_max(CALLS + 1).guest_threads(2);
    let runtime = builder.function(spec).start().await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    let day = 24 * 3600 * 1000;
    for _ in 0..CALLS {
        let runtime = runtime.clone();
        calls.spawn(async move { runtime.call_json("asleep:f", vec![day.into()], CallOptions::default()).await });
    }
    let asleep = || metrics.instances("asleep:f", "running") as usize;
    until("all of them sleep", || asleep() == CALLS).await;
    // Callers that go away take their calls with them.
    calls.abort_all();
    while calls.join_next().await.is_some() {}
    until("all of them are gone", || asleep() == 0 && runtime.instances_available() >= 1).await;
    let slept: u64 = runtime.call("asleep:f", (1_u64,)).await.unwrap();
    assert!(slept >= 1);
}
