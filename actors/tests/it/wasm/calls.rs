//! Calls of components and wrapped modules, with values of every sort.

use greenroom_actors::{ErrorKind, executor::Executor};
use serde_json::json;

use super::fixture::*;

/// A module that answers with what it was given, at the place it was put: the host lays out `string` in and out alike.
const ECHO: &str = r#"(module
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 64))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (local.get $at))
  (func (export "echo") (param i32 i32) (result i32)
    (i32.store (i32.const 8) (local.get 0))
    (i32.store (i32.const 12) (local.get 1))
    (i32.const 8)))"#;

#[test]
fn the_example_of_the_documentation_runs() {
    let source = r#"(module (func (export "answer") (result i32) i32.const 42))"#;
    let prepared = prepare(&with_wit(text(source, "answer"), "answer: func() -> s32;"));
    assert_eq!(prepared.signature.to_string(), "() -> s32");
    assert_eq!(call(&prepared, json!([])).unwrap(), json!(42));
}

#[test]
fn a_wrapped_module_takes_and_returns_strings_and_lists() {
    let prepared = prepare(&with_wit(text(ECHO, "echo"), "echo: func(text: string) -> string;"));
    assert_eq!(call(&prepared, json!(["grün"])).unwrap(), json!("grün"));
    let prepared =
        prepare(&with_wit(text(ECHO, "echo"), "record p { x: u32, y: f32 }\necho: func(all: list<p>) -> list<p>;"));
    let points = json!([[{"x": 1, "y": 0.5}, {"x": 2, "y": -1.0}]]);
    assert_eq!(call(&prepared, points.clone()).unwrap(), points[0]);
}

#[test]
fn a_component_runs_as_it_is() {
    let source = r#"(component
      (core module $m (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
      (core instance $i (instantiate $m))
      (func (export "add") (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $i "add"))))"#;
    let prepared = prepare(&text(source, "add"));
    assert!(prepared.warnings.is_empty());
    assert_eq!(call(&prepared, json!([2, 3])).unwrap(), json!(5));
}

#[test]
fn a_number_of_arguments_that_does_not_fit_is_invalid() {
    let prepared = prepare(&text(r#"(module (func (export "id") (param i32) (result i32) local.get 0))"#, "id"));
    let error = block_on(async {
        let mut instance = prepared.function.make().await.unwrap();
        let none = greenroom_actors::Payload::Vals(Vec::new());
        instance.run(none, &Default::default()).await.unwrap_err()
    });
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.message(), "`app:f` takes 1 arguments, and was called with 0");
}
