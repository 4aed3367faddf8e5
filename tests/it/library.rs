//! Greenroom as a library: runtimes from registries and from Rust, what they share with their embedder, and the example
//! that embeds one.

use std::{
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use greenroom::{
    Builder, CallOptions, Context, ErrorKind, FunctionFault, Runtime, StartError,
    ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent},
    registry::{LoadOptions, Registry},
    spec::{Capabilities, Code, FunctionSpec, Limits, PoolSpec, Source, Transport, WasiSpec, WasmSpec},
};
use serde_json::{Value, json};

use crate::{
    cli::program,
    examples::Copy,
    registry::{Root, id},
};

/// A guest that tells the host each time it runs.
const TELLS: &str = r#"
entries:
  - name: tell
    kind: function.wat
    source: |
      (module
        (import "test:lab/gate" "pass" (func $pass (param i32) (result i32)))
        (func (export "tell") (param i32) (result i32) (call $pass (local.get 0))))
    wit: |
      package test:lab;
      interface gate { pass: func(n: s32) -> s32; }
      world lab { import gate; export tell: func(n: s32) -> s32; }
    method: tell
"#;

/// The host's side of [`TELLS`]: doubles, and counts.
fn with_gate(builder: Builder, passed: &Arc<AtomicUsize>) -> Builder {
    let passed = passed.clone();
    builder.host("test:lab/gate", move |linker| {
        let passed = passed.clone();
        linker.func_wrap("pass", move |_, (n,): (i32,)| {
            passed.fetch_add(1, Ordering::SeqCst);
            Ok((n * 2,))
        })
    })
}

/// A small runtime. Runtimes of one process need names of their own.
fn named(name: &str) -> Builder {
    Runtime::builder().name(name).guest_threads(1).instances_max(100)
}

/// A function built in Rust that has one number for an answer.
fn constant(name: &str, number: i32) -> FunctionSpec {
    let text = format!("(module (func (export \"f\") (result i32) i32.const {number}))");
    let code = WasmSpec {
        source: Source::Text(text.into()),
        sha256: None,
        wit: None,
        method: "f".to_owned(),
        imports: Capabilities::NONE,
        wasi: WasiSpec::default(),
        reuse: 1,
        transport: Transport::Payload,
    };
    FunctionSpec { id: id(name), code: Code::Wasm(code), pool: PoolSpec::inline(), limits: Limits::default() }
}

#[tokio::test]
async fn calls_are_typed_json_or_with_options() {
    let copy = Copy::new();
    let runtime = named("lib-typed").registry(copy.root("compute")).start().await.unwrap();
    assert_eq!(runtime.call::<i32>("compute:lazy", (6, 7)).await.unwrap(), 42);
    assert_eq!(runtime.call::<i64>("compute:static", [6, 7]).await.unwrap(), 42);
    let args = vec![json!(6), json!(7)];
    assert_eq!(runtime.call_json("compute:inline", args, CallOptions::default()).await.unwrap(), json!(42));
    let options = CallOptions::timeout(Duration::from_secs(60)).with_context(Context::default());
    assert_eq!(runtime.call_with::<u8>("compute:adaptive", (6, 7), options).await.unwrap(), 42);

    let wrong = runtime.call::<i32>("compute:lazy", (6, "7")).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Invalid);
    assert!(wrong.message().starts_with("args[1]: expected s32"), "{wrong}");
    let unlike = runtime.call::<String>("compute:lazy", (6, 7)).await.unwrap_err();
    assert!(unlike.kind() == ErrorKind::Invalid && unlike.message().starts_with("result: "), "{unlike:?}");
    assert_eq!(runtime.call::<i32>("compute:nope", (6, 7)).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_loaded_registry_is_as_good_as_its_folder() {
    let copy = Copy::new();
    let (registry, _) = Registry::load(&copy.root("answer"), &LoadOptions::default()).unwrap();
    let runtime = named("lib-loaded").loaded(registry).start().await.unwrap();
    assert_eq!(runtime.call::<i32>("answer:answer", ()).await.unwrap(), 42);
    assert_eq!(runtime.registry().unwrap().entries().len(), 2);
}

#[tokio::test]
async fn only_what_is_asked_for_is_compiled() {
    let root = Root::with(
        "entries:
  - name: assets
    kind: fs.directory
    directory: .
  - name: bad
    kind: function.wasm
    fs: assets
    path: /bad.wasm
    hash: sha256:18364c36169f5fdf6d8dfcdc9567dc50d8de8c4ad20b99ee8725ca8f516abd3a
    method: bad
  - name: good
    kind: function.wat
    source: (module (func (export \"good\") (result i32) i32.const 7))
    method: good
",
    );
    root.write("bad.wasm", "this is no WebAssembly");
    let runtime = named("lib-only").registry(root.path()).only(["myns:good"]).start().await.unwrap();
    assert_eq!(runtime.functions(), [id("myns:good")]);
    assert_eq!(runtime.call::<i32>("myns:good", ()).await.unwrap(), 7);
    assert_eq!(runtime.call::<i32>("myns:bad", ()).await.unwrap_err().kind(), ErrorKind::NotFound);
    let all = named("lib-all").registry(root.path()).start().await;
    let Err(StartError::Registry(diagnostics)) = all else { panic!("it started") };
    let errors: Vec<_> = diagnostics.errors().collect();
    assert!(matches!(errors.as_slice(), [error] if error.entry() == Some(&id("myns:bad"))), "{diagnostics}");
    assert!(diagnostics.to_string().contains("WebAssembly"), "{diagnostics}");
}

#[tokio::test]
async fn functions_of_rust_stand_beside_those_of_a_registry() {
    let copy = Copy::new();
    let builder = named("lib-beside").registry(copy.root("answer")).function(constant("rust:seven", 7));
    let runtime = builder.start().await.unwrap();
    assert_eq!(runtime.functions(), ["answer:answer", "answer:answer_from_file", "rust:seven"].map(id));
    assert_eq!(runtime.call::<i32>("answer:answer", ()).await.unwrap(), 42);
    assert_eq!(runtime.call::<i32>("rust:seven", ()).await.unwrap(), 7);
}

#[tokio::test]
async fn a_runtime_needs_no_registry_and_no_functions() {
    let runtime = named("lib-bare").function(constant("rust:seven", 7)).start().await.unwrap();
    assert!(runtime.registry().is_none());
    assert_eq!(runtime.call::<i32>("rust:seven", ()).await.unwrap(), 7);
    assert!(named("lib-empty").start().await.unwrap().functions().is_empty());
}

#[tokio::test]
async fn two_functions_with_one_id_are_refused() {
    let copy = Copy::new();
    let builder = named("lib-twice").registry(copy.root("answer")).function(constant("answer:answer", 7));
    let Err(StartError::Registry(diagnostics)) = builder.start().await else { panic!("it started") };
    assert_eq!(diagnostics.iter().next().unwrap().message(), "two entries have this id");

    let builder = named("lib-twins").function(constant("rust:f", 1)).function(constant("rust:f", 2));
    let Err(StartError::Tree(greenroom_actors::StartError::Functions(faults))) = builder.start().await else {
        panic!("it started")
    };
    assert!(matches!(faults.as_slice(), [FunctionFault::Duplicate { id: twice }] if *twice == id("rust:f")));
}

#[tokio::test]
async fn an_interface_of_the_embedder_is_called_by_guests() {
    let root = Root::with(TELLS);
    let passed = Arc::<AtomicUsize>::default();
    let runtime = with_gate(named("lib-host"), &passed).registry(root.path()).start().await.unwrap();
    assert_eq!(runtime.call::<i32>("myns:tell", (21,)).await.unwrap(), 42);
    assert_eq!(runtime.call::<i32>("myns:tell", (4,)).await.unwrap(), 8);
    assert_eq!(passed.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_interface_that_nobody_provides_is_named() {
    let root = Root::with(TELLS);
    let Err(StartError::Registry(diagnostics)) = named("lib-no-host").registry(root.path()).start().await else {
        panic!("it started")
    };
    assert!(diagnostics.to_string().contains("test:lab/gate"), "{diagnostics}");
}

#[tokio::test]
async fn a_value_of_the_environment_that_changes_is_seen_by_the_next_call() {
    let copy = Copy::new();
    let builder = named("lib-environment").registry(copy.root("env-and-mounts"));
    let runtime = builder.only(["env-and-mounts:read_env"]).start().await.unwrap();
    let place = async || runtime.call::<Option<String>>("env-and-mounts:read_env", ("PLACE",)).await.unwrap();
    assert_eq!(place().await.as_deref(), Some("a file"));
    let environment = runtime.registry().unwrap().environment();
    environment.set("PLACE", "here").unwrap();
    assert_eq!(place().await.as_deref(), Some("here"));
    environment.set("env-and-mounts:place", "there").unwrap();
    assert_eq!(place().await.as_deref(), Some("there"));
    assert!(environment.set("GREETING", "Bye").unwrap_err().to_string().contains("readonly"));
}

#[tokio::test]
async fn a_call_without_its_required_variable_is_invalid_and_not_started() {
    let variable = "  - name: memory
    kind: env.storage.memory
  - name: key
    kind: env.variable
    storage: memory
";
    let wasi = "    wasi:\n      env:\n        - id: key\n          name: KEY\n          required: true\n";
    let root = Root::with(&format!("{TELLS}{wasi}{variable}"));
    let passed = Arc::<AtomicUsize>::default();
    let runtime = with_gate(named("lib-required"), &passed).registry(root.path()).start().await.unwrap();
    let error = runtime.call::<i32>("myns:tell", (1,)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("`KEY`") && error.message().contains("`myns:key`"), "{error}");
    assert_eq!(passed.load(Ordering::SeqCst), 0);
    runtime.registry().unwrap().environment().set("myns:key", "k").unwrap();
    assert_eq!(runtime.call::<i32>("myns:tell", (1,)).await.unwrap(), 2);
    assert_eq!(passed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn errors_of_all_entries_are_reported_at_their_lines() {
    let root = Root::with(
        "entries:
  - name: text
    kind: function.wat
    source: (module (func (export \"text\") (result i32)))
    method: text
  - name: sound
    kind: function.wat
    source: (module (func (export \"sound\")))
    method: sound
  - name: method
    kind: function.wat
    source: (module (func (export \"f\")))
    method: nope
",
    );
    let Err(StartError::Registry(diagnostics)) = named("lib-errors").registry(root.path()).start().await else {
        panic!("it started")
    };
    let file = root.path().join("_index.yaml").display().to_string();
    let mut found: Vec<_> = diagnostics
        .errors()
        .map(|error| (error.entry().unwrap().to_string(), error.file().unwrap(), error.position().unwrap().0))
        .collect();
    found.sort();
    let expected = [("myns:method".to_owned(), file.as_str(), 13), ("myns:text".to_owned(), file.as_str(), 4)];
    assert_eq!(found, expected, "{diagnostics}");
    let shown = diagnostics.to_string();
    assert!(shown.contains(&format!("{file}:4:")) && shown.contains(&format!("{file}:13:")), "{shown}");
}

#[tokio::test]
async fn errors_of_files_and_fields_are_reported_together() {
    let root = Root::with("entries:\n  - name: f\n    kind: function.wot\n");
    root.write("other.yaml", "entries:\n  - name: g\n    kind: function.wat\n    sauce: (module)\n");
    let Err(StartError::Registry(diagnostics)) = named("lib-fields").registry(root.path()).start().await else {
        panic!("it started")
    };
    let shown = diagnostics.to_string();
    assert!(shown.contains("_index.yaml:3:") && shown.contains("other.yaml:4:"), "{shown}");
}

/// A supervisor of the embedder, which counts its children that end.
struct Embedder;

impl Actor for Embedder {
    type Msg = ();
    type State = Arc<AtomicUsize>;
    type Arguments = Arc<AtomicUsize>;

    async fn pre_start(
        &self,
        _: ActorRef<()>,
        ended: Arc<AtomicUsize>,
    ) -> Result<Arc<AtomicUsize>, ActorProcessingErr> {
        Ok(ended)
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        event: SupervisionEvent,
        ended: &mut Arc<AtomicUsize>,
    ) -> Result<(), ActorProcessingErr> {
        if matches!(event, SupervisionEvent::ActorTerminated(..) | SupervisionEvent::ActorFailed(..)) {
            ended.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_linked_runtime_outlives_its_handle_and_ends_with_its_supervisor() {
    let copy = Copy::new();
    let ended = Arc::<AtomicUsize>::default();
    let (supervisor, joined) = Actor::spawn(None, Embedder, ended.clone()).await.unwrap();
    let builder = named("lib-linked").registry(copy.root("compute"));
    let runtime = builder.start_linked(supervisor.get_cell()).await.unwrap();
    let (root, dispatcher) = (runtime.root(), runtime.dispatcher("compute:lazy").unwrap());
    drop(runtime);
    let args = greenroom::Payload::Json(vec![json!(6), json!(7)]);
    let answer = greenroom::ractor::call!(dispatcher, greenroom::CallMessage::call, args).unwrap();
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(ended.load(Ordering::SeqCst), 0);
    supervisor.stop(None);
    joined.await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), root.wait(None)).await.expect("the tree ends").unwrap();
}

#[tokio::test]
async fn two_runtimes_live_side_by_side_under_two_names() {
    let copy = Copy::new();
    let one = named("lib-one").registry(copy.root("answer")).start().await.unwrap();
    let taken = named("lib-one").registry(copy.root("answer")).start().await;
    let Err(StartError::Tree(error)) = taken else { panic!("it started") };
    assert!(error.to_string().contains("is another runtime of this name running?"), "{error}");
    let two = named("lib-two").registry(copy.root("answer")).start().await.unwrap();

    assert!(one.shutdown(Duration::from_secs(60)).await);
    assert_eq!(one.call::<i32>("answer:answer", ()).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(two.call::<Value>("answer:answer", ()).await.unwrap(), json!(42));
}

#[test]
fn the_example_of_an_embedded_service_survives_a_trap_and_prints_the_metrics() {
    let program = program();
    let example = Path::new(program.get_program()).with_file_name("examples").join("embedded_service");
    let output = Command::new(&example).output().unwrap_or_else(|error| {
        panic!("{}: {error}; `cargo build --examples` makes it, and `cargo test` does too", example.display())
    });
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}{}", String::from_utf8_lossy(&output.stderr));
    let expected = [
        "below the service: greenroom",
        "[84, 2]: 42",
        "[1, 0]: internal: `limits:divide`: the guest trapped: integer division by zero",
        "[-6, 3]: -2",
        "the functions have ended; every call had finished: true",
    ];
    assert_eq!(stdout.lines().take(expected.len()).collect::<Vec<_>>(), expected);
    let scrape = prometheus_parse::Scrape::parse(stdout.lines().skip(expected.len()).map(|line| Ok(line.to_owned())));
    let calls = |outcome: &str| {
        let samples = scrape.as_ref().unwrap().samples.iter();
        let mut found = samples.filter(|sample| {
            sample.metric == "greenroom_calls_total"
                && sample.labels.get("function") == Some("limits:divide")
                && sample.labels.get("outcome") == Some(outcome)
        });
        found.next().map(|sample| sample.value.clone())
    };
    assert_eq!(calls("ok"), Some(prometheus_parse::Value::Counter(2.0)));
    assert_eq!(calls("internal"), Some(prometheus_parse::Value::Counter(1.0)));
}
