//! What the tests of WebAssembly share: specs, an engine, and calls on a small runtime.

use std::{future::Future, sync::Arc, time::Duration};

use greenroom_actors::{
    Answer, CallError, Context, Payload,
    executor::{Executor, Instance},
    spec::{Capabilities, FunctionId, Limits, Source, Transport, WasiSpec, WasmSpec},
    wasm::{Engine, EngineOptions, PrepareError, Prepared, to_json},
};
use serde_json::Value;

/// An engine with room for a few instances.
pub fn engine() -> Engine {
    Engine::new(EngineOptions { instances_max: 8, ..EngineOptions::default() }).unwrap()
}

pub fn id() -> FunctionId {
    FunctionId::new("app", "f").unwrap()
}

/// A function of WebAssembly text, with nothing granted.
pub fn text(source: &str, method: &str) -> WasmSpec {
    spec(Source::Text(source.into()), method)
}

pub fn spec(source: Source, method: &str) -> WasmSpec {
    WasmSpec {
        source,
        sha256: None,
        wit: None,
        method: method.to_owned(),
        imports: Capabilities::NONE,
        wasi: WasiSpec::default(),
        reuse: 1,
        transport: Transport::Payload,
    }
}

pub fn with_wit(mut spec: WasmSpec, wit: &str) -> WasmSpec {
    spec.wit = Some(wit.to_owned());
    spec
}

pub fn prepare(spec: &WasmSpec) -> Prepared {
    engine().prepare(&id(), spec, &Limits::default()).unwrap()
}

/// The only error of a function that cannot be prepared.
pub fn refused(spec: &WasmSpec) -> PrepareError {
    let mut errors = engine().prepare(&id(), spec, &Limits::default()).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

/// Runs a future to its end, and fails the test when it has none.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), future).await.expect("it came to no end") })
}

pub async fn run(prepared: &Prepared, instance: &mut Box<dyn Instance>, args: Value) -> Result<Value, CallError> {
    run_with(prepared, instance, Context::default(), args).await
}

/// [`run`] with a context.
pub async fn run_with(
    prepared: &Prepared,
    instance: &mut Box<dyn Instance>,
    context: Context,
    args: Value,
) -> Result<Value, CallError> {
    let args = Payload::Vals(prepared.signature.encode(&args)?);
    let context = Arc::new(context);
    match instance.run(args, &context).await? {
        Answer::Val(val) => Ok(to_json(val.as_ref(), prepared.signature.result.as_ref())),
        Answer::Json(_) | Answer::Http => panic!("WebAssembly answers with values"),
    }
}

/// One call on a fresh instance.
pub fn call(prepared: &Prepared, args: Value) -> Result<Value, CallError> {
    call_with(prepared, Context::default(), args)
}

/// One call that carries a context, on a fresh instance.
pub fn call_with(prepared: &Prepared, context: Context, args: Value) -> Result<Value, CallError> {
    block_on(async {
        let mut instance = prepared.function.make().await?;
        run_with(prepared, &mut instance, context, args).await
    })
}

/// The binary form of a text.
pub fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}
