//! How `method` finds an export.

use greenroom_actors::ErrorKind;
use serde_json::json;

use super::fixture::*;

/// Exports `plain`, and `value` in two interfaces, one of which has `only` as well.
const COMPONENT: &str = r#"(component
  (core module $m
    (func (export "one") (result i32) i32.const 1)
    (func (export "two") (result i32) i32.const 2)
    (func (export "three") (result i32) i32.const 3))
  (core instance $i (instantiate $m))
  (func $one (result u32) (canon lift (core func $i "one")))
  (func $two (result u32) (canon lift (core func $i "two")))
  (func $three (result u32) (canon lift (core func $i "three")))
  (export "plain-one" (func $one))
  (instance $a (export "value" (func $two)) (export "only-here" (func $three)))
  (instance $b (export "value" (func $three)))
  (export "test-sleep" (instance $a))
  (export "my:pkg/other@1.2.0" (instance $b)))"#;

#[test]
fn a_method_reaches_functions_and_those_of_interfaces() {
    for (method, expected) in [
        ("plain-one", 1),
        ("plain_one", 1),
        ("test-sleep#value", 2),
        ("test_sleep#value", 2),
        ("only-here", 3),
        ("only_here", 3),
        ("other#value", 3),
        ("my:pkg/other#value", 3),
        ("my:pkg/other@1.2.0#value", 3),
    ] {
        assert_eq!(call(&prepare(&text(COMPONENT, method)), json!([])).unwrap(), json!(expected), "{method}");
    }
}

#[test]
fn a_missing_method_lists_what_there_is() {
    let error = refused(&text(COMPONENT, "plain-on"));
    assert_eq!((error.field, error.kind), ("method", ErrorKind::NotFound));
    assert_eq!(error.message, "the component exports no `plain-on`; did you mean `plain-one`?");
    assert_eq!(
        error.notes,
        [
            "it exports:",
            "  plain-one: func() -> u32",
            "  test-sleep#value: func() -> u32",
            "  test-sleep#only-here: func() -> u32",
            "  my:pkg/other@1.2.0#value: func() -> u32",
        ]
    );
    for method in ["other@2.0.0#value", "wrong:pkg/other#value", "test-sleep#none", "none#value", "", "#"] {
        assert_eq!(refused(&text(COMPONENT, method)).kind, ErrorKind::NotFound, "{method}");
    }
    assert!(refused(&text("(component)", "f")).message.contains("exports no function"));
}

#[test]
fn an_ambiguous_method_lists_what_it_may_mean() {
    let error = refused(&text(COMPONENT, "value"));
    assert_eq!((error.field, error.kind), ("method", ErrorKind::Invalid));
    assert_eq!(error.message, "`value` is ambiguous; write one of these instead");
    assert_eq!(error.notes, ["test-sleep#value: func() -> u32", "my:pkg/other@1.2.0#value: func() -> u32"]);
}

#[test]
fn exports_that_are_one_name_in_kebab_case_are_ambiguous() {
    let source =
        r#"(module (func (export "a_b") (result i32) (i32.const 2)) (func (export "a-b") (result i32) (i32.const 3)))"#;
    let error = refused(&text(source, "a_b"));
    assert_eq!(error.field, "method");
    assert!(error.message.starts_with("`a_b` is ambiguous: `a_b`, `a-b` are one name in kebab-case"), "{error}");
}
