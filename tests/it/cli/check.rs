//! `greenroom check`: all errors of all entries, and the table of what there is.

use super::{EXAMPLES, greenroom};
use crate::registry::Root;

/// Three functions with one fault each: a wrong hash, a misspelt method, a misspelt type of pool.
fn three_faults() -> Root {
    let root = Root::new();
    root.write("wasm/compute.wasm", std::fs::read(format!("{EXAMPLES}/compute/wasm/compute.wasm")).unwrap());
    let right = "f108e2bb033a6faf604c7ffa1a5cddb1958aa9218dfb9914244328a1e7d48d66";
    let wrong = right.replace('f', "0");
    let entry = |name: &str, hash: &str, method: &str, pool: &str| {
        format!(
            "  - name: {name}\n    kind: function.wasm\n    fs: assets\n    path: /compute.wasm\n    hash: \
             sha256:{hash}\n    method: {method}\n    pool:\n      type: {pool}\n"
        )
    };
    let entries = [
        "entries:\n  - name: assets\n    kind: fs.directory\n    directory: ./wasm\n".to_owned(),
        entry("hash", &wrong, "compute", "inline"),
        entry("method", right, "compjute", "inline"),
        entry("pool", right, "compute", "inlin"),
        entry("right", right, "compute", "inline"),
    ];
    root.write("_index.yaml", entries.concat());
    root
}

#[test]
fn a_sound_registry_is_a_table_and_exit_code_0() {
    let done = greenroom(&["check", "compute"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    let lines: Vec<Vec<&str>> = done.stdout.lines().map(|line| line.split("  ").map(str::trim).collect()).collect();
    let words = |line: usize| lines[line].iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>();
    assert_eq!(words(0), ["id", "kind", "signature", "pool", "state"]);
    assert_eq!(
        words(1),
        ["compute:adaptive", "function.wasm", "func(a: s32, b: s32) -> s32", "adaptive, 1 to 16", "ok"]
    );
    assert_eq!(words(2), ["compute:assets", "fs.directory", "A directory of the host.", "ok"]);
    assert_eq!(words(5)[3], "static, 2 of 4");
    assert!(done.stdout.ends_with("\n5 entries: 0 errors, 0 warnings\n"), "{}", done.stdout);
}

#[test]
fn an_endpoint_whose_function_cannot_take_requests_is_an_error() {
    let root = Root::with(
        r#"entries:
  - name: f
    kind: function.wat
    source: '(module (func (export "f") (param i32)))'
    wit: "package a:b; world w { record asked { port: u32 } export f: func(request: asked); }"
    method: f
    transport: wasi-http
  - {name: get, kind: http.endpoint, method: GET, path: /, func: f}
"#,
    );
    let done = greenroom(&["check", root.path().to_str().unwrap()]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("in entry `myns:get`, field `func`"), "{}", done.stderr);
    assert!(done.stderr.contains("`port`"), "{}", done.stderr);
    // A handler of requests has no signature to show.
    let native = greenroom(&["check", "http-native"]);
    assert_eq!((native.code, native.stderr.as_str()), (0, ""));
    assert!(native.stdout.contains("handles HTTP requests"), "{}", native.stdout);
}

#[test]
fn a_fault_in_each_of_three_entries_is_three_errors() {
    let root = three_faults();
    let root = root.path();
    let done = greenroom(&["check", root.to_str().unwrap()]);
    assert_eq!(done.code, 1);
    assert!(done.stdout.ends_with("\n5 entries: 3 errors, 0 warnings\n"), "{}", done.stdout);
    assert_eq!(done.stderr.matches("error: ").count(), 3, "{}", done.stderr);
    for name in ["hash", "method", "pool"] {
        assert!(done.stderr.contains(&format!("in entry `myns:{name}`")), "{}", done.stderr);
    }
    assert!(done.stderr.contains("did you mean `inline`?"), "{}", done.stderr);

    let json = greenroom(&["check", "--format", "json", root.to_str().unwrap()]);
    assert_eq!(json.code, 1);
    assert_eq!(json.stderr, "");
    let json = json.json();
    let states: Vec<_> = json["entries"].as_array().unwrap().iter().map(|entry| entry["state"].as_str()).collect();
    assert_eq!(states, ["ok", "error", "error", "error", "ok"].map(Some));
    let mut entries: Vec<_> =
        json["diagnostics"].as_array().unwrap().iter().map(|found| found["entry"].as_str().unwrap()).collect();
    entries.sort();
    assert_eq!(entries, ["myns:hash", "myns:method", "myns:pool"]);
}

#[test]
fn warnings_do_not_change_the_exit_code() {
    let root = Root::with(
        "entries:\n  - {name: f, kind: function.lua, source: return require('json')}\n  - {name: h, kind: process.host}\n",
    );
    let done = greenroom(&["check", root.path().to_str().unwrap()]);
    assert_eq!(done.code, 0);
    assert!(done.stderr.contains("warning: ") && done.stderr.contains("`json` is required here"), "{done:?}");
    let line = |name: &str| done.stdout.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(line("myns:f").ends_with("warning"), "{done:?}");
    assert!(line("myns:h").ends_with("inert"), "{done:?}");
}

#[test]
fn endpoints_say_what_they_call_and_where_they_listen() {
    let done = greenroom(&["check", "document/entries"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    let endpoint = done.stdout.lines().find(|line| line.starts_with("myns:greet_endpoint")).unwrap();
    assert!(endpoint.contains("POST /api/greet → greet_wasm, on 127.0.0.1:8080"), "{endpoint}");
    assert!(endpoint.ends_with("ok"), "{endpoint}");
}

#[test]
fn every_example_is_sound() {
    for example in ["answer", "compute", "document/again", "document/entries", "limits", "pipeline", "sleep", "strings"]
    {
        let done = greenroom(&["check", "--format=json", example]);
        assert_eq!(done.code, 0, "{example}: {done:?}");
        assert!(!done.json()["entries"].as_array().unwrap().is_empty(), "{example}");
    }
}

#[test]
fn a_root_that_is_not_there_is_exit_code_1() {
    let done = greenroom(&["check", "nowhere"]);
    assert_eq!((done.code, done.stdout.as_str()), (1, ""));
    assert!(done.stderr.contains("there is no registry at `nowhere`"), "{done:?}");
    let json = greenroom(&["check", "--format=json", "nowhere"]);
    assert_eq!(json.code, 1);
    assert_eq!(json.json()["diagnostics"][0]["severity"], "error");
}
