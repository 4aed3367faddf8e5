//! What does not fit, and the words that say so.

use serde_json::{Value, json};

use super::{super::WitType::*, *};
use crate::call::{CallError, ErrorKind};

fn refuses(rows: Vec<(WitType, Value, &str)>) {
    for (ty, json, message) in rows {
        let error = one(&ty, &json).expect_err(&format!("{json} as {ty}"));
        assert_eq!(error.to_string(), message, "{json} as {ty}");
    }
}

#[test]
fn numbers_out_of_range_show_the_range() {
    refuses(vec![
        (S8, json!(-129), "args[0]: expected s8 (-128 to 127), got -129"),
        (U8, json!(300), "args[0]: expected u8 (0 to 255), got 300"),
        (U32, json!(-1), "args[0]: expected u32 (0 to 4294967295), got -1"),
        (S32, json!(3.5), "args[0]: expected s32, got 3.5"),
        (S32, json!(3e9), "args[0]: expected s32 (-2147483648 to 2147483647), got 3000000000"),
        (S64, json!(1e300), "args[0]: expected s64 (-9223372036854775808 to 9223372036854775807), got 1e300"),
        (
            U64,
            json!("18446744073709551616"),
            "args[0]: expected u64 (0 to 18446744073709551615), got 18446744073709551616",
        ),
        (U64, json!("1x"), "args[0]: expected u64 (a number, or a string of one), got \"1x\""),
        (F32, json!(1e39), "args[0]: expected f32 (-3.4028235e38 to 3.4028235e38), got 1e39"),
        (F64, json!("nan"), "args[0]: expected f64 (a number, \"NaN\", \"Infinity\" or \"-Infinity\"), got \"nan\""),
        (S32, json!("5"), "args[0]: expected s32, got string"),
    ]);
}

#[test]
fn the_wrong_kind_of_value_shows_the_type() {
    let point = record([("x", S32), ("y", S32)]);
    refuses(vec![
        (Bool, json!(1), "args[0]: expected bool, got number"),
        (String, json!(null), "args[0]: expected string, got null"),
        (Char, json!("ab"), "args[0]: expected char (a string of one character), got \"ab\""),
        (Char, json!(""), "args[0]: expected char (a string of one character), got \"\""),
        (U8, json!([]), "args[0]: expected u8, got array"),
        (list(U8), json!("AQI="), "args[0]: expected list<u8>, got string"),
        (
            list(U8),
            json!({"base64": "AQI"}),
            "args[0].base64: expected base64 (standard alphabet, padded), got \"AQI\"",
        ),
        (
            list(U8),
            json!({"b": ""}),
            "args[0]: expected list<u8> (an array, or {\"base64\": \"…\"}), got the key \"b\"",
        ),
        (list(U8), json!([1, 256]), "args[0][1]: expected u8 (0 to 255), got 256"),
        (list(S8), json!({"base64": "AQI="}), "args[0]: expected list<s8>, got object"),
        (fixed(U8, 3), json!([1]), "args[0]: expected list<u8, 3>, got 1 element"),
        (fixed(U8, 3), json!({"base64": "AQI="}), "args[0]: expected list<u8, 3>, got 2 bytes"),
        (Tuple(vec![U8, U8]), json!([1, 2, 3]), "args[0]: expected tuple<u8, u8>, got 3 elements"),
        (point.clone(), json!([1, 2]), "args[0]: expected record { x: s32, y: s32 }, got array"),
        (option(point), json!(1), "args[0]: expected record { x: s32, y: s32 }, got number"),
        (map(String, U8), json!([["a"]]), "args[0][0]: expected a pair of string and u8, got 1 element"),
        (map(String, U8), json!([3]), "args[0][0]: expected a pair of string and u8, got number"),
        (map(U32, U8), json!({"5": 1}), "args[0].key: expected u32, got string"),
        (map(String, U8), json!({"a b": true}), "args[0][\"a b\"]: expected u8, got boolean"),
        (option(option(U8)), json!(5), "args[0]: expected option<option<u8>> (null or {\"some\": …}), got number"),
        (
            option(option(U8)),
            json!({"none": 5}),
            "args[0]: expected option<option<u8>> (null or {\"some\": …}), got the key \"none\"",
        ),
        (option(option(U8)), json!({"some": "x"}), "args[0].some: expected u8, got string"),
    ]);
}

#[test]
fn records_name_unknown_missing_and_doubled_fields() {
    let user = record([("first-name", String), ("age", U8)]);
    refuses(vec![
        (
            user.clone(),
            json!({"frist-name": "A"}),
            "args[0]: no field \"frist-name\"; did you mean `first-name`? The fields are first-name, age",
        ),
        (user.clone(), json!({"zzz": 1}), "args[0]: no field \"zzz\"; the fields are first-name, age"),
        (user.clone(), json!({"age": 1}), "args[0]: the field `first-name` (string) is missing"),
        (user.clone(), json!({"age": 1, "first-name": 2}), "args[0].first-name: expected string, got number"),
        (
            user,
            json!({"first_name": "A", "first-name": "A", "age": 1}),
            "args[0]: the field `first-name` is given twice, in kebab-case and snake_case",
        ),
    ]);
}

#[test]
fn cases_and_flags_suggest_what_was_meant() {
    let shape = variant([("circle", Some(F64)), ("square", None)]);
    let colour = Enum(names(["red", "green"]));
    let rights = Flags(names(["read", "write"]));
    refuses(vec![
        (
            shape.clone(),
            json!("sqare"),
            "args[0]: no case \"sqare\"; did you mean `square`? The cases are circle, square",
        ),
        (shape.clone(), json!({"cube": 1}), "args[0]: no case \"cube\"; the cases are circle, square"),
        (
            shape.clone(),
            json!("circle"),
            "args[0]: expected {\"circle\": …}, for the case has a payload of f64, got \"circle\"",
        ),
        (
            shape.clone(),
            json!({"circle": "x"}),
            "args[0].circle: expected f64 (a number, \"NaN\", \"Infinity\" or \"-Infinity\"), got \"x\"",
        ),
        (shape.clone(), json!({"square": 1}), "args[0].square: expected null, for the case has no payload, got number"),
        (
            shape.clone(),
            json!({"circle": 1, "square": null}),
            "args[0]: expected an object with one key, got \"square\" too",
        ),
        (shape.clone(), json!({}), "args[0]: expected variant { circle(f64), square }, got an empty object"),
        (shape, json!(1), "args[0]: expected variant { circle(f64), square }, got number"),
        (result(Some(U8), None), json!({"okay": 1}), "args[0]: no case \"okay\"; the cases are ok, err"),
        (result(Some(U8), None), json!({"ok": -1}), "args[0].ok: expected u8 (0 to 255), got -1"),
        (result(Some(U8), None), json!({"Ok": 1}), "args[0]: no case \"Ok\"; did you mean `ok`? The cases are ok, err"),
        (colour.clone(), json!("gren"), "args[0]: no case \"gren\"; did you mean `green`? The cases are red, green"),
        (colour, json!(0), "args[0]: expected enum { red, green }, got number"),
        (
            rights.clone(),
            json!(["raed"]),
            "args[0][0]: no flag \"raed\"; did you mean `read`? The flags are read, write",
        ),
        (rights.clone(), json!([1]), "args[0][0]: expected the name of a flag, got number"),
        (rights.clone(), json!({"read": 1}), "args[0].read: expected bool, got number"),
        (rights, json!("read"), "args[0]: expected flags { read, write }, got string"),
    ]);
}

#[test]
fn a_path_leads_to_the_part_that_does_not_fit() {
    let user = record([("id", U32), ("tags", list(String))]);
    let ty = record([("users", list(user))]);
    let json = json!({"users": [{"id": 1, "tags": []}, {"id": 2, "tags": 5}]});
    let error = one(&ty, &json).unwrap_err();
    assert_eq!(error.path(), "args[0].users[1].tags");
    assert_eq!(error.problem(), "expected list<string>, got number");
    assert_eq!(error.to_string(), "args[0].users[1].tags: expected list<string>, got number");
    // The only argument, given bare, has the same path.
    assert_eq!(signature([("a", ty)]).encode(&json).unwrap_err(), error);

    let error = CallError::from(error);
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(error.message(), "args[0].users[1].tags: expected list<string>, got number");
}

#[test]
fn a_wrong_number_of_arguments_shows_the_parameters() {
    let two = signature([("a", S32), ("b", S32)]);
    let one = signature([("users", list(record([("id", U32)])))]);
    let none = signature([]);
    let rows = [
        (&two, json!([1, 2, 3]), "expected 2 arguments (a: s32, b: s32), got 3"),
        (&two, json!([]), "expected 2 arguments (a: s32, b: s32), got none"),
        (&two, json!(null), "expected 2 arguments (a: s32, b: s32), got none"),
        (&two, json!(5), "expected 2 arguments (a: s32, b: s32), got number"),
        (&two, json!({"a": 1, "b": 2}), "expected 2 arguments (a: s32, b: s32), got object"),
        (&one, json!([]), "expected 1 argument (users: list<record { id: u32 }>), got none"),
        (&none, json!([1]), "expected no arguments, got 1"),
        (&none, json!("x"), "expected no arguments, got string"),
    ];
    for (signature, args, message) in rows {
        let error = signature.encode(&args).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.path().as_str()), (message, ""), "{args}");
    }
}

#[test]
fn long_types_and_texts_are_cut() {
    let many = Enum((0..20).map(|i| format!("c{i}")).collect());
    let deep = record([("inner", record([("a", U8)])), ("colour", many.clone())]);
    refuses(vec![
        (many.clone(), json!(1), "args[0]: expected enum { c0, c1, c2, c3, c4, c5, c6, c7, … }, got number"),
        (
            many,
            json!("x".repeat(500)),
            &format!(
                "args[0]: no case \"{}\"…; the cases are c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, …",
                "x".repeat(40)
            ),
        ),
        (deep, json!(1), "args[0]: expected record { inner: record, colour: enum }, got number"),
    ]);
}
