//! Each field of a function lands in its spec.

use std::{fs, time::Duration};

use greenroom::spec::Transport;
use greenroom_actors::spec::{Capability, FunctionSpec, OnFull, PoolSpec, Sizing, Source};

use crate::registry::{Root, WAT, id, only, wasm};

fn with(fields: &str) -> FunctionSpec {
    only(&format!("{WAT}{fields}"))
}

fn pool(fields: &str) -> PoolSpec {
    with(&format!("    pool: {{{fields}}}\n")).pool
}

#[test]
fn pools_have_the_defaults_of_their_type() {
    assert_eq!(with("").pool, PoolSpec::lazy(100));
    assert_eq!(pool(""), PoolSpec::lazy(100));
    assert_eq!(pool("max_size: 8"), PoolSpec::lazy(8));
    assert_eq!(pool("type: lazy, max_size: 8"), PoolSpec::lazy(8));
    assert_eq!(pool("type: lazy").buffer, 6400);
    assert_eq!(pool("type: inline"), PoolSpec::inline());
    assert_eq!(pool("type: inline").buffer, 64);
    assert_eq!(pool("type: static"), PoolSpec::fixed(8, 8));
    assert_eq!(pool("workers: 2"), PoolSpec::fixed(2, 2));
    assert_eq!(pool("size: 3"), PoolSpec::fixed(3, 3));
    assert_eq!(pool("type: static, size: 4, workers: 2"), PoolSpec::fixed(2, 4));
    assert_eq!(pool("type: static, size: 4, workers: 2").buffer, 128);
    assert_eq!(pool("type: adaptive"), PoolSpec::adaptive(100, false));
    assert_eq!(pool("type: adaptive, max_size: 16, warm_start: true"), PoolSpec::adaptive(16, true));
}

#[test]
fn pools_take_a_buffer_and_what_to_do_when_it_is_full() {
    let pool = pool("type: static, workers: 2, buffer: 0, on_full: wait");
    assert_eq!((pool.buffer, pool.on_full), (0, OnFull::Wait));
    assert_eq!(self::pool("on_full: refuse").on_full, OnFull::Refuse);
    assert_eq!(wasm(&with("    pool: {reuse: 5}\n")).reuse, 5);
    assert_eq!(wasm(&with("")).reuse, 1);
}

#[test]
fn idle_timeouts_have_units_or_are_milliseconds() {
    for (written, millis) in [("250", 250), ("500ms", 500), ("\"5m\"", 300_000), ("1m30s", 90_000)] {
        let Sizing::Lazy { idle_timeout, .. } = pool(&format!("idle_timeout: {written}")).sizing else { panic!() };
        assert_eq!(idle_timeout, Duration::from_millis(millis), "{written}");
    }
    let Sizing::Adaptive { idle_timeout, .. } = pool("type: adaptive, idle_timeout: 1s").sizing else { panic!() };
    assert_eq!(idle_timeout, Duration::from_secs(1));
}

#[test]
fn limits_land_in_the_spec() {
    let limits = with(
        "    limits: {max_execution_ms: 5000, max_memory_bytes: 1048576, max_stack_bytes: 65536, max_result_bytes: 7, max_module_bytes: 0x400}\n",
    )
    .limits;
    assert_eq!(limits.max_execution, Some(Duration::from_secs(5)));
    assert_eq!((limits.max_memory_bytes, limits.max_stack_bytes), (1 << 20, 1 << 16));
    assert_eq!((limits.max_result_bytes, limits.max_module_bytes), (7, 1024));
    assert_eq!(with("").limits, greenroom_actors::spec::Limits::default());
}

#[test]
fn the_transport_lands_in_the_spec() {
    assert_eq!(wasm(&with("    transport: wasi-http\n")).transport, Transport::WasiHttp);
    assert_eq!(wasm(&with("    transport: payload\n")).transport, Transport::Payload);
    assert_eq!(wasm(&with("")).transport, Transport::Payload);
}

#[test]
fn imports_are_granted() {
    let groups = "wasi:cli, wasi:io, wasi:poll, wasi:clocks, wasi:filesystem, wasi:random, wasi:sockets, wasi:http";
    let function = with(&format!("    imports: [{groups}]\n    wasi: {{network: {{allow: [a:1]}}}}\n"));
    let granted: Vec<_> = wasm(&function).imports.iter().collect();
    assert_eq!(granted, Capability::ALL[..8]);
    assert_eq!(wasm(&with("")).imports.iter().count(), 0);
}

#[test]
fn wasi_lands_in_the_spec() {
    let function = only(&format!(
        "{WAT}    wasi:
      args: [--port, 8080, true]
      cwd: /app
      env:
        - id: myns:key
          name: API_KEY
          required: true
        - id: key
      mounts:
        - {{fs: data, guest: /data, read_only: true}}
        - {{fs: data, guest: /out}}
      network:
        allow: [api.example.com:443, '*.Example.com:8000-8100', '[fd00::/8]:*']
    imports: [wasi:http]
  - {{name: data, kind: fs.directory, directory: ./data, auto_init: true}}
  - {{name: s, kind: env.storage.static, values: {{KEY: k}}}}
  - {{name: key, kind: env.variable, variable: KEY, storage: s}}
"
    ));
    let wasi = &wasm(&function).wasi;
    assert_eq!(wasi.args, ["--port", "8080", "true"]);
    assert_eq!(wasi.cwd.as_deref(), Some("/app"));
    let env: Vec<_> = wasi.env.iter().map(|env| (env.name.as_str(), env.required, env.variable.get())).collect();
    assert_eq!(env, [("API_KEY", true, Ok(Some("k".to_owned()))), ("KEY", false, Ok(Some("k".to_owned())))]);
    assert_eq!(wasi.env[0].variable.id(), "myns:key");
    let mounts: Vec<_> = wasi.mounts.iter().map(|mount| (mount.guest.as_str(), mount.read_only)).collect();
    assert_eq!(mounts, [("/data", true), ("/out", false)]);
    assert!(wasi.mounts[0].host.is_absolute());
    let allowed: Vec<_> = wasi.network.allow.iter().map(ToString::to_string).collect();
    assert_eq!(allowed, ["api.example.com:443", "*.example.com:8000-8100", "[fd00::/8]:*"]);
}

#[test]
fn wat_comes_inline_or_from_a_file_beside_the_yaml() {
    let root = Root::new();
    root.write("sub/_index.yaml", WAT.replace("(module)", "file://../shared/f.wat"));
    root.write("shared/f.wat", "(module (; shared ;))");
    let registry = root.sound();
    let Source::Text(text) = &wasm(&registry.functions()[0]).source else { panic!() };
    assert_eq!(&**text, "(module (; shared ;))");
    assert_eq!(wasm(&registry.functions()[0]).sha256, None);
}

#[test]
fn a_binary_is_a_file_of_a_directory_with_a_hash() {
    let root = Root::new();
    root.write(
        "sub/_index.yaml",
        format!(
            "entries:
  - {{name: bin, kind: fs.directory, directory: ../wasm, base: module}}
  - name: f
    kind: function.wasm
    fs: bin
    path: inner/f.wasm
    hash: SHA256:{}
    method: a:b/c@1.0.0#d
    wit: \"d: func();\"
",
            "AB".repeat(32)
        ),
    );
    root.write("wasm/inner/f.wasm", "\0asm");
    let registry = root.sound();
    let spec = wasm(registry.function(&id("sub:f")).unwrap());
    let Source::File { directory, path } = &spec.source else { panic!() };
    assert_eq!(fs::read(directory.join(path)).unwrap(), b"\0asm");
    assert_eq!(spec.sha256, Some([0xab; 32]));
    assert_eq!((spec.method.as_str(), spec.wit.as_deref()), ("a:b/c@1.0.0#d", Some("d: func();")));
}

#[cfg(unix)]
#[test]
fn directories_are_created_with_their_mode() {
    use std::os::unix::fs::PermissionsExt;
    let root = Root::with(
        "entries:
  - {name: a, kind: fs.directory, directory: new/deep, auto_init: true, mode: \"0700\"}
  - {name: b, kind: fs.directory, directory: ./usual, auto_init: true}
",
    );
    root.sound();
    let mode = |name: &str| fs::metadata(root.path().join(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("new"), mode("new/deep"), mode("usual")), (0o700, 0o700, 0o755));
}

#[test]
fn anchors_stand_for_their_values() {
    let registry = Root::with(
        "entries:
  - {name: f, kind: function.wat, source: (module), method: f, pool: &p {max_size: 3}}
  - {name: g, kind: function.wat, source: (module), method: g, pool: *p}
",
    )
    .sound();
    assert!(registry.functions().iter().all(|function| function.pool == PoolSpec::lazy(3)));
}

#[test]
fn an_embedder_sees_no_value_of_a_placeholder_in_debug_output() {
    let registry = Root::with(
        "entries:
  - {name: s, kind: env.storage.static, values: {KEY: hunter2}}
  - {name: key, kind: env.variable, variable: KEY, storage: s, default: hunter2}
  - name: f
    kind: function.wat
    source: (module (; ${env:KEY} ;))
    method: f
    wasi: {args: [\"${env:KEY}\"], env: [{id: key}]}
",
    )
    .sound();
    let function = &registry.functions()[0];
    assert_eq!(wasm(function).wasi.args, ["hunter2"]);
    let debug = format!("{registry:?} {function:?} {:?} {:?}", registry.entries(), registry.environment());
    assert!(!debug.contains("hunter2"), "{debug}");
}
