//! Core modules that become components: names, signatures, and errors about both.

use greenroom_actors::ErrorKind;
use serde_json::json;

use super::fixture::*;

const NUMBERS: &str = r#"(module
  (func (export "add_one") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
  (func (export "list") (param i64 f32 f64) (result f64) (local.get 2))
  (func (export "nothing"))
  (func (export "pair") (result i32 i32) i32.const 1 i32.const 2)
  (func (export "vector") (param v128)))"#;

#[test]
fn without_wit_the_signature_is_that_of_the_core_types() {
    let prepared = prepare(&text(NUMBERS, "list"));
    assert_eq!(prepared.signature.to_string(), "(p0: s64, p1: f32, p2: f64) -> f64");
    assert_eq!(call(&prepared, json!([1, 2, 2.5])).unwrap(), json!(2.5));
    assert_eq!(call(&prepare(&text(NUMBERS, "nothing")), json!([])).unwrap(), json!(null));
}

#[test]
fn a_snake_case_export_is_reached_by_either_name() {
    for method in ["add_one", "add-one"] {
        assert_eq!(call(&prepare(&text(NUMBERS, method)), json!([-2])).unwrap(), json!(-1));
        let spec = with_wit(text(NUMBERS, method), "add-one: func(n: u32) -> u32");
        assert_eq!(call(&prepare(&spec), json!([1])).unwrap(), json!(2));
    }
}

#[test]
fn a_method_that_needs_wit_says_why() {
    let error = refused(&text(NUMBERS, "pair"));
    assert_eq!(error.field, "method");
    assert!(error.message.contains("`pair` is () -> (i32, i32): a function has one result"), "{error}");
    assert!(refused(&text(NUMBERS, "vector")).message.contains("vectors and references"));
}

#[test]
fn a_module_without_functions_has_no_method() {
    let error = refused(&text("(module (memory (export \"memory\") 1))", "f"));
    assert_eq!((error.field, error.kind), ("method", ErrorKind::NotFound));
    assert_eq!(error.message, "the module exports no function");
}

#[test]
fn a_signature_that_does_not_fit_is_shown_beside_the_modules() {
    let error = refused(&with_wit(text(NUMBERS, "add-one"), "add-one: func(n: s64) -> s32;"));
    assert_eq!(error.field, "wit");
    assert_eq!(
        error.message,
        "the module's `add_one` is (i32) -> i32, but `wit` says `add-one: func(n: s64) -> s32`, which needs (i64) -> i32"
    );
}

#[test]
fn a_function_that_the_module_lacks_is_named_with_what_there_is() {
    let error = refused(&with_wit(text(NUMBERS, "add-on"), "add-on: func(n: s32) -> s32;"));
    assert_eq!(error.field, "wit");
    assert!(error.message.ends_with("the module exports no such function; did you mean `add_one`?"), "{error}");
    assert!(error.notes.contains(&"  add_one: (i32) -> i32".to_owned()), "{:?}", error.notes);
}

#[test]
fn memory_and_its_allocator_are_asked_for_where_they_are_needed() {
    let takes = r#"(module (memory (export "memory") 1) (func (export "f") (param i32 i32)))"#;
    let error = refused(&with_wit(text(takes, "f"), "f: func(text: string);"));
    assert!(error.message.contains("exports no `cabi_realloc`"), "{error}");
    let returns = r#"(module (memory 1) (func (export "f") (result i32) i32.const 0))"#;
    let error = refused(&with_wit(text(returns, "f"), "f: func() -> string;"));
    assert!(error.message.contains("exports no `memory`"), "{error}");
    // A string that is returned needs no allocator.
    let returns = r#"(module (memory (export "memory") 1) (data (i32.const 0) "\08\00\00\00\02\00\00\00ok")
      (func (export "f") (result i32) i32.const 0))"#;
    assert_eq!(call(&prepare(&with_wit(text(returns, "f"), "f: func() -> string;")), json!([])).unwrap(), json!("ok"));
}

#[test]
fn wit_may_be_a_whole_package() {
    let source = r#"(module
      (func (export "fn:user/math@1.2.0#half") (param f64) (result f64) (f64.div (local.get 0) (f64.const 2)))
      (func (export "twice") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 2))))"#;
    let wit = "package fn:user@1.2.0;\ninterface math { half: func(x: f64) -> f64; }\n\
               world all { export math; export twice: func(x: u32) -> u32; }";
    for method in ["math#half", "fn:user/math#half", "fn:user/math@1.2.0#half", "half"] {
        assert_eq!(call(&prepare(&with_wit(text(source, method), wit)), json!([3])).unwrap(), json!(1.5), "{method}");
    }
    assert_eq!(call(&prepare(&with_wit(text(source, "twice"), wit)), json!([3])).unwrap(), json!(6));
}

#[test]
fn an_interface_alone_is_exported() {
    let source = r#"(module (func (export "half") (param f64) (result f64) (f64.div (local.get 0) (f64.const 2))))"#;
    let wit = "interface math { half: func(x: f64) -> f64; }";
    assert_eq!(call(&prepare(&with_wit(text(source, "math#half"), wit)), json!([3])).unwrap(), json!(1.5));
}

#[test]
fn an_error_in_wit_shows_its_line_and_column() {
    for (wit, place, line) in [
        ("f: func(a: s33);", "(line 1, column 12)", "1 | f: func(a: s33);"),
        ("// a comment\nf: func() -> s32;\n  g: fun();", "(line 3, column 9)", "3 |   g: fun();"),
        ("interface a {\n  f: func(\n}", "(line 3, column 1)", "3 | }"),
        ("package a:b;\nworld w {\n  export c;\n}", "(line 3, column 10)", "3 |   export c;"),
    ] {
        let error = refused(&with_wit(text(NUMBERS, "f"), wit));
        assert_eq!(error.field, "wit");
        assert!(error.message.starts_with("`wit` does not parse: ") && error.message.ends_with(place), "{error}");
        assert_eq!(error.notes[0], line);
    }
    assert!(refused(&with_wit(text(NUMBERS, "f"), " // nothing ")).message.contains("`wit` is empty"));
    let two = "package a:b; world x { export f: func(); } world y { export f: func(); }";
    assert!(refused(&with_wit(text(NUMBERS, "f"), two)).message.contains("the worlds `x`, `y`"));
}

#[test]
fn wit_of_a_component_is_checked_against_its_type() {
    let component = r#"(component
      (core module $m (func (export "f") (param i32) (result i32) (local.get 0)))
      (core instance $i (instantiate $m))
      (func (export "f") (param "a" u32) (result u32) (canon lift (core func $i "f"))))"#;
    assert_eq!(
        call(&prepare(&with_wit(text(component, "f"), "f: func(a: u32) -> u32;")), json!([7])).unwrap(),
        json!(7)
    );
    let error = refused(&with_wit(text(component, "f"), "f: func(a: s32) -> u32;"));
    assert_eq!(error.field, "wit");
    assert!(
        error.message.starts_with(
            "`wit` says `f: func(a: s32) -> u32`, but the component's own type is `f: func(a: u32) -> u32`"
        ),
        "{error}"
    );
    let error = refused(&with_wit(text(component, "f"), "g: func(a: u32) -> u32;"));
    assert!(error.message.contains("the component exports no such function"), "{error}");
}

#[test]
fn imports_that_nobody_provides_are_named() {
    let source = r#"(module (import "env" "log" (func (param i32))) (func (export "f")))"#;
    for spec in [text(source, "f"), with_wit(text(source, "f"), "f: func();")] {
        let error = refused(&spec);
        assert_eq!(error.field, "imports");
        assert!(error.message.contains("the module imports `env.log`, which nobody provides"), "{error}");
    }
    let old = r#"(module (import "wasi_unstable" "proc_exit" (func (param i32))) (func (export "f")))"#;
    assert!(refused(&text(old, "f")).message.contains("before preview 1"));
}

#[test]
fn types_that_no_call_can_carry_are_refused() {
    let component = r#"(component
      (core module $m (func (export "f") (param i32)))
      (core instance $i (instantiate $m))
      (type $r (resource (rep i32)))
      (export $e "r" (type $r))
      (func (export "f") (param "a" (own $e)) (canon lift (core func $i "f"))))"#;
    let error = refused(&text(component, "f"));
    assert_eq!(error.field, "method");
    assert!(error.message.starts_with("`f` cannot be called: "), "{error}");
}
