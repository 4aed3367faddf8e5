//! The same guest in JavaScript and in Python: values, waiting, failing, and the limits that interpreters meet.

use std::{
    path::Path,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures::future::join_all;
use greenroom::{CallOptions, ErrorKind, Runtime};
use greenroom_actors::wasm::CacheOptions;
use serde_json::{Value, json};

use super::built::built;
use crate::{
    cli::{CACHE, greenroom},
    registry::Root,
};

/// A runtime of one guest thread that finds compiled code in the cache of all tests.
pub async fn start(name: &str, root: &Path) -> Runtime {
    let builder = Runtime::builder().name(name).guest_threads(1).instances_max(100);
    builder
        .cache(CacheOptions::Directory { path: CACHE.into(), max_bytes: 1 << 30 })
        .registry(root)
        .start()
        .await
        .unwrap()
}

async fn call(runtime: &Runtime, function: &str, args: Value) -> Result<Value, greenroom::CallError> {
    let Value::Array(args) = args else { panic!("{args}") };
    runtime.call_json(function, args, CallOptions::default()).await
}

async fn answer(runtime: &Runtime, function: &str, args: Value) -> Value {
    call(runtime, function, args).await.unwrap()
}

/// The guest with one entry in place of its registry: these fields below `method`.
fn with_entry(language: &str, root: &Path, method: &str, fields: &str) -> Root {
    let text = std::fs::read_to_string(root.join("_index.yaml")).unwrap();
    let hash = text.lines().find(|line| line.contains(" hash: ")).unwrap();
    let own = Root::with(&format!(
        "namespace: {language}\nentries:\n  - name: wasm\n    kind: fs.directory\n    directory: .\n\n  - name: f\n    \
         kind: function.wasm\n    fs: wasm\n    path: /scripting.wasm\n{hash}\n    method: {method}\n{fields}"
    ));
    let place = own.path().join("scripting.wasm");
    let built = root.join("wasm/scripting.wasm");
    // On one disk, no copy.
    std::fs::hard_link(&built, &place).or_else(|_| std::fs::copy(&built, &place).map(drop)).unwrap();
    own
}

/// All that the guests may use here.
const IMPORTS: &str = "    imports: [wasi:cli, wasi:io, wasi:clocks, wasi:filesystem, wasi:random]\n";

/// The tests of both languages, each with the language's name and the registry of its guest.
macro_rules! in_both {
    ($($test:ident)*) => {
        mod javascript {
            $(#[tokio::test]
            async fn $test() {
                if let Some(root) = super::built("javascript") {
                    super::$test("javascript", &root).await;
                }
            })*
        }
        mod python {
            $(#[tokio::test]
            async fn $test() {
                if let Some(root) = super::built("python") {
                    super::$test("python", &root).await;
                }
            })*
        }
    };
}

in_both! {
    values_of_every_kind_go_in_and_out
    arguments_that_do_not_fit_never_reach_the_guest
    many_calls_at_once_are_answered_each_with_its_own
    guests_that_sleep_share_a_thread
    an_endless_loop_is_ended_and_its_worker_replaced
    memory_that_is_refused_is_an_error_of_the_language
    memory_too_small_to_start_in_is_named
    an_exception_that_nothing_catches_fails_its_call_alone
    instances_are_fresh_unless_they_are_reused
    recursion_without_end_is_an_error_of_the_language
    a_variable_that_changes_is_seen_by_the_next_call
    clocks_and_random_numbers_are_the_hosts
    what_is_printed_is_a_line_of_the_log
    what_is_not_granted_is_named_when_it_is_used
}

async fn values_of_every_kind_go_in_and_out(language: &str, root: &Path) {
    let runtime = start(&format!("guests-values-{language}"), root).await;
    let function = |name: &str| format!("{language}:{name}");
    // Second and later calls as hard as the first.
    for round in 0..3 {
        for (title, slug) in
            [("Hello, World!", "hello-world"), ("Crème BRÛLÉE, twice", "crème-brûlée-twice"), ("", ""), ("--a--", "a")]
        {
            assert_eq!(answer(&runtime, &function("slug"), json!([title])).await, slug, "{round}");
        }
        let long = "word ".repeat(20_000);
        let slug = answer(&runtime, &function("slug"), json!([long])).await;
        assert_eq!(slug.as_str().unwrap().len(), long.len() - 1);

        let people =
            json!([[{"name": "A", "age": 3}, {"name": "B", "age": 5, "email": "b@x"}, {"name": "C", "age": 5}]]);
        let eldest = answer(&runtime, &function("eldest"), people).await;
        assert_eq!(eldest, json!({"name": "B", "age": 5, "email": "b@x"}));
        assert_eq!(answer(&runtime, &function("eldest"), json!([[]])).await, Value::Null);
        let without = answer(&runtime, &function("eldest"), json!([[{"name": "A", "age": 0, "email": null}]])).await;
        assert_eq!(without, json!({"name": "A", "age": 0, "email": null}));

        let summary = answer(&runtime, &function("summarize"), json!([" 3 1\n3 9 "])).await;
        let words = json!([["3", 2], ["1", 1], ["9", 1]]);
        assert_eq!(summary, json!({"ok": {"count": 4, "mean": 4.0, "median": 3.0, "words": words}}));
        assert_eq!(answer(&runtime, &function("summarize"), json!([""])).await, json!({"err": "empty"}));
        let wrong = answer(&runtime, &function("summarize"), json!(["1 two"])).await;
        assert_eq!(wrong, json!({"err": {"no-number": "two"}}));

        let found = answer(&runtime, &function("find_all"), json!(["[0-9]+", "a1 b22 c"])).await;
        assert_eq!(found, json!({"ok": ["1", "22"]}));
        let refused = answer(&runtime, &function("find_all"), json!(["(", "text"])).await;
        assert!(refused["err"].as_str().unwrap().to_lowercase().contains("error"), "{refused}");

        let document = r#"{"users": [{"name": "Ada ☃"}]}"#;
        let name = answer(&runtime, &function("pick"), json!([document, "users.0.name"])).await;
        assert_eq!(name, json!({"ok": "\"Ada ☃\""}));
        let none = answer(&runtime, &function("pick"), json!([document, "users.1"])).await;
        assert_eq!(none, json!({"err": "there is no `1`"}));
        assert!(answer(&runtime, &function("pick"), json!(["{", ""])).await["err"].is_string());
    }
}

async fn arguments_that_do_not_fit_never_reach_the_guest(language: &str, root: &Path) {
    let runtime = start(&format!("guests-wrong-{language}"), root).await;
    for (function, args, names) in [
        ("slug", json!([7]), "args[0]"),
        ("slug", json!([]), "expected 1 argument"),
        ("eldest", json!([[{"name": "A"}]]), "age"),
        ("eldest", json!([[{"name": "A", "age": -1}]]), "args[0][0].age"),
        ("eldest", json!([[{"name": "A", "age": 1, "shoes": 2}]]), "shoes"),
        ("recurse", json!([1.5]), "args[0]"),
    ] {
        let error = call(&runtime, &format!("{language}:{function}"), args).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{function}: {error}");
        assert!(error.message().contains(names), "{function}: {error}");
    }
}

async fn many_calls_at_once_are_answered_each_with_its_own(language: &str, root: &Path) {
    let runtime = start(&format!("guests-many-{language}"), root).await;
    let function = format!("{language}:slug");
    let calls = (0..50).map(|n| {
        let (runtime, function) = (&runtime, &function);
        async move { answer(runtime, function, json!([format!("Number {n}")])).await }
    });
    let answers = join_all(calls).await;
    assert_eq!(answers, (0..50).map(|n| json!(format!("number-{n}"))).collect::<Vec<_>>());
}

async fn guests_that_sleep_share_a_thread(language: &str, root: &Path) {
    const CALLS: u32 = 10;
    const SLEEP: Duration = Duration::from_secs(2);
    let runtime = start(&format!("guests-sleep-{language}"), root).await;
    let function = format!("{language}:nap");
    let start = Instant::now();
    let ms = u64::try_from(SLEEP.as_millis()).unwrap();
    let naps = join_all((0..CALLS).map(|_| answer(&runtime, &function, json!([ms])))).await;
    assert!(naps.iter().all(|nap| nap.as_f64().unwrap() >= 0.99 * ms as f64), "{naps:?}");
    // One after the other they would take this long; the guests have one thread.
    assert!(start.elapsed() < SLEEP * CALLS, "{:?}", start.elapsed());
}

async fn an_endless_loop_is_ended_and_its_worker_replaced(language: &str, root: &Path) {
    let root = with_entry(
        language,
        root,
        "spin",
        &format!(
            "{IMPORTS}    pool:\n      type: lazy\n      max_size: 1\n    limits:\n      max_execution_ms: 2000\n"
        ),
    );
    let runtime = start(&format!("guests-spin-{language}"), &root.path()).await;
    let function = format!("{language}:f");
    // One worker: the second call has another, and the same end.
    for _ in 0..2 {
        let error = call(&runtime, &function, json!([])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!(error.message().contains("max_execution_ms"), "{error}");
    }
    // A caller that has no time is heard, too.
    let options = CallOptions::timeout(Duration::from_millis(100));
    let error = runtime.call_json(&function, Vec::new(), options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
}

async fn memory_that_is_refused_is_an_error_of_the_language(language: &str, root: &Path) {
    let runtime = start(&format!("guests-memory-{language}"), root).await;
    let function = format!("{language}:hold");
    for _ in 0..2 {
        let refused = answer(&runtime, &function, json!([1000])).await;
        assert!(refused["err"].as_str().unwrap().to_lowercase().contains("memory"), "{refused}");
        assert_eq!(answer(&runtime, &function, json!([10])).await, json!({"ok": 10}));
    }
}

async fn memory_too_small_to_start_in_is_named(language: &str, root: &Path) {
    let root = with_entry(
        language,
        root,
        "slug",
        &format!("{IMPORTS}    pool:\n      type: inline\n    limits:\n      max_memory_bytes: 1048576\n"),
    );
    let runtime = start(&format!("guests-small-{language}"), &root.path()).await;
    let error = call(&runtime, &format!("{language}:f"), json!(["A b"])).await.unwrap_err();
    assert!(error.message().contains("limits.max_memory_bytes"), "{error}");
}

async fn an_exception_that_nothing_catches_fails_its_call_alone(language: &str, root: &Path) {
    let runtime = start(&format!("guests-fail-{language}"), root).await;
    for _ in 0..2 {
        let error = call(&runtime, &format!("{language}:fail"), json!(["boom"])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
        assert!(error.message().contains("unreachable"), "{error}");
        assert_eq!(answer(&runtime, &format!("{language}:slug"), json!(["A b"])).await, "a-b");
    }
    let done = greenroom(&["call", root.to_str().unwrap(), "fail", "the boom"]);
    assert!(done.stderr.contains("the boom"), "{done:?}");
}

async fn instances_are_fresh_unless_they_are_reused(language: &str, root: &Path) {
    let runtime = start(&format!("guests-reuse-{language}"), root).await;
    let function = format!("{language}:count");
    // `reuse: 3` on one worker.
    for expected in [1, 2, 3, 1, 2, 3, 1] {
        assert_eq!(answer(&runtime, &function, json!([])).await, expected);
    }
    let root = with_entry(language, root, "count", IMPORTS);
    let runtime = start(&format!("guests-fresh-{language}"), &root.path()).await;
    for _ in 0..3 {
        assert_eq!(answer(&runtime, &format!("{language}:f"), json!([])).await, 1);
    }
}

async fn recursion_without_end_is_an_error_of_the_language(language: &str, root: &Path) {
    let runtime = start(&format!("guests-recurse-{language}"), root).await;
    let function = format!("{language}:recurse");
    assert_eq!(answer(&runtime, &function, json!([200])).await, json!({"ok": 200}));
    let refused = answer(&runtime, &function, json!([10_000_000])).await;
    assert!(refused["err"].as_str().unwrap().contains("recursion"), "{refused}");
}

async fn a_variable_that_changes_is_seen_by_the_next_call(language: &str, root: &Path) {
    let runtime = start(&format!("guests-variable-{language}"), root).await;
    let function = format!("{language}:variable");
    assert_eq!(answer(&runtime, &function, json!(["GREETING"])).await, "Hello");
    assert_eq!(answer(&runtime, &function, json!(["PATH"])).await, Value::Null);
    runtime.registry().unwrap().environment().set("GREETING", "Bye").unwrap();
    assert_eq!(answer(&runtime, &function, json!(["GREETING"])).await, "Bye");
}

async fn clocks_and_random_numbers_are_the_hosts(language: &str, root: &Path) {
    let runtime = start(&format!("guests-clocks-{language}"), root).await;
    let seconds = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let before = seconds();
    let now = answer(&runtime, &format!("{language}:now"), json!([])).await.as_f64().unwrap();
    // The guest's clock may be coarser than the host's.
    assert!((before - 0.01..=seconds() + 0.01).contains(&now), "{now}");
    let numbers = join_all(
        (0..5).map(|_| async { answer(&runtime, &format!("{language}:chance"), json!([])).await.as_f64().unwrap() }),
    )
    .await;
    assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)), "{numbers:?}");
    // Fresh instances that were made from one snapshot must not repeat each other.
    assert!(numbers.windows(2).all(|pair| pair[0].to_bits() != pair[1].to_bits()), "{numbers:?}");
}

async fn what_is_printed_is_a_line_of_the_log(language: &str, root: &Path) {
    let done = greenroom(&["call", root.to_str().unwrap(), "say", "hello to the log"]);
    assert_eq!(done.code, 0, "{done:?}");
    let line = |line: &str| line.contains("hello to the log") && line.contains(&format!("{language}:say"));
    assert!(done.stderr.lines().any(line), "{done:?}");
}

async fn what_is_not_granted_is_named_when_it_is_used(language: &str, root: &Path) {
    let root = with_entry(language, root, "now", "");
    let path = root.path();
    let path = path.to_str().unwrap();
    let checked = greenroom(&["check", path]);
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.stderr.contains("to grant it, write `imports: ["), "{checked:?}");
    let done = greenroom(&["call", path, "f"]);
    assert_eq!(done.code, 7, "{done:?}");
    assert!(done.stderr.contains("add `imports: [wasi:"), "{done:?}");
}
