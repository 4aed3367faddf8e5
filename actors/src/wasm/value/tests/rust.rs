//! Rust types in, without JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use wasmtime::component::Val;

use super::{
    super::WitType::{Bool, Enum, F32, F64, Flags, S8, S32, String, Tuple, U8, U64},
    *,
};

#[derive(Serialize)]
struct User<'a> {
    first_name: &'a str,
    nick_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<u8>,
}

#[derive(Serialize)]
enum Shape {
    Circle(f64),
    UnitSquare,
    Line { to_x: u8 },
    Pair(u8, u8),
    HttpError(Option<Option<u8>>),
}

#[derive(Serialize)]
struct Rights {
    read: bool,
    write_all: bool,
}

#[derive(Serialize)]
struct Metres(f64);

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

fn shapes() -> WitType {
    variant([
        ("circle", Some(F64)),
        ("unit-square", None),
        ("line", Some(record([("to-x", U8)]))),
        ("pair", Some(option(Tuple(vec![U8, U8])))),
        ("HTTP-error", Some(option(option(U8)))),
    ])
}

fn case(name: &str, payload: Option<Val>) -> Val {
    Val::Variant(name.to_owned(), payload.map(Box::new))
}

#[test]
fn structs_are_records() {
    let ty = record([("first-name", String), ("age", option(U8)), ("nick-name", option(option(String)))]);
    let user = User { first_name: "Ann", nick_name: Some("A"), age: None };
    // A plain `Some` fills both levels: the inner value cannot be mistaken.
    let val = record_val([("first-name", text("Ann")), ("age", NONE), ("nick-name", some(some(text("A"))))]);
    assert_eq!(one(&ty, &user), Ok(val));
    assert_eq!(one(&F64, &Metres(2.0)), Ok(Val::Float64(2.0)));
    let map_ty = map(String, Bool);
    let val = Val::Map(vec![(text("read"), Val::Bool(true)), (text("write_all"), Val::Bool(false))]);
    assert_eq!(one(&map_ty, &Rights { read: true, write_all: false }), Ok(val));
}

#[test]
fn enums_are_variants_enums_results_and_text() {
    let ty = shapes();
    let rows = [
        (Shape::Circle(1.5), case("circle", Some(Val::Float64(1.5)))),
        (Shape::UnitSquare, case("unit-square", None)),
        (Shape::Line { to_x: 1 }, case("line", Some(record_val([("to-x", Val::U8(1))])))),
        (Shape::Pair(1, 2), case("pair", Some(some(Val::Tuple(vec![Val::U8(1), Val::U8(2)]))))),
        (Shape::HttpError(Some(None)), case("HTTP-error", Some(some(NONE)))),
    ];
    for (shape, val) in rows {
        assert_eq!(one(&option(ty.clone()), &Some(&shape)), Ok(some(val.clone())));
        assert_eq!(one(&option(ty.clone()), &shape), Ok(some(val.clone())));
        assert_eq!(signature([("a", ty.clone())]).encode(&shape), Ok(vec![val]));
    }
    assert_eq!(one(&Enum(names(["unit-square"])), &Shape::UnitSquare), Ok(Val::Enum("unit-square".to_owned())));
    assert_eq!(one(&String, &Shape::UnitSquare), Ok(text("UnitSquare")));
    assert_eq!(one(&Flags(names(["unit-square"])), &[Shape::UnitSquare]), Ok(Val::Flags(names(["unit-square"]))));

    assert_eq!(one(&result(Some(U8), None), &Ok::<_, ()>(1)), Ok(Val::Result(Ok(Some(Box::new(Val::U8(1)))))));
    assert_eq!(one(&result(None, Some(String)), &Ok::<_, &str>(())), Ok(Val::Result(Ok(None))));
    assert_eq!(one(&result(None, Some(U8)), &Err::<(), _>(1)), Ok(Val::Result(Err(Some(Box::new(Val::U8(1)))))));
}

#[test]
fn options_nest_as_rust_has_them() {
    let ty = option(option(U8));
    assert_eq!(one(&ty, &None::<Option<u8>>), Ok(NONE));
    assert_eq!(one(&ty, &Some(None::<u8>)), Ok(some(NONE)));
    assert_eq!(one(&ty, &Some(Some(1))), Ok(some(some(Val::U8(1)))));
    assert_eq!(one(&U8, &Some(1)), Ok(Val::U8(1)));
}

#[test]
fn maps_keep_the_types_of_their_keys() {
    let ty = map(U64, String);
    let val = Val::Map(vec![(Val::U64(1), text("a")), (Val::U64(u64::MAX), text("b"))]);
    assert_eq!(one(&ty, &BTreeMap::from([(1_u64, "a"), (u64::MAX, "b")])), Ok(val));
}

#[test]
fn flags_are_structs_of_booleans() {
    let ty = Flags(names(["read", "write-all"]));
    let rights = Rights { read: false, write_all: true };
    assert_eq!(one(&ty, &rights), Ok(Val::Flags(names(["write-all"]))));
}

#[test]
fn bytes_are_lists_or_text() {
    let val = Val::List(vec![Val::U8(0xff), Val::U8(1)]);
    assert_eq!(one(&list(U8), &Bytes(b"\xff\x01")), Ok(val.clone()));
    assert_eq!(one(&option(list(U8)), &Bytes(b"\xff\x01")), Ok(some(val.clone())));
    assert_eq!(signature([("a", list(U8))]).encode(&Bytes(b"\xff\x01")), Ok(vec![val]));
    assert_eq!(one(&fixed(U8, 1), &Bytes(b"\x02")), Ok(Val::FixedLengthList(vec![Val::U8(2)])));
    assert_eq!(one(&String, &Bytes(b"abc")), Ok(text("abc")));
    assert_eq!(one(&Enum(names(["a"])), &Bytes(b"a")), Ok(Val::Enum("a".to_owned())));
    assert_eq!(
        one(&String, &Bytes(b"\xff")).unwrap_err().to_string(),
        "args[0]: expected string, got bytes that are not UTF-8 text"
    );
}

#[test]
fn all_integers_are_checked() {
    assert_eq!(one(&U64, &u64::MAX), Ok(Val::U64(u64::MAX)));
    assert_eq!(one(&U64, &u128::from(u64::MAX)), Ok(Val::U64(u64::MAX)));
    assert_eq!(one(&S8, &-1_i128), Ok(Val::S8(-1)));
    assert_eq!(
        one(&U64, &u128::MAX).unwrap_err().to_string(),
        "args[0]: expected u64 (0 to 18446744073709551615), got 3.402823669209385e38"
    );
    assert_eq!(one(&F32, &f32::NAN), Ok(Val::Float32(f32::NAN)));
    assert_eq!(one(&S32, &f64::NAN).unwrap_err().to_string(), "args[0]: expected s32, got NaN");
}

#[test]
fn errors_name_the_case_they_are_in() {
    #[derive(Serialize)]
    enum Wrong {
        Line { to_x: &'static str },
        Pair(u8, &'static str),
        UnitSquare(u8, u8),
        Cube,
    }
    let message = |wrong: Wrong| one(&shapes(), &wrong).unwrap_err().to_string();
    assert_eq!(message(Wrong::Line { to_x: "x" }), "args[0].line.to-x: expected u8, got string");
    assert_eq!(message(Wrong::Pair(1, "x")), "args[0].pair[1]: expected u8, got string");
    assert_eq!(
        message(Wrong::UnitSquare(1, 2)),
        "args[0].unit-square: expected null, for the case has no payload, got array"
    );
    assert_eq!(
        message(Wrong::Cube),
        "args[0]: no case \"Cube\"; the cases are circle, unit-square, line, pair, HTTP-error"
    );
    assert_eq!(one(&U8, &Wrong::Pair(1, "x")).unwrap_err().to_string(), "args[0]: expected u8, got array");
}
