//! JSON out, row by row of the specification's table.

use serde_json::{Value, json};
use wasmtime::component::Val;

use super::{
    super::{JsonVal, WitType::*, payload_bytes, to_json},
    *,
};

/// Checks both ways to JSON, and that without the type the same comes out.
fn writes(rows: Vec<(Val, Value)>) {
    for (val, json) in rows {
        assert_eq!(to_json(Some(&val), None), json, "{val:?}");
        let text = serde_json::to_string(&JsonVal { val: Some(&val), ty: None }).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json, "{text}");
    }
}

#[test]
fn scalars_are_numbers_where_json_can_hold_them() {
    const EXACT: i64 = 1 << 53;
    writes(vec![
        (Val::Bool(true), json!(true)),
        (Val::S8(-1), json!(-1)),
        (Val::U8(255), json!(255)),
        (Val::S16(-2), json!(-2)),
        (Val::U16(2), json!(2)),
        (Val::S32(i32::MIN), json!(i32::MIN)),
        (Val::U32(u32::MAX), json!(u32::MAX)),
        (Val::S64(EXACT), json!(9_007_199_254_740_992_i64)),
        (Val::S64(-EXACT), json!(-9_007_199_254_740_992_i64)),
        (Val::S64(EXACT + 1), json!("9007199254740993")),
        (Val::S64(i64::MIN), json!("-9223372036854775808")),
        (Val::U64(EXACT as u64), json!(9_007_199_254_740_992_u64)),
        (Val::U64(u64::MAX), json!("18446744073709551615")),
        (Val::Float32(0.1), json!(0.1)),
        (Val::Float32(1e20), json!(1e20)),
        (Val::Float32(f32::NAN), json!("NaN")),
        (Val::Float64(1.5), json!(1.5)),
        (Val::Float64(f64::INFINITY), json!("Infinity")),
        (Val::Float64(f64::NEG_INFINITY), json!("-Infinity")),
        (Val::Char('é'), json!("é")),
        (text("x"), json!("x")),
    ]);
    assert_eq!(serde_json::to_string(&JsonVal { val: Some(&Val::Float32(0.1)), ty: None }).unwrap(), "0.1");
    assert_eq!(to_json(None, None), json!(null));
}

#[test]
fn containers_are_arrays_and_objects() {
    writes(vec![
        (Val::List(vec![Val::U8(1), Val::U8(2)]), json!([1, 2])),
        (Val::FixedLengthList(vec![Val::U8(1)]), json!([1])),
        (Val::Tuple(vec![Val::U8(1), text("a")]), json!([1, "a"])),
        (record_val([("first-name", text("a")), ("b", NONE)]), json!({"first-name": "a", "b": null})),
        (Val::Map(vec![(text("a"), Val::U8(1)), (text("a"), Val::U8(2))]), json!({"a": 2})),
        (Val::Map(vec![(Val::U32(1), text("x"))]), json!([[1, "x"]])),
        (Val::Map(vec![]), json!({})),
        (NONE, json!(null)),
        (some(Val::U8(1)), json!(1)),
        (some(NONE), json!({"some": null})),
        (some(some(Val::U8(1))), json!({"some": 1})),
        (some(some(NONE)), json!({"some": {"some": null}})),
        (Val::Result(Ok(Some(Box::new(Val::U8(1))))), json!({"ok": 1})),
        (Val::Result(Err(None)), json!({"err": null})),
        (Val::Variant("a".to_owned(), None), json!("a")),
        (Val::Variant("a".to_owned(), Some(Box::new(Val::U8(1)))), json!({"a": 1})),
        (Val::Enum("red".to_owned()), json!("red")),
        (Val::Flags(names(["read", "run"])), json!(["read", "run"])),
    ]);
}

#[test]
fn fields_keep_their_order_and_keys_come_once() {
    let val = record_val([("z", Val::U8(1)), ("a", Val::U8(2))]);
    assert_eq!(serde_json::to_string(&JsonVal { val: Some(&val), ty: None }).unwrap(), r#"{"z":1,"a":2}"#);
    let val = Val::Map(vec![(text("a"), Val::U8(1)), (text("b"), Val::U8(3)), (text("a"), Val::U8(2))]);
    assert_eq!(serde_json::to_string(&JsonVal { val: Some(&val), ty: None }).unwrap(), r#"{"b":3,"a":2}"#);
}

#[test]
fn the_type_tells_what_an_empty_map_is_wherever_it_stands() {
    let empty = || Val::Map(vec![]);
    let (pairs, object) = (map(U32, U8), map(String, U8));
    let rows = vec![
        (pairs.clone(), empty(), json!([])),
        (object, empty(), json!({})),
        (list(pairs.clone()), Val::List(vec![empty()]), json!([[]])),
        (fixed(pairs.clone(), 1), Val::FixedLengthList(vec![empty()]), json!([[]])),
        (Tuple(vec![U8, pairs.clone()]), Val::Tuple(vec![Val::U8(1), empty()]), json!([1, []])),
        (record([("a", pairs.clone())]), record_val([("a", empty())]), json!({"a": []})),
        (option(pairs.clone()), some(empty()), json!([])),
        (option(option(pairs.clone())), some(some(empty())), json!({"some": []})),
        (
            variant([("a", Some(pairs.clone()))]),
            Val::Variant("a".to_owned(), Some(Box::new(empty()))),
            json!({"a": []}),
        ),
        (result(Some(pairs.clone()), None), Val::Result(Ok(Some(Box::new(empty())))), json!({"ok": []})),
        (result(None, Some(pairs.clone())), Val::Result(Err(Some(Box::new(empty())))), json!({"err": []})),
        (map(U8, pairs), Val::Map(vec![(Val::U8(1), empty())]), json!([[1, []]])),
    ];
    for (ty, val, json) in rows {
        assert_eq!(to_json(Some(&val), Some(&ty)), json, "{ty}");
    }
}

#[test]
fn a_payload_is_counted_as_the_guest_holds_it() {
    let rows = [
        (Val::U8(1), 1),
        (Val::S16(1), 2),
        (Val::Char('a'), 4),
        (Val::Float64(1.0), 8),
        (text("héllo"), 8 + 6),
        (Val::List(vec![Val::U8(1); 1000]), 8 + 1000),
        (Val::List(vec![text(""); 10]), 8 + 10 * 8),
        (Val::Tuple(vec![Val::U8(1), Val::U32(1)]), 5),
        (Val::Map(vec![(text("a"), Val::U64(1))]), 8 + 9 + 8),
        (record_val([("long-name", Val::U32(1))]), 4),
        (some(Val::U32(1)), 5),
        (NONE, 1),
        (Val::Result(Err(Some(Box::new(text("x"))))), 1 + 9),
        (Val::Enum("a".to_owned()), 1),
        (Val::Flags(vec![]), 4),
    ];
    for (val, bytes) in rows {
        assert_eq!(payload_bytes(&val), bytes, "{val:?}");
    }
}
