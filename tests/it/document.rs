//! The reference document's snippets, in `registry-examples/document`: what they load to, and what their functions
//! answer. The same snippets inline, and every other field, are in `registry` and `registry_fields`.

use std::time::Duration;

use greenroom::{
    ErrorKind, Runtime,
    registry::{LoadOptions, Registry},
    spec::Transport,
    spec::{Capability, FunctionSpec, OnFull, PoolSpec, Sizing},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    examples::Copy,
    registry::{id, only, wasm},
};

fn load(copy: &Copy, name: &str) -> Registry {
    let (registry, diagnostics) = Registry::load(&copy.root(name), &LoadOptions::default()).unwrap();
    assert!(diagnostics.is_empty(), "{diagnostics}");
    registry
}

fn function<'a>(registry: &'a Registry, name: &str) -> &'a FunctionSpec {
    registry.function(&id(name)).unwrap_or_else(|| panic!("no function {name}"))
}

async fn start(copy: &Copy, registry: &str, name: &str) -> Runtime {
    Runtime::builder().registry(copy.root(registry)).name(name).guest_threads(1).start().await.unwrap()
}

#[derive(Serialize)]
struct User {
    id: u32,
    name: &'static str,
    tags: &'static [&'static str],
    active: bool,
}

/// The users of the document's Lua snippet.
const USERS: [User; 3] = [
    User { id: 1, name: "Alice", tags: &["admin", "dev"], active: true },
    User { id: 2, name: "Bob", tags: &["user"], active: false },
    User { id: 3, name: "Carol", tags: &["dev"], active: true },
];

#[tokio::test]
async fn every_function_of_the_entries_answers() {
    let copy = Copy::new();
    let runtime = start(&copy, "document/entries", "document-entries").await;
    let ids: Vec<_> = runtime.functions().iter().map(ToString::to_string).collect();
    let expected = ["answer", "compute", "filter_active", "greet_wasm", "sleep_ms", "transform_users"];
    assert_eq!(ids, expected.map(|name| format!("myns:{name}")));

    assert_eq!(runtime.call::<i32>("myns:answer", ()).await.unwrap(), 42);
    assert_eq!(runtime.call::<i32>("myns:compute", (6, 7)).await.unwrap(), 42);
    let greeting: String = runtime.call("myns:greet_wasm", ("World",)).await.unwrap();
    assert_eq!(greeting, "Hello, World!");
    let slept: u64 = runtime.call("myns:sleep_ms", (20,)).await.unwrap();
    assert!(slept >= 20, "{slept}");
}

#[tokio::test]
async fn the_pipeline_takes_the_document_s_users() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Shown {
        name: String,
        display: String,
        tag_count: u32,
    }
    let copy = Copy::new();
    let runtime = start(&copy, "document/entries", "document-pipeline").await;
    let transformed: Vec<Shown> = runtime.call("myns:transform_users", (USERS,)).await.unwrap();
    let shown =
        |name: &str, display: &str, tag_count| Shown { name: name.to_owned(), display: display.to_owned(), tag_count };
    assert_eq!(
        transformed,
        [shown("Alice", "Alice [admin, dev]", 2), shown("Bob", "Bob [user]", 1), shown("Carol", "Carol [dev]", 1),]
    );
    let active: Value = runtime.call("myns:filter_active", (USERS,)).await.unwrap();
    assert_eq!(active, json!([USERS[0], USERS[2]]));
}

#[tokio::test]
async fn the_second_forms_answer_as_the_first() {
    let copy = Copy::new();
    let runtime = start(&copy, "document/again", "document-again").await;
    assert_eq!(runtime.call::<i32>("myns:answer", ()).await.unwrap(), 42);
    assert_eq!(runtime.call::<i32>("myns:compute", (6, 7)).await.unwrap(), 42);
    assert_eq!(runtime.functions().len(), 2);
}

#[tokio::test]
async fn the_functions_of_the_fields_answer_and_a_required_variable_is_required() {
    let copy = Copy::new();
    let runtime = start(&copy, "document/fields", "document-fields").await;
    for name in ["myns:static", "myns:lazy", "myns:adaptive", "myns:limited"] {
        assert_eq!(runtime.call::<i32>(name, (6, 7)).await.unwrap(), 42, "{name}");
    }
    let error = runtime.call::<Option<String>>("myns:surroundings", ("API_KEY",)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("myns:api_key"), "{error}");
}

#[test]
fn pools_have_exactly_the_numbers_of_the_snippets() {
    let copy = Copy::new();
    let fields = load(&copy, "document/fields");
    let idle_timeout = PoolSpec::IDLE_TIMEOUT_DEFAULT;
    let pool = |name: &str| function(&fields, name).pool.clone();
    let expected = |sizing, buffer| PoolSpec { sizing, buffer, on_full: OnFull::Refuse };
    assert_eq!(pool("myns:static"), expected(Sizing::Static { workers: 2, size: 4 }, 16));
    assert_eq!(pool("myns:lazy"), expected(Sizing::Lazy { max_size: 8, idle_timeout }, 8 * 64));
    let adaptive = Sizing::Adaptive { max_size: 16, warm_start: true, idle_timeout };
    assert_eq!(pool("myns:adaptive"), expected(adaptive, 16 * 64));

    let entries = load(&copy, "document/entries");
    assert_eq!(function(&entries, "myns:answer").pool, expected(Sizing::Inline, 64));
    let lazy = expected(Sizing::Lazy { max_size: 4, idle_timeout }, 4 * 64);
    for name in ["myns:compute", "myns:transform_users", "myns:filter_active"] {
        assert_eq!(function(&entries, name).pool, lazy, "{name}");
    }
}

#[test]
fn pools_have_the_defaults_that_the_document_gives() {
    let with = |pool: &str| {
        let wat = "entries:\n  - name: f\n    kind: function.wat\n    source: (module)\n    method: f\n";
        only(&format!("{wat}    pool:\n{pool}")).pool
    };
    assert_eq!(with("      type: static\n      workers: 3\n").buffer, 3 * 64);
    assert_eq!(with("      type: static\n      size: 4\n      workers: 2\n").buffer, 2 * 64);
    assert_eq!(with("      type: lazy\n").sizing.workers_max(), 100);
    assert_eq!(with("      type: adaptive\n").sizing.workers_max(), 100);
    assert_eq!(
        with("      type: adaptive\n").sizing,
        Sizing::Adaptive { max_size: 100, warm_start: false, idle_timeout: PoolSpec::IDLE_TIMEOUT_DEFAULT }
    );
}

#[test]
fn limits_and_wasi_have_exactly_the_values_of_the_snippets() {
    let copy = Copy::new();
    let fields = load(&copy, "document/fields");
    assert_eq!(function(&fields, "myns:limited").limits.max_execution, Some(Duration::from_millis(5000)));
    assert_eq!(function(&fields, "myns:static").limits.max_execution, None);

    let wasi = &wasm(function(&fields, "myns:surroundings")).wasi;
    assert_eq!(wasi.args, ["--verbose"]);
    assert_eq!(wasi.cwd.as_deref(), Some("/app"));
    let env: Vec<_> = wasi.env.iter().map(|env| (env.variable.id(), env.name.as_str(), env.required)).collect();
    assert_eq!(env, [("myns:api_key", "API_KEY", true), ("myns:debug_mode", "DEBUG", false)]);
    let mounts: Vec<_> = wasi
        .mounts
        .iter()
        .map(|mount| (mount.host.file_name().unwrap(), mount.guest.as_str(), mount.read_only))
        .collect();
    assert_eq!(mounts, [("data".as_ref(), "/data", true), ("output".as_ref(), "/output", false)]);
}

#[test]
fn methods_grants_and_transports_are_those_of_the_snippets() {
    let copy = Copy::new();
    let entries = load(&copy, "document/entries");
    let sleep = wasm(function(&entries, "myns:sleep_ms"));
    assert_eq!(sleep.method, "test-sleep#sleep-ms");
    assert_eq!(sleep.imports.iter().collect::<Vec<_>>(), [Capability::Io, Capability::Clocks]);
    let transform = wasm(function(&entries, "myns:transform_users"));
    assert_eq!((transform.method.as_str(), transform.imports.iter().count()), ("transform-users", 0));
    assert_eq!(wasm(function(&entries, "myns:greet_wasm")).transport, Transport::WasiHttp);
    assert_eq!(wasm(function(&entries, "myns:compute")).transport, Transport::Payload);
}

#[test]
fn the_endpoint_of_the_snippets_belongs_to_the_default_server() {
    let copy = Copy::new();
    let entries = load(&copy, "document/entries");
    let [server] = entries.servers() else { panic!("{:?}", entries.servers()) };
    assert_eq!((&server.id, server.addr.as_str(), server.routers.len()), (&None, "127.0.0.1:8080", 1));
    let [endpoint] = server.routers[0].endpoints.as_slice() else { panic!("{:?}", server.routers) };
    assert_eq!((&endpoint.method, endpoint.path.as_str()), (&Some(http::Method::POST), "/api/greet"));
    assert_eq!((&endpoint.function, endpoint.transport), (&id("myns:greet_wasm"), Transport::WasiHttp));
    let entry = entries.entries().iter().find(|entry| entry.id == id("myns:greet_endpoint")).unwrap();
    assert!(entry.sound && !entry.inert);
    assert!(entry.file.ends_with("myns/greet.yaml"), "{entry:?}");
    assert_eq!(entry.summary, "POST /api/greet → greet_wasm, on 127.0.0.1:8080");
}

#[tokio::test]
async fn the_snippets_of_lua_run_unchanged_and_have_what_the_document_says() {
    let copy = Copy::new();
    let runtime = start(&copy, "document/lua", "document-lua").await;
    for name in ["myns:call_compute", "myns:call_pipeline"] {
        assert_eq!(runtime.call::<Value>(name, ()).await.unwrap(), Value::Null, "{name} returns nothing");
    }
    // The same code, which tells what it found.
    for (file, told) in [("compute", "return { result, err }"), ("pipeline", "return { transformed, active, err }")] {
        let path = copy.root("document/lua").join(format!("myns/{file}.lua"));
        let snippet = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, snippet + told).unwrap();
    }
    let runtime = start(&copy, "document/lua", "document-lua-told").await;
    assert_eq!(runtime.call::<Value>("myns:call_compute", ()).await.unwrap(), json!([42]));
    let [transformed, active]: [Vec<Value>; 2] = runtime.call("myns:call_pipeline", ()).await.unwrap();
    let displays: Vec<_> = transformed.iter().map(|user| user["display"].as_str().unwrap()).collect();
    assert_eq!(displays, ["Alice [admin, dev]", "Bob [user]", "Carol [dev]"]);
    let names: Vec<_> = active.iter().map(|user| user["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Alice", "Carol"]);
}
