//! The JSON Schema agrees with the reader.

use greenroom::registry::schema;
use serde_json::{Value, json};

use crate::registry::{Root, WAT};

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::options().build(&schema()).unwrap()
}

fn json_of(yaml: &str) -> Value {
    serde_yaml::from_str(yaml).unwrap()
}

/// Files with whether they are sound, for reader and schema alike.
#[test]
fn the_schema_and_the_reader_agree() {
    let validator = validator();
    let fields: &[(&str, bool)] = &[
        ("", true),
        ("    metod: f\n", false),
        ("    meta: {a: [1]}\n", true),
        ("    wit: 5\n", false),
        ("    wit: ''\n", false),
        ("    transport: wasi-http\n", true),
        ("    transport: http\n", false),
        ("    imports: [wasi:io, wasi:cli]\n", true),
        ("    imports: [wasi:sockets, wasi:http]\n", true),
        ("    imports: [wasi:socket]\n", false),
        ("    imports: wasi:io\n", false),
        ("    pool: {}\n", true),
        ("    pool: {type: inline}\n", true),
        ("    pool: {type: inline, max_size: 2}\n", false),
        ("    pool: {type: lazy, max_size: 2, idle_timeout: 5s}\n", true),
        ("    pool: {type: lazy, workers: 2}\n", false),
        ("    pool: {max_size: 2}\n", true),
        ("    pool: {size: 2}\n", true),
        ("    pool: {workers: 2, buffer: 5}\n", true),
        ("    pool: {workers: 2, max_size: 5}\n", false),
        ("    pool: {buffer: 5, warm_start: true}\n", false),
        ("    pool: {type: adaptive, warm_start: true, idle_timeout: 100}\n", true),
        ("    pool: {type: adaptive, warm_start: 1}\n", false),
        ("    pool: {type: static, size: 0}\n", false),
        ("    pool: {type: elastic}\n", false),
        ("    pool: {idle_timeout: 5d}\n", false),
        ("    pool: {reuse: 3, on_full: wait}\n", true),
        ("    pool:\n", false),
        ("    limits: {max_execution_ms: 1}\n", true),
        ("    limits: {max_execution_ms: 0}\n", false),
        ("    limits: {max_time: 1}\n", false),
        ("    wasi: {args: [a, 1, true], cwd: /x, env: [], mounts: []}\n", true),
        ("    wasi: {args: [[a]]}\n", false),
        ("    wasi: {env: [{name: A}]}\n", false),
        ("    wasi: {network: {allow: []}}\n", true),
        ("    wasi: {network: {}}\n", true),
        ("    wasi: {network: {allow: [a:80, \"*.b:80-90\", \"[fd00::/8]:*\", 10.0.0.0/8:1, \"*:443\"]}}\n", true),
        ("    wasi: {network: {allow: [a]}}\n", false),
        ("    wasi: {network: {allow: [\"a:http\"]}}\n", false),
        ("    wasi: {network: {allow: a:80}}\n", false),
        ("    wasi: {network: {deny: []}}\n", false),
        ("    wasi: {network: [a:80]}\n", false),
        ("  - {name: x}\n", false),
        ("  - {name: x, kind: registry.entry, what: ever}\n", true),
        ("  - {name: x, kind: http.service, addr: ':80'}\n", true),
        ("  - {name: x, kind: http.service, addr: 'http://a'}\n", false),
        ("  - {name: x, kind: http.service, addr: 80}\n", false),
        ("  - {name: x, kind: http.service, timeouts: {read: 1s, write: 2, idle: 3m}}\n", true),
        ("  - {name: x, kind: http.service, timeouts: {red: 1s}}\n", false),
        ("  - {name: x, kind: http.service, tls: {cert: a}}\n", false),
        ("  - {name: x, kind: http.service, tls: {mode: auto, cert: a, key: b}}\n", false),
        ("  - {name: x, kind: http.service, lifecycle: {auto_start: true, stop_timeout: 1s}}\n", true),
        ("  - {name: x, kind: http.service, lifecycle: {auto_start: 1}}\n", false),
        ("  - {name: x, kind: http.router, meta: [a], prefix: /a, middleware: [cors]}\n", true),
        ("  - {name: x, kind: http.router, meta: }\n", true),
        ("  - {name: x, kind: http.router, meta: {server: 5}}\n", false),
        ("  - {name: x, kind: http.router, prefix: a}\n", false),
        ("  - {name: x, kind: http.router, middleware: [gzip]}\n", false),
        ("  - {name: x, kind: http.router, middleware: cors}\n", false),
        ("  - {name: x, kind: http.router, options: {cors.max.ages: 1}}\n", false),
        ("  - {name: x, kind: http.router, middleware: [cors], options: {cors.max.age: 1d}}\n", false),
        ("  - {name: x, kind: http.router, middleware: [cors], options: {cors.allow.origins: ['*']}}\n", true),
        ("  - {name: x, kind: http.router, middleware: [cors], options: {cors.allow.origins: {}}}\n", false),
        ("  - {name: x, kind: http.router, middleware: [ratelimit], options: {ratelimit.requests: '5'}}\n", true),
        ("  - {name: x, kind: http.router, middleware: [ratelimit], options: {ratelimit.requests: 0}}\n", false),
        ("  - {name: x, kind: http.endpoint, method: GET, path: '/{a}', func: f}\n", true),
        ("  - {name: x, kind: http.endpoint, method: G T, path: /, func: f}\n", false),
        ("  - {name: x, kind: http.endpoint, method: GET, path: a, func: f}\n", false),
        ("  - {name: x, kind: http.endpoint, method: GET, path: /}\n", false),
        ("  - {name: x, kind: http.static, path: /}\n", false),
        (
            "  - {name: x, kind: http.static, path: /, fs: y, static_options: {index: false, spa: false}}\n  - {name: y, kind: fs.directory, directory: .}\n",
            true,
        ),
        (
            "  - {name: x, kind: http.static, path: /, fs: y, static_options: {index: true}}\n  - {name: y, kind: fs.directory, directory: .}\n",
            false,
        ),
        ("  - {name: x, kind: no.such}\n", false),
        ("  - {name: x, kind: fs.directory, directory: ., mode: \"0755\"}\n", true),
        ("  - {name: x, kind: fs.directory, directory: ., mode: rwx}\n", false),
        ("  - {name: x, kind: fs.directory, directory: ., base: here}\n", false),
        ("  - {name: x, kind: fs.directory, dir: .}\n", false),
        ("  - {name: x, kind: env.storage.memory}\n", true),
        ("  - {name: x, kind: env.storage.memory, values: {}}\n", false),
        ("  - {name: x, kind: env.storage.static, values: {a: 1}}\n", true),
        ("  - {name: x, kind: env.storage.static}\n", false),
        ("  - {name: x, kind: env.storage.file, file_path: x.env, auto_create: true, file_mode: \"0600\"}\n", true),
        ("  - {name: x, kind: env.storage.os}\n  - {name: y, kind: env.variable, storage: x, default: 5}\n", true),
        ("  - {name: x, kind: env.variable, default: 5}\n", false),
    ];
    for (more, sound) in fields {
        let yaml = format!("{WAT}{more}");
        assert_eq!(validator.is_valid(&json_of(&yaml)), *sound, "the schema on {more:?}");
        let (_, diagnostics) = Root::with(&yaml).read();
        assert_eq!(!diagnostics.has_errors(), *sound, "the reader on {more:?}: {diagnostics}");
    }
}

#[test]
fn a_file_is_a_mapping_or_a_list() {
    let validator = validator();
    assert!(validator.is_valid(&json_of("- {name: a, kind: registry.entry}")));
    assert!(validator.is_valid(&json_of("version: \"1.0\"\nnamespace: x\nentries: []")));
    assert!(validator.is_valid(&json_of("version: 1.0\nentries: []")));
    assert!(!validator.is_valid(&json_of("version: \"2.0\"\nentries: []")));
    assert!(!validator.is_valid(&json_of("entires: []")));
    assert!(!validator.is_valid(&json_of("5")));
}

#[test]
fn placeholders_pass_where_strings_do() {
    let validator = validator();
    let yaml = "- {name: f, kind: function.wasm, fs: a, path: b, hash: '${env:H}', method: m, transport: '${env:T}', pool: {idle_timeout: '${env:I}'}}";
    assert!(validator.is_valid(&json_of(yaml)));
    assert!(!validator.is_valid(&json_of(&yaml.replace("'${env:H}'", "'sha256:...'"))));
}

#[test]
fn every_field_says_what_it_is() {
    fn walk(value: &Value, path: &str) {
        if let Some(properties) = value.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                let named = property.get("description").is_some()
                    || property.get("const").is_some()
                    || property.get("enum").is_some();
                assert!(named || name == "entries", "{path}/{name}");
            }
        }
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                if key != "if" {
                    walk(value, &format!("{path}/{key}"));
                }
            }),
            Value::Array(items) => items.iter().for_each(|item| walk(item, path)),
            _ => {}
        }
    }
    let schema = schema();
    walk(&schema, "");
    let default = |pointer: &str| schema.pointer(pointer).cloned();
    assert_eq!(
        default("/$defs/function.wat/properties/limits/properties/max_memory_bytes/default"),
        Some(json!(268_435_456))
    );
    assert_eq!(default("/$defs/fs.directory/properties/mode/default"), Some(json!("0755")));
}
