//! Values between Lua and WebAssembly, and between Lua and JSON.

use greenroom::ErrorKind;
use serde_json::{Value, json};

use super::{call, entry, once, start};
use crate::registry::Root;

/// A component that gives back what it is given, for one type.
fn echo(ty: &str) -> String {
    // Of the canonical ABI's flat values, strings and lists are a pointer and a length, given back through memory.
    format!(
        r#"  - name: echo
    kind: function.wat
    wit: "echo: func(v: {ty}) -> {ty};"
    method: echo
    source: |
      (module
        (memory (export "memory") 2)
        (global $next (mut i32) (i32.const 1024))
        (func (export "cabi_realloc") (param $old i32) (param $size i32) (param $align i32) (param $new i32) (result i32)
          (local $at i32)
          (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
          (global.set $next (i32.add (local.get $at) (local.get $new)))
          (local.get $at))
        (func (export "echo") {body}))
"#,
        body = match ty {
            "u64" | "s64" => "(param i64) (result i64) (local.get 0)".to_owned(),
            "f64" => "(param f64) (result f64) (local.get 0)".to_owned(),
            "bool" | "char" | "u8" | "s32" => "(param i32) (result i32) (local.get 0)".to_owned(),
            "option<u32>" | "result<u32>" => "(param i32 i32) (result i32) (i32.store8 (i32.const 16) (local.get 0)) \
                (i32.store (i32.const 20) (local.get 1)) (i32.const 16)"
                .to_owned(),
            _ => "(param i32 i32) (result i32) (i32.store (i32.const 16) (local.get 0)) \
                (i32.store (i32.const 20) (local.get 1)) (i32.const 16)"
                .to_owned(),
        }
    )
}

/// What Lua code gives that calls `echo` of a type.
async fn echoed(at: &str, ty: &str, source: &str) -> Result<Value, greenroom::CallError> {
    let yaml = entry(
        "f",
        "modules: [funcs, json]",
        &format!("local function echo(v) return funcs.call('echo', v) end\n{source}"),
    );
    let runtime = start(&format!("values-{at}"), &Root::with(&(yaml + &echo(ty)))).await;
    call(&runtime, json!([])).await
}

#[tokio::test]
async fn values_come_back_from_webassembly_as_they_went() {
    for (at, ty, source, expected) in [
        ("bool", "bool", "return echo(true)", json!(true)),
        ("s32", "s32", "return { echo(-7), math.type(echo(7)), echo(7.0) }", json!([-7, "integer", 7])),
        ("s64", "s64", "return echo(math.mininteger) == math.mininteger", json!(true)),
        ("s64-text", "s64", "return echo('-9')", json!(-9)),
        (
            "f64",
            "f64",
            "return { echo(1), math.type(echo(1)), tostring(echo(1/0)), echo(0/0) ~= echo(0/0) }",
            json!([1.0, "float", "inf", true]),
        ),
        ("char", "char", "return echo('ä')", json!("ä")),
        ("string", "string", "return echo('héllo')", json!("héllo")),
        ("bytes", "list<u8>", "local s = echo('\\0\\255x')\nreturn { #s, s:byte(1, -1) }", json!([3, 0, 255, 120])),
        ("bytes-list", "list<u8>", "return { echo({104, 105}), #echo({}) }", json!(["hi", 0])),
        ("list", "list<u32>", "local l = echo({3, 2, 1})\nreturn { #l, l[1], l[3], #echo({}) }", json!([3, 3, 1, 0])),
        (
            "none",
            "option<u32>",
            "return { tostring(echo(nil)), tostring(echo(json.null)), echo(5) }",
            json!(["nil", "nil", 5]),
        ),
        (
            "result",
            "result<u32>",
            "return { echo({ok = 5}), echo({err = json.null}) }",
            json!([{"ok": 5}, {"err": null}]),
        ),
    ] {
        assert_eq!(echoed(at, ty, source).await.unwrap(), expected, "{at}");
    }
}

#[tokio::test]
async fn what_does_not_fit_a_type_names_its_path() {
    for (at, ty, source, expected) in [
        ("range", "u8", "return select(2, echo(256)):message()", "args[0]: expected u8 (0 to 255), got 256"),
        ("type", "s32", "return select(2, echo('x')):message()", "args[0]: expected s32, got string"),
        ("place", "list<u32>", "return select(2, echo({1, 'x'})):message()", "args[0][1]: expected u32, got string"),
        ("count", "s32", "return select(2, funcs.call('echo')):message()", "expected 1 argument (v: s32), got none"),
        ("record", "list<u32>", "return select(2, echo({a = 1})):message()", "args[0]: expected list<u32>, got object"),
        (
            "mixed",
            "list<u32>",
            "return select(2, echo({1, a = 1})):message()",
            "args[0]: a table has both positions and names as keys, and is neither a list nor an object",
        ),
        (
            "hole",
            "list<u32>",
            "return select(2, echo({1, nil, 3})):message()",
            "args[0]: a list has holes: put `json.null` where there is nothing",
        ),
        (
            "function",
            "s32",
            "return select(2, echo(print)):message()",
            "args[0]: a function cannot leave its function; values are nil, booleans, numbers, strings and tables of these",
        ),
    ] {
        let answer = echoed(at, ty, source).await.unwrap();
        let message = answer.as_str().unwrap();
        assert!(message.starts_with(expected), "{at}: {message}");
    }
}

#[tokio::test]
async fn an_unsigned_integer_beyond_luas_is_an_error_and_no_wrong_number() {
    let source = "local v, err = echo('18446744073709551615')\nreturn { tostring(v), err:kind(), err:message() }";
    let answer = echoed("u64", "u64", source).await.unwrap();
    let expected =
        "18446744073709551615 is beyond Lua's integers, which end at 9223372036854775807; pass it as a string";
    assert_eq!(answer, json!(["nil", "invalid", expected]));
    assert_eq!(echoed("u64-max", "u64", "return echo(math.maxinteger)").await.unwrap(), json!(i64::MAX));
    let error = once("u64-arg", "", "return ...", json!([u64::MAX])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().starts_with(expected), "{error}");
}

#[tokio::test]
async fn an_empty_table_is_the_list_or_the_record_that_is_asked_for() {
    let binaries = "  - {name: b, kind: fs.directory, directory: ./wasm}\n  - name: mapper\n    kind: function.wasm\n    \
        fs: b\n    path: mapper.wasm\n    hash: sha256:54e571f5fd1a9dc80af986689b3c3506f2a3fb7a31b5caa29545ff3c9d3d67e2\n    \
        method: filter-active\n";
    let source = "local none = funcs.call('mapper', {})\nlocal _, err = funcs.call('mapper', { {} })\n\
        local kept = funcs.call('mapper', { { id = 1, name = 'A', tags = {}, active = true } })\n\
        return { #none, err:message(), #kept[1].tags }";
    let root = Root::with(&(entry("f", "modules: [funcs]", source) + binaries));
    let mapper = std::path::Path::new(crate::cli::EXAMPLES).join("pipeline/wasm/mapper.wasm");
    root.write("wasm/mapper.wasm", std::fs::read(mapper).unwrap());
    let runtime = start("values-empty", &root).await;
    let answer = call(&runtime, json!([])).await.unwrap();
    assert_eq!((&answer[0], &answer[2]), (&json!(0), &json!(0)));
    let message = answer[1].as_str().unwrap();
    assert!(message.starts_with("args[0][0]: ") && message.contains("id"), "{message}");
}

#[tokio::test]
async fn json_goes_through_lua_and_keeps_what_it_is() {
    let value = json!({
        "text": "ä\u{0}", "list": [1, null, "x", [], {}], "object": {"a": {}, "b": []}, "float": 1.5, "big": i64::MIN,
        "yes": true,
    });
    assert_eq!(once("json", "", "return ...", json!([value])).await.unwrap(), value);
    // What is nothing in an object is not there.
    assert_eq!(once("json-null", "", "return ...", json!([{"a": null}])).await.unwrap(), json!({}));
}

#[tokio::test]
async fn results_that_are_no_json_say_where() {
    for (at, source, expected) in [
        ("bytes", "return { a = { '\\255' } }", "result.a[0]: a string is not UTF-8, and JSON has no bytes"),
        ("function", "return { a = { b = print } }", "result.a.b: a function cannot leave its function"),
        ("circle", "local t = {} t.t = t return t", "result.t.t.t"),
        ("key", "return { [1.5] = 1 }", "result: a table has a number as a key"),
        ("name", "return { ['\\255'] = 1 }", "result: a name is not UTF-8, and JSON has no bytes"),
        ("many", "local t = { 1 } for i = 1, 60 do t = { t, t } end return t", "result"),
        ("channel", "return { c = channel.new() }", "result.c: a "),
    ] {
        let error = once(&format!("result-{at}"), "", source, json!([])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{at}");
        assert!(error.message().starts_with(expected), "{at}: {error}");
    }
}
