//! What a file may look like, and how files come together.

use greenroom::ErrorKind;
use serde_json::json;

use super::{call, entry, item, lua, once, start};
use crate::registry::Root;

#[tokio::test]
async fn a_file_is_a_table_of_functions_or_defines_a_global_or_is_the_call_itself() {
    for (at, fields, source) in [
        ("table", "", "return { main = function(a, b) return a - b end, other = print }"),
        ("named", "method: minus", "local function minus(a, b) return a - b end\nreturn { minus = minus }"),
        ("global", "method: minus", "function minus(a, b) return a - b end"),
        ("main", "", "function main(a, b) return a - b end"),
        ("body", "", "local a, b = ...\nreturn a - b"),
        ("body-of-method", "method: whatever", "local a, b = ...\nreturn a - b"),
    ] {
        assert_eq!(once(&format!("form-{at}"), fields, source, json!([44, 2])).await.unwrap(), json!(42), "{at}");
    }
    assert_eq!(once("form-nothing", "", "local x = 1", json!([])).await.unwrap(), json!(null));
    assert_eq!(once("form-data", "", "return { main = 1 }", json!([])).await.unwrap(), json!({"main": 1}));
}

#[tokio::test]
async fn a_table_of_functions_without_the_method_says_so() {
    let error = once("form-missing", "method: run", "return { main = function() end }", json!([])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(error.message(), "the file returns a table of functions, and none of them is `run`");
}

#[tokio::test]
async fn a_file_stands_beside_the_yaml_and_tracebacks_name_it() {
    let root = Root::with("entries:\n  - {name: f, kind: function.lua, source: \"file://deep/f.lua\"}\n");
    root.write(
        "deep/f.lua",
        "local function inner()\n  error('no luck')\nend\nreturn { main = function() inner() end }",
    );
    let runtime = start("file", &root).await;
    let error = call(&runtime, json!([])).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "deep/f.lua:2: no luck"));
    let backtrace = error.backtrace().unwrap();
    assert!(backtrace.contains("deep/f.lua:2: in upvalue 'inner'"), "{backtrace}");
    assert!(backtrace.contains("deep/f.lua:4: in "), "{backtrace}");
}

#[tokio::test]
async fn each_call_finds_a_new_vm_unless_the_entry_lets_instances_serve_several() {
    let counts = "count = (count or 0) + 1\nstring.count = (string.count or 0) + 1\nreturn { count, string.count }";
    let root = lua("pool: {type: static, size: 1}", counts);
    let runtime = start("fresh", &root).await;
    for _ in 0..3 {
        assert_eq!(call(&runtime, json!([])).await.unwrap(), json!([1, 1]));
    }
    let counts = "local count = 0\nreturn { main = function() count = count + 1 return count end }";
    let root = lua("pool: {type: static, size: 1, reuse: 2}", counts);
    let runtime = start("reuse", &root).await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(call(&runtime, json!([])).await.unwrap());
    }
    assert_eq!(seen, [json!(1), json!(2), json!(1), json!(2)]);
}

#[tokio::test]
async fn libraries_are_required_by_the_names_of_imports_and_run_once() {
    let mut yaml = entry(
        "f",
        "imports: {text: lib, again: \"myns:lib\"}",
        "local text = require('text')\nlocal again = require('again')\n\
         return { main = function(s) return { text.twice(s), text == again, text.runs(), seen } end }",
    );
    yaml.push_str(
        "  - name: lib\n    kind: library.lua\n    imports: {base: base}\n    source: |\n      runs = (runs or 0) + 1\n      \
         seen = 'not by others'\n      local base = require('base')\n      \
         return { twice = function(s) return base.join(s, s) end, runs = function() return runs end }\n  \
         - name: base\n    kind: library.lua\n    modules: [json]\n    source: |\n      \
         return { join = function(a, b) return json.encode({a, b}) end }\n",
    );
    let runtime = start("library", &Root::with(&yaml)).await;
    assert_eq!(call(&runtime, json!(["x"])).await.unwrap(), json!([r#"["x","x"]"#, true, 1]));
}

#[tokio::test]
async fn what_is_neither_in_modules_nor_in_imports_cannot_be_required() {
    for (at, name, kind, expected) in [
        (
            "json",
            "json",
            ErrorKind::PermissionDenied,
            "`json` is not in the entry's `modules`; add it: `modules: [json]`",
        ),
        (
            "io",
            "io",
            ErrorKind::Internal,
            "there is no module `io`; there are channel, env, errors, funcs, http, \
            http_client, json, logger, process, time, and of `imports`: lib",
        ),
        ("path", "./lib", ErrorKind::Internal, "there is no module `./lib`"),
    ] {
        let mut yaml = entry("f", "imports: {lib: lib}", &format!("return require('{name}')"));
        // What a library may use is its own: the file that imports it has none of it.
        yaml.push_str("  - {name: lib, kind: library.lua, modules: [json], source: return 1}\n");
        let runtime = start(&format!("require-{at}"), &Root::with(&yaml)).await;
        let error = call(&runtime, json!([])).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().starts_with(expected), "{error}");
    }
}

#[tokio::test]
async fn listed_modules_are_globals_of_functions_and_others_are_not() {
    let source = "return { type(json), type(funcs), type(errors), type(channel), type(process), type(require) }";
    let answer = once("globals", "modules: [json]", source, json!([])).await.unwrap();
    assert_eq!(answer, json!(["table", "nil", "table", "table", "nil", "function"]));
}

#[tokio::test]
async fn every_pool_runs_functions_in_lua() {
    for (at, pool) in ["inline", "lazy", "static", "adaptive"].into_iter().enumerate() {
        let root = Root::with(&format!(
            "{}{}",
            entry("f", &format!("pool: {{type: {pool}}}\nmodules: [funcs]"), "return funcs.call('g', ...)"),
            item("g", "", "local a, b = ...\nreturn a * b")
        ));
        let runtime = start(&format!("pool-{at}"), &root).await;
        assert_eq!(call(&runtime, json!([6, 7])).await.unwrap(), json!(42), "{pool}");
    }
}

#[tokio::test]
async fn a_file_that_defines_functions_and_returns_nothing_is_meant_to_have_the_method() {
    let error = once("typo", "method: reprot", "function report() end", json!([])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    let expected = "the file defines the function `report` and no `reprot`, which is the entry's `method`";
    assert_eq!(error.message(), expected);
}

#[tokio::test]
async fn what_is_loaded_has_the_globals_of_its_file_alone() {
    let yaml = entry(
        "f",
        "imports: {lib: lib}",
        "name = 'mine'\nlocal lib = require('lib')\nload('seen = name')()\n\
         return { seen, load('return type(require)')(), lib, leak == nil }",
    ) + "  - {name: lib, kind: library.lua, source: \"load('leak = 1')() return name == nil and leak\"}\n";
    let runtime = start("load", &Root::with(&yaml)).await;
    assert_eq!(call(&runtime, json!([])).await.unwrap(), json!(["mine", "function", 1, true]));
}

#[tokio::test]
async fn a_mark_of_the_encoding_and_a_line_for_the_shell_are_no_lua() {
    let root = Root::with("entries:\n  - {name: f, kind: function.lua, source: \"file://f.lua\"}\n");
    root.write("f.lua", "\u{feff}#!/usr/bin/env lua\nerror('here')");
    let runtime = start("shebang", &root).await;
    assert_eq!(call(&runtime, json!([])).await.unwrap_err().message(), "f.lua:2: here");
}

#[tokio::test]
async fn what_a_call_left_in_the_background_ends_with_it_also_where_instances_are_kept() {
    let yaml = entry(
        "f",
        "modules: [funcs]\npool: {type: static, size: 1, reuse: 9}",
        "if ... then kept = funcs.async('sleeps') end\nreturn kept ~= nil",
    ) + &item("sleeps", "modules: [time]", "time.sleep('1h')");
    let runtime = start("reuse-left", &Root::with(&yaml)).await;
    assert_eq!(call(&runtime, json!([true])).await.unwrap(), json!(true));
    while runtime.tree().await.functions.iter().any(|function| function.calls > 0) {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}
