//! What an entry grants, and what happens to a guest that uses what it was not granted.

use std::sync::Arc;

use greenroom_actors::{
    ErrorKind,
    spec::{Capabilities, Capability, Limits, WasmSpec},
    wasm::{Engine, EngineOptions, HostInterface},
};
use serde_json::{Value, json};

use super::fixture::*;

/// A component that calls one function without arguments of an interface, and returns its number.
fn calls(interface: &str, function: &str) -> String {
    format!(
        r#"(component
          (import "{interface}" (instance $host (export "{function}" (func (result u64)))))
          (core func $f (canon lower (func $host "{function}")))
          (core module $m
            (import "host" "f" (func $f (result i64)))
            (func (export "use") (result i64) (call $f))
            (func (export "leave") (result i32) (i32.const 1)))
          (core instance $i (instantiate $m (with "host" (instance (export "f" (func $f))))))
          (func (export "use") (result u64) (canon lift (core func $i "use")))
          (func (export "leave") (result u32) (canon lift (core func $i "leave"))))"#
    )
}

/// A component that ends itself, with a failure.
const EXITS: &str = r#"(component
  (import "wasi:cli/exit@0.2.0" (instance $host (export "exit" (func (param "status" (result))))))
  (core func $f (canon lower (func $host "exit")))
  (core module $m (import "host" "f" (func $f (param i32))) (func (export "use") (call $f (i32.const 1))))
  (core instance $i (instantiate $m (with "host" (instance (export "f" (func $f))))))
  (func (export "use") (canon lift (core func $i "use"))))"#;

/// The document's sleep: it waits on a pollable of the clock.
const SLEEPS: &str = r#"(component
  (import "wasi:io/poll@0.2.3" (instance $poll
    (export "pollable" (type $p (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $p))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.3" (instance $clock
    (alias outer 1 $pollable (type $outer))
    (export "pollable" (type $p (eq $outer)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))
  (core func $subscribe (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core func $drop (canon resource.drop $pollable))
  (core module $m
    (import "h" "subscribe" (func $subscribe (param i64) (result i32)))
    (import "h" "block" (func $block (param i32)))
    (import "h" "drop" (func $drop (param i32)))
    (func (export "sleep") (param i64) (result i64)
      (local $p i32)
      (local.set $p (call $subscribe (i64.mul (local.get 0) (i64.const 1000000))))
      (call $block (local.get $p))
      (call $drop (local.get $p))
      (local.get 0)))
  (core instance $i (instantiate $m (with "h" (instance
    (export "subscribe" (func $subscribe)) (export "block" (func $block)) (export "drop" (func $drop))))))
  (func $sleep (param "ms" u64) (result u64) (canon lift (core func $i "sleep")))
  (instance $sleeps (export "sleep-ms" (func $sleep)))
  (export "test-sleep" (instance $sleeps)))"#;

fn granting(mut spec: WasmSpec, granted: &[Capability]) -> WasmSpec {
    spec.imports = granted.iter().copied().collect::<Capabilities>();
    spec
}

#[test]
fn a_group_works_when_it_is_granted_and_traps_with_its_name_when_not() {
    for (interface, function, capability) in [
        ("wasi:clocks/monotonic-clock@0.2.0", "now", Capability::Clocks),
        ("wasi:clocks/monotonic-clock@0.2.6", "resolution", Capability::Clocks),
        ("wasi:random/random@0.2.3", "get-random-u64", Capability::Random),
        ("wasi:random/insecure@0.2.12", "get-insecure-random-u64", Capability::Random),
    ] {
        let spec = text(&calls(interface, function), "use");
        let granted = prepare(&granting(spec.clone(), &[capability]));
        assert!(granted.warnings.is_empty(), "{:?}", granted.warnings);
        assert!(call(&granted, json!([])).is_ok(), "{interface}");

        let denied = prepare(&spec);
        let error = call(&denied, json!([])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert_eq!(
            error.message(),
            format!(
                "function `app:f` used `{interface}`, which its entry does not grant; add `imports: [{capability}]`"
            )
        );
        assert_eq!(denied.warnings.len(), 1);
        assert_eq!(denied.warnings[0].field, "imports");
        assert_eq!(denied.warnings[0].notes, [format!("to grant it, write `imports: [{capability}]`")]);
        // What is imported and not used harms nobody.
        let unused = prepare(&text(&calls(interface, function), "leave"));
        assert_eq!(call(&unused, json!([])).unwrap(), json!(1));
    }
}

#[test]
fn the_yaml_to_paste_keeps_what_is_granted_already() {
    let spec = granting(text(&calls("wasi:clocks/monotonic-clock@0.2.0", "now"), "use"), &[Capability::Cli]);
    assert_eq!(prepare(&spec).warnings[0].notes, ["to grant it, write `imports: [wasi:cli, wasi:clocks]`"]);
}

#[test]
fn an_exit_fails_its_call_when_it_is_granted() {
    let error = call(&prepare(&granting(text(EXITS, "use"), &[Capability::Cli])), json!([])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(error.message(), "`app:f`: the guest exited with status 1");
    let error = call(&prepare(&text(EXITS, "use")), json!([])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[test]
fn polling_needs_no_grant_of_its_own() {
    for granted in
        [&[Capability::Clocks][..], &[Capability::Clocks, Capability::Io], &[Capability::Clocks, Capability::Poll]]
    {
        let prepared = prepare(&granting(text(SLEEPS, "test-sleep#sleep-ms"), granted));
        assert!(prepared.warnings.is_empty());
        assert_eq!(call(&prepared, json!([5])).unwrap(), json!(5));
    }
    let error = call(&prepare(&granting(text(SLEEPS, "sleep-ms"), &[Capability::Io])), json!([5])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.message().contains("`wasi:clocks/monotonic-clock@0.2.3`"), "{error}");
}

#[test]
fn what_this_version_lacks_loads_and_says_so_when_it_is_used() {
    for interface in
        ["wasi:http/incoming-handler@0.2.0", "wasi:clocks/timezone@0.2.0", "wasi:clocks/monotonic-clock@0.4.0"]
    {
        let spec = granting(text(&calls(interface, "now"), "use"), &[Capability::Clocks, Capability::Http]);
        let prepared = prepare(&spec);
        assert!(prepared.warnings[0].message.contains("which this version does not provide"));
        let error = call(&prepared, json!([])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert_eq!(
            error.message(),
            format!("function `app:f` used `{interface}`, which this version does not provide")
        );
    }
}

#[test]
fn resources_of_interfaces_that_are_not_granted_are_told_apart_from_those_that_are() {
    // Its stream comes from `wasi:io`, which is there; its descriptor from an interface that is not.
    let source = r#"(component
      (import "wasi:io/streams@0.2.0" (instance $io (export "input-stream" (type (sub resource)))))
      (alias export $io "input-stream" (type $stream))
      (import "wasi:filesystem/types@0.2.0" (instance $types
        (export "descriptor" (type $d (sub resource)))
        (alias outer 1 $stream (type $outer))
        (export "input-stream" (type $s (eq $outer)))
        (export "[method]descriptor.read-via-stream" (func (param "self" (borrow $d)) (param "offset" u64) (result (own $s))))))
      (alias export $types "descriptor" (type $descriptor))
      (import "wasi:filesystem/preopens@0.2.0" (instance $preopens
        (alias outer 1 $descriptor (type $outer))
        (export "descriptor" (type $d (eq $outer)))
        (export "get-one" (func (result (own $d))))))
      (core module $m (func (export "f") (result i32) (i32.const 7)))
      (core instance $i (instantiate $m))
      (func (export "f") (result u32) (canon lift (core func $i "f"))))"#;
    let prepared = prepare(&text(source, "f"));
    assert_eq!(call(&prepared, json!([])).unwrap(), json!(7));
    assert!(prepared.warnings[0].message.contains("wasi:filesystem"));
}

fn with_hosts(hosts: Vec<HostInterface>) -> Engine {
    Engine::new(EngineOptions { instances_max: 4, hosts, ..EngineOptions::default() }).unwrap()
}

#[test]
fn an_interface_of_the_embedder_serves_its_guests() {
    let host = HostInterface {
        name: "acme:things/counter@1.2.0".to_owned(),
        link: Arc::new(|linker| {
            linker.func_wrap("next", |store: wasmtime::StoreContextMut<'_, greenroom_actors::wasm::GuestState>, ()| {
                let name = store.data().function().as_str().len() as u64;
                let value: u64 = store.data().context().values["base"].parse()?;
                Ok((name + value,))
            })
        }),
    };
    let engine = with_hosts(vec![host]);
    let spec = text(&calls("acme:things/counter@1.0.0", "next"), "use");
    let prepared = engine.prepare(&id(), &spec, &Limits::default()).unwrap();
    assert!(prepared.warnings.is_empty());
    let context = greenroom_actors::Context {
        values: [("base".to_owned(), "37".to_owned())].into(),
        ..greenroom_actors::Context::default()
    };
    assert_eq!(call_with(&prepared, context, json!([])).unwrap(), json!(42));
}

#[test]
fn an_error_of_a_host_function_reaches_the_caller_with_its_kind() {
    let host = HostInterface {
        name: "acme:things/counter".to_owned(),
        link: Arc::new(|linker| {
            linker.func_wrap("next", |_: wasmtime::StoreContextMut<'_, _>, ()| -> wasmtime::Result<(u64,)> {
                Err(greenroom_actors::CallError::new(ErrorKind::RateLimited, "come back later").into())
            })?;
            linker.func_wrap("fail", |_: wasmtime::StoreContextMut<'_, _>, ()| -> wasmtime::Result<(u64,)> {
                Err(wasmtime::format_err!("the counter is broken"))
            })
        }),
    };
    let engine = with_hosts(vec![host]);
    let outcome = |function| -> Result<Value, _> {
        let spec = text(&calls("acme:things/counter@3.0.0", function), "use");
        call(&engine.prepare(&id(), &spec, &Limits::default()).unwrap(), json!([]))
    };
    let error = outcome("next").unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::RateLimited, "come back later"));
    let error = outcome("fail").unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Internal, "`app:f`: the call failed: the counter is broken")
    );
}

#[test]
fn an_interface_that_nobody_provides_is_an_error_that_names_it() {
    let spec = text(&calls("acme:things/counter@1.0.0", "next"), "use");
    let error = refused(&spec);
    assert_eq!((error.field, error.kind), ("imports", ErrorKind::NotFound));
    assert!(error.message.starts_with("the component imports `acme:things/counter@1.0.0`, which nobody provides"));

    let host = HostInterface { name: "acme:things/counter@2.0.0".to_owned(), link: Arc::new(|_| Ok(())) };
    let errors = with_hosts(vec![host]).prepare(&id(), &spec, &Limits::default()).unwrap_err();
    assert_eq!(errors[0].notes, ["this host provides `acme:things/counter@2.0.0`"]);
}

#[test]
fn all_that_is_wrong_with_a_component_is_told_at_once() {
    let mut spec = text(&calls("acme:things/counter@1.0.0", "next"), "us");
    spec.wit = Some("other: func();".to_owned());
    let errors = engine().prepare(&id(), &spec, &Limits::default()).unwrap_err();
    assert_eq!(errors.iter().map(|error| error.field).collect::<Vec<_>>(), ["wit", "method", "imports"]);
}
