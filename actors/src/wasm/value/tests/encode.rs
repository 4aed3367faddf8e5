//! JSON in, row by row of the specification's table.

use serde_json::{Value, json};
use wasmtime::component::Val;

use super::{super::WitType::*, *};

fn accepts(rows: Vec<(WitType, Value, Val)>) {
    for (ty, json, val) in rows {
        assert_eq!(one(&ty, &json), Ok(val), "{json} as {ty}");
    }
}

#[test]
fn scalars_come_from_booleans_numbers_and_strings() {
    accepts(vec![
        (Bool, json!(true), Val::Bool(true)),
        (S8, json!(-128), Val::S8(-128)),
        (U8, json!(255), Val::U8(255)),
        (S16, json!(-32768), Val::S16(-32768)),
        (U16, json!(65535), Val::U16(65535)),
        (S32, json!(3.0), Val::S32(3)),
        (S32, json!(-0.0), Val::S32(0)),
        (U32, json!(4_294_967_295_u32), Val::U32(u32::MAX)),
        (S64, json!("-9223372036854775808"), Val::S64(i64::MIN)),
        (S64, json!(-9_007_199_254_740_993_i64), Val::S64(-9_007_199_254_740_993)),
        (U64, json!("18446744073709551615"), Val::U64(u64::MAX)),
        (U64, json!(u64::MAX), Val::U64(u64::MAX)),
        (U64, json!(1e19), Val::U64(10_000_000_000_000_000_000)),
        (F32, json!(0.1), Val::Float32(0.1)),
        (F32, json!(2), Val::Float32(2.0)),
        (F32, json!("-Infinity"), Val::Float32(f32::NEG_INFINITY)),
        (F64, json!(0.1), Val::Float64(0.1)),
        (F64, json!(-0.0), Val::Float64(-0.0)),
        (F64, json!(7), Val::Float64(7.0)),
        (F64, json!("NaN"), Val::Float64(f64::NAN)),
        (F64, json!("Infinity"), Val::Float64(f64::INFINITY)),
        (Char, json!("é"), Val::Char('é')),
        (String, json!("héllo"), text("héllo")),
        (String, json!(""), text("")),
    ]);
}

#[test]
fn lists_and_tuples_come_from_arrays() {
    accepts(vec![
        (list(U8), json!([1, 2]), Val::List(vec![Val::U8(1), Val::U8(2)])),
        (list(U8), json!({"base64": "AQI="}), Val::List(vec![Val::U8(1), Val::U8(2)])),
        (list(U8), json!({"base64": ""}), Val::List(vec![])),
        (fixed(U8, 2), json!({"base64": "AQI="}), Val::FixedLengthList(vec![Val::U8(1), Val::U8(2)])),
        (list(String), json!([]), Val::List(vec![])),
        (list(list(Bool)), json!([[true], []]), Val::List(vec![Val::List(vec![Val::Bool(true)]), Val::List(vec![])])),
        (fixed(S8, 2), json!([1, -1]), Val::FixedLengthList(vec![Val::S8(1), Val::S8(-1)])),
        (Tuple(vec![U8, String]), json!([1, "a"]), Val::Tuple(vec![Val::U8(1), text("a")])),
    ]);
}

#[test]
fn maps_come_from_pairs_or_from_objects_with_string_keys() {
    let by_name = Val::Map(vec![(text("b"), Val::U8(1)), (text("a"), Val::U8(2))]);
    accepts(vec![
        (map(String, U8), json!({"b": 1, "a": 2}), by_name.clone()),
        (map(String, U8), json!([["b", 1], ["a", 2]]), by_name),
        (map(U32, String), json!([[7, "x"]]), Val::Map(vec![(Val::U32(7), text("x"))])),
        (map(U32, String), json!([]), Val::Map(vec![])),
        (map(U32, String), json!({}), Val::Map(vec![])),
        (map(Char, U8), json!({"x": 1}), Val::Map(vec![(Val::Char('x'), Val::U8(1))])),
    ]);
}

#[test]
fn records_come_from_objects_in_any_order_and_either_case() {
    let ty = record([("first-name", String), ("age", U8), ("nick-name", option(String))]);
    let val = record_val([("first-name", text("Ann")), ("age", Val::U8(3)), ("nick-name", NONE)]);
    accepts(vec![
        (ty.clone(), json!({"first-name": "Ann", "age": 3, "nick-name": null}), val.clone()),
        (ty.clone(), json!({"age": 3, "first_name": "Ann"}), val.clone()),
        (
            ty,
            json!({"nick_name": "A", "age": 3.0, "first-name": "Ann"}),
            record_val([("first-name", text("Ann")), ("age", Val::U8(3)), ("nick-name", some(text("A")))]),
        ),
        (record([("HTTP-status", U16)]), json!({"http_status": 200}), record_val([("HTTP-status", Val::U16(200))])),
    ]);
}

#[test]
fn options_come_from_values_and_null() {
    let deep = option(option(option(U8)));
    accepts(vec![
        (option(U8), json!(null), NONE),
        (option(U8), json!(5), some(Val::U8(5))),
        (option(list(U8)), json!([5]), some(Val::List(vec![Val::U8(5)]))),
        (option(record([("a", U8)])), json!({"a": 1}), some(record_val([("a", Val::U8(1))]))),
        (option(record([("some", U8)])), json!({"some": 1}), some(record_val([("some", Val::U8(1))]))),
        (option(option(U8)), json!(null), NONE),
        (option(option(U8)), json!({"some": null}), some(NONE)),
        (option(option(U8)), json!({"some": 5}), some(some(Val::U8(5)))),
        (deep.clone(), json!({"some": {"some": null}}), some(some(NONE))),
        (deep, json!({"some": {"some": 1}}), some(some(some(Val::U8(1))))),
    ]);
}

#[test]
fn results_and_variants_come_from_objects_with_one_key_or_from_strings() {
    let shape = variant([("circle", Some(F64)), ("unit-square", None), ("maybe", Some(option(U8)))]);
    let case = |name: &str, payload: std::option::Option<Val>| Val::Variant(name.to_owned(), payload.map(Box::new));
    accepts(vec![
        (result(Some(U8), Some(String)), json!({"ok": 1}), Val::Result(Ok(Some(Box::new(Val::U8(1)))))),
        (result(Some(U8), Some(String)), json!({"err": "x"}), Val::Result(Err(Some(Box::new(text("x")))))),
        (result(None, Some(String)), json!({"ok": null}), Val::Result(Ok(None))),
        (result(None, None), json!("ok"), Val::Result(Ok(None))),
        (result(None, None), json!("err"), Val::Result(Err(None))),
        (option(result(None, None)), json!("err"), some(Val::Result(Err(None)))),
        (shape.clone(), json!({"circle": 1.5}), case("circle", Some(Val::Float64(1.5)))),
        (shape.clone(), json!("unit-square"), case("unit-square", None)),
        (shape.clone(), json!("unit_square"), case("unit-square", None)),
        (shape.clone(), json!({"unit_square": null}), case("unit-square", None)),
        (shape, json!({"maybe": null}), case("maybe", Some(NONE))),
    ]);
}

#[test]
fn enums_and_flags_come_from_names() {
    let colour = Enum(names(["dark-red", "blue"]));
    let rights = Flags(names(["read", "write-all", "run"]));
    let set = |flags: &[&str]| Val::Flags(flags.iter().map(|flag| (*flag).to_owned()).collect());
    accepts(vec![
        (colour.clone(), json!("blue"), Val::Enum("blue".to_owned())),
        (colour, json!("dark_red"), Val::Enum("dark-red".to_owned())),
        (rights.clone(), json!([]), set(&[])),
        (rights.clone(), json!(["run", "read", "run"]), set(&["read", "run"])),
        (rights.clone(), json!(["write_all"]), set(&["write-all"])),
        (rights, json!({"read": true, "run": false}), set(&["read"])),
    ]);
}

#[test]
fn arguments_are_a_sequence_or_the_only_one() {
    let two = signature([("a", S32), ("b", S32)]);
    let both = vec![Val::S32(1), Val::S32(2)];
    assert_eq!(two.encode(&json!([1, 2])), Ok(both.clone()));
    assert_eq!(two.encode(&[json!(1), json!(2)]), Ok(both.clone()));
    assert_eq!(two.encode(&(1, 2)), Ok(both.clone()));
    assert_eq!(two.encode(&[1, 2][..]), Ok(both));

    let none = signature([]);
    assert_eq!(none.encode(&()), Ok(vec![]));
    assert_eq!(none.encode(&json!(null)), Ok(vec![]));
    assert_eq!(none.encode(&json!([])), Ok(vec![]));

    assert_eq!(signature([("a", S32)]).encode(&5), Ok(vec![Val::S32(5)]));
    assert_eq!(signature([("a", String)]).encode("x"), Ok(vec![text("x")]));
    assert_eq!(signature([("a", option(S32))]).encode(&Some(5)), Ok(vec![some(Val::S32(5))]));
    assert_eq!(signature([("a", option(option(S32)))]).encode(&Some(None::<i32>)), Ok(vec![some(NONE)]));
    let only = signature([("a", record([("x", list(U8))]))]);
    assert_eq!(only.encode(&json!({"x": [1]})), Ok(vec![record_val([("x", Val::List(vec![Val::U8(1)]))])]));
    assert_eq!(signature([("a", list(U8))]).encode(&json!([[1]])), Ok(vec![Val::List(vec![Val::U8(1)])]));
}
