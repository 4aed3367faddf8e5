//! Small components and modules, and what is said about them.

use std::path::Path;

use serde_json::{Value, json};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::{InspectError, Inspection, inspect, inspect_file};

fn inspected(bytes: &[u8], file: &str) -> Inspection {
    inspect(bytes, Path::new(file)).unwrap()
}

fn error(bytes: &[u8]) -> String {
    inspect(bytes, Path::new("dir/x.wasm")).unwrap_err().to_string()
}

/// A component made of a world and a module for it.
fn component(wit: &str, module: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("test.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some("w")).unwrap();
    let mut core = wat::parse_str(module).unwrap();
    embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&core).unwrap().encode().unwrap()
}

fn users() -> Vec<u8> {
    component(
        r#"
        package acme:users@1.2.0;
        interface store { count: func() -> u32; }
        interface api {
            resource file { read: func() -> string; }
            record user { id: u32, name: string }
            first: func(users: list<user>, quick: bool) -> option<user>;
            open: func(f: borrow<file>);
        }
        world w { import store; export api; export add: func(a: s32, b: s32) -> s32; }
        "#,
        r#"(module
            (import "acme:users/store@1.2.0" "count" (func (result i32)))
            (func (export "add") (param i32 i32) (result i32) unreachable)
            (func (export "acme:users/api@1.2.0#first") (param i32 i32 i32) (result i32) unreachable)
            (func (export "acme:users/api@1.2.0#open") (param i32) unreachable)
            (func (export "acme:users/api@1.2.0#[method]file.read") (param i32) (result i32) unreachable)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            (memory (export "memory") 1))"#,
    )
}

#[test]
fn a_component_shows_functions_imports_and_an_entry() {
    let bytes = users();
    let found = inspected(&bytes, "some/dir/users.wasm");
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["kind"], "component");
    assert_eq!(json["size"], bytes.len());
    assert_eq!(
        json["exports"],
        json!([
            {"method": "add", "wit": "func(a: s32, b: s32) -> s32"},
            {
                "method": "api#[method]file.read",
                "wit": "func(self: borrow<file>) -> string",
                "refused": "it belongs to a resource or is asynchronous",
            },
            {"method": "api#first", "wit": "func(users: list<user>, quick: bool) -> option<user>"},
            {
                "method": "api#open",
                "wit": "func(f: borrow<file>)",
                "refused": "its signature has a resource, which calls cannot carry",
            },
        ])
    );
    assert_eq!(json["imports"], json!([{"name": "acme:users/store@1.2.0", "grants": [], "free": false}]));
    let wit = found.wit.as_deref().unwrap();
    assert!(wit.contains("record user"), "{wit}");
    assert_eq!(
        found.entry.as_deref().unwrap(),
        format!(
            "entries:\n  - name: wasm_files\n    kind: fs.directory\n    base: module\n    directory: ./\n\n  \
             - name: add\n    kind: function.wasm\n    fs: wasm_files\n    path: /users.wasm\n    hash: sha256:{}\n    \
             method: add\n    # method: \"api#first\"\n    \
             # An embedder must provide \"acme:users/store@1.2.0\"\n    pool:\n      type: lazy\n",
            found.sha256
        )
    );
    let text = found.to_string();
    for line in [
        "some/dir/users.wasm: component, ",
        "\n  add: func(a: s32, b: s32) -> s32\n",
        "\n  acme:users/store@1.2.0  only an embedder can provide it\n",
        "\n_index.yaml, beside the file\n  entries:\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn the_hash_is_the_one_of_sha256sum() {
    let found = inspected(b"(module)", "a.wat");
    assert_eq!(found.sha256, "1885772b94ca41b360d9bd07535547f4c8ef16cbe7e49d2c8e9780247e26c4de");
}

#[test]
fn an_entry_grants_the_groups_that_are_imported_and_no_more() {
    let wit = r#"
        package acme:app;
        interface api { tick: func(); }
        world w { import wasi:io/poll@0.2.6; import wasi:clocks/monotonic-clock@0.2.6; import wasi:http/types@0.2.6;
            export EXPORT; }
        package wasi:io@0.2.6 { interface poll { poll: func(); } }
        package wasi:clocks@0.2.6 { interface monotonic-clock { now: func() -> u64; } }
        package wasi:http@0.2.6 { interface types { a: func(); } interface incoming-handler { handle: func(); } }
    "#;
    let module = r#"(module (import "wasi:io/poll@0.2.6" "poll" (func))
        (import "wasi:clocks/monotonic-clock@0.2.6" "now" (func (result i64)))
        (import "wasi:http/types@0.2.6" "a" (func)) (func (export "EXPORT")))"#;
    let plain = component(&wit.replace("EXPORT", "api"), &module.replace("EXPORT", "acme:app/api#tick"));
    let entry = inspected(&plain, "a.wasm").entry.unwrap();
    let end = "    method: \"api#tick\"\n    imports:\n      - wasi:io\n      - wasi:clocks\n      - wasi:http\n    # It reaches nothing";
    assert!(entry.contains(end), "{entry}");

    let handler = wit.replace("EXPORT", "wasi:http/incoming-handler@0.2.6");
    let http = component(&handler, &module.replace("EXPORT", "wasi:http/incoming-handler@0.2.6#handle"));
    let entry = inspected(&http, "a.wasm").entry.unwrap();
    let end = "    method: \"incoming-handler#handle\"\n    transport: wasi-http\n    imports:\n      - wasi:io\n      \
               - wasi:clocks\n    pool:\n      type: lazy\n\n  - name: a_endpoint\n    kind: http.endpoint\n    method: \"*\"\n    \
               path: \"/{rest...}\"\n    func: a\n";
    assert!(entry.contains(end) && entry.contains("  - name: a\n    kind: function.wasm\n"), "{entry}");
}

#[test]
fn a_module_shows_what_its_functions_read_as() {
    let text = r#"(module
        (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))
        (import "env" "log" (func (param i32)))
        (memory (export "memory") 1)
        (func (export "add_one") (param i32) (result i32) unreachable)
        (func (export "list") (param i64 f32) (result f64) unreachable)
        (func (export "two") (result i32 i32) unreachable)
        (func (export "odd name") unreachable)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "_initialize")))"#;
    let found = inspected(text.as_bytes(), "math: one.wat");
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["kind"], "module");
    assert_eq!(
        json["exports"],
        json!([
            {"method": "add_one", "wit": "func(p0: s32) -> s32", "core": "(i32) -> (i32)"},
            {"method": "list", "wit": "func(p0: s64, p1: f32) -> f64", "core": "(i64, f32) -> (f64)"},
            {
                "method": "two",
                "wit": null,
                "core": "() -> (i32, i32)",
                "refused": "WIT has no types for its signature",
            },
            {
                "method": "odd name",
                "wit": "func()",
                "core": "() -> ()",
                "refused": "its name is no WIT name: words of letters and digits, joined by `-` or `_`",
            },
        ])
    );
    let grants: Vec<_> = found.imports.iter().map(|import| (import.name.as_str(), import.grants.len())).collect();
    assert_eq!(grants, [("wasi_snapshot_preview1.random_get", 1), ("env.log", 0)]);

    let entry: serde_yaml::Value = serde_yaml::from_str(found.entry.as_deref().unwrap()).unwrap();
    let entry = &entry["entries"][0];
    assert_eq!(entry["kind"], serde_yaml::Value::from("function.wat"));
    assert_eq!(entry["source"], serde_yaml::Value::from("file://math: one.wat"));
    assert_eq!(entry["method"], serde_yaml::Value::from("add_one"));
    assert_eq!(entry["imports"][0], serde_yaml::Value::from("wasi:random"));
    let wit = entry["wit"].as_str().unwrap();
    assert_eq!(wit, "add-one: func(p0: s32) -> s32;\n%list: func(p0: s64, p1: f32) -> f64;\n");
    let world = wit.lines().map(|line| format!("export {line}")).collect::<String>();
    Resolve::default().push_str("guess.wit", &format!("package a:b; world w {{ {world} }}")).unwrap();
}

#[test]
fn a_program_is_a_command_unless_it_is_text() {
    let text = r#"(module (func (export "_start")))"#;
    let entry = inspected(text.as_bytes(), "main.wat").entry.unwrap();
    assert!(entry.contains("method: \"run#run\"") && !entry.contains("wit:"), "{entry}");
    let binary = wat::parse_str(text).unwrap();
    let entry = |file| inspected(&binary, file).entry.unwrap();
    let expected = "- name: main\n    kind: process.wasm\n    meta:\n      command: main\n    fs: wasm_files\n    path: /main.wasm\n";
    assert!(entry("main.wasm").contains(expected), "{}", entry("main.wasm"));
    assert!(!entry("main.wasm").contains("method:") && !entry("main.wasm").contains("pool:"));
    // What `greenroom run ROOT list` does itself.
    assert!(entry("list.wasm").contains("command: list_command\n"));
}

#[test]
fn what_is_imported_for_its_types_alone_needs_no_grant() {
    let wit = r#"
        package acme:app;
        world w { import wasi:filesystem/preopens@0.2.6; import api; export tick: func(); }
        interface api { use wasi:clocks/wall-clock@0.2.6.{datetime}; at: func(when: datetime); }
        package wasi:clocks@0.2.6 { interface wall-clock { record datetime { seconds: u64 } now: func() -> datetime; } }
        package wasi:filesystem@0.2.6 { interface preopens { get-directories: func() -> list<string>; } }
    "#;
    let module = |more: &str| {
        format!(
            r#"(module (import "wasi:filesystem/preopens@0.2.6" "get-directories" (func (param i32)))
            (import "acme:app/api" "at" (func (param i64))) {more} (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            (func (export "tick")))"#
        )
    };
    let bytes = component(wit, &module(""));
    let found = inspected(&bytes, "a.wasm");
    let free: Vec<_> = found.imports.iter().map(|import| (import.name.as_str(), import.free)).collect();
    let expected =
        [("wasi:clocks/wall-clock@0.2.6", true), ("wasi:filesystem/preopens@0.2.6", true), ("acme:app/api", false)];
    let sorted = |mut names: Vec<_>| {
        names.sort();
        names
    };
    assert_eq!(sorted(free), sorted(expected.to_vec()));
    assert!(!found.entry.as_deref().unwrap().contains("imports:"), "{found}");
    assert!(found.to_string().contains("wall-clock@0.2.6  needs no grant\n"), "{found}");
}

#[test]
fn a_preview_1_module_needs_what_its_component_needs() {
    let with = |import: &str| {
        let text = format!(
            r#"(module (import "wasi_snapshot_preview1" {import}) (memory (export "memory") 1) (func (export "_start")
            i32.const 0 i32.const 0 call 0 drop))"#
        );
        inspected(text.as_bytes(), "a.wat").imports[0].grants.iter().map(|group| group.name()).collect::<Vec<_>>()
    };
    assert_eq!(with(r#""random_get" (func (param i32 i32) (result i32))"#), ["wasi:random"]);
    assert_eq!(with(r#""args_get" (func (param i32 i32) (result i32))"#), ["wasi:cli"]);
}

#[test]
fn a_file_without_functions_has_no_entry() {
    let found = inspected(b"(module)", "x.wat");
    assert_eq!((found.entry.as_deref(), found.wit.as_deref()), (None, None));
    assert!(found.to_string().contains("none: there is nothing to call"));
    let json: Value = serde_json::to_value(&found).unwrap();
    assert_eq!(json["entry"], Value::Null);
}

#[test]
fn what_is_no_webassembly_is_said_in_plain_words() {
    assert_eq!(error(b""), "dir/x.wasm is empty; was the build that writes it interrupted?");
    assert_eq!(error(b" \n"), "dir/x.wasm is empty; was the build that writes it interrupted?");
    assert_eq!(error(b"\x7fELF"), "dir/x.wasm is not WebAssembly: it starts neither with `\\0asm` nor with `(`");
    assert_eq!(
        error("hello".as_bytes()),
        "dir/x.wasm is not WebAssembly: it starts neither with `\\0asm` nor with `(`"
    );
    let message = error(b"(module (func");
    assert!(message.starts_with("dir/x.wasm is not valid WebAssembly text: expected `)`"), "{message}");
    let message = error(b"\0asm\x09\0\0\0");
    assert!(message.starts_with("dir/x.wasm is not valid WebAssembly: unknown binary version"), "{message}");
    let wit = wit_package();
    assert_eq!(
        error(&wit),
        "dir/x.wasm holds WIT definitions and no code; give the component that was built from them"
    );
    let message = inspect_file(Path::new("/no/such/file.wasm")).unwrap_err().to_string();
    assert!(message.starts_with("cannot read /no/such/file.wasm: "), "{message}");
}

fn wit_package() -> Vec<u8> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("a.wit", "package a:b; world w { export f: func(); }").unwrap();
    wit_component::encode(&resolve, package).unwrap()
}

#[test]
fn a_file_that_is_cut_anywhere_is_never_taken_for_whole() {
    let module = wat::parse_str(r#"(module (func (export "f") (result i32) i32.const 1))"#).unwrap();
    for bytes in [users(), module] {
        let mut truncated = 0;
        for end in 1..bytes.len() {
            match inspect(&bytes[..end], Path::new("x.wasm")) {
                Err(InspectError::Truncated { size, .. }) => {
                    assert_eq!(size, end);
                    truncated += 1;
                }
                // Between two sections, what is left may be whole or lack what the rest needs.
                Ok(_) | Err(InspectError::Invalid { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert!(truncated > bytes.len() / 2, "{truncated} of {}", bytes.len());
    }
}
