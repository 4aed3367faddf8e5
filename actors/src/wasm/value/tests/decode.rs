//! Values into Rust types, and what happens when they do not fit.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Value, json};
use wasmtime::component::Val;

use super::{
    super::{decode, to_json},
    *,
};

#[derive(Debug, PartialEq, Deserialize)]
struct User {
    id: u64,
    first_name: String,
    tags: Vec<String>,
    nick_name: Option<String>,
}

fn user(id: Val) -> Val {
    record_val([
        ("id", id),
        ("first-name", text("Ann")),
        ("tags", Val::List(vec![text("a"), text("b")])),
        ("nick-name", NONE),
    ])
}

#[derive(Debug, PartialEq, Deserialize)]
enum Shape {
    Circle(f64),
    UnitSquare,
    Line { to_x: u8, to_y: u8 },
    Pair(u8, u8),
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Colour {
    DarkRed,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Rights {
    read: bool,
    write_all: bool,
}

fn case(name: &str, payload: Option<Val>) -> Val {
    Val::Variant(name.to_owned(), payload.map(Box::new))
}

#[test]
fn records_fill_structs_and_maps() {
    let ann = User { id: u64::MAX, first_name: "Ann".into(), tags: vec!["a".into(), "b".into()], nick_name: None };
    assert_eq!(decode(Some(&user(Val::U64(u64::MAX)))), Ok(ann));
    let fields: BTreeMap<String, u8> = decode(Some(&record_val([("a-b", Val::U8(1)), ("c", Val::U8(2))]))).unwrap();
    assert_eq!(fields, BTreeMap::from([("a-b".to_owned(), 1), ("c".to_owned(), 2)]));
}

#[test]
fn cases_fill_enums_and_results() {
    assert_eq!(decode(Some(&case("circle", Some(Val::Float64(1.5))))), Ok(Shape::Circle(1.5)));
    assert_eq!(decode(Some(&case("unit-square", None))), Ok(Shape::UnitSquare));
    let line = record_val([("to-x", Val::U8(1)), ("to-y", Val::U8(2))]);
    assert_eq!(decode(Some(&case("line", Some(line)))), Ok(Shape::Line { to_x: 1, to_y: 2 }));
    let pair = Val::Tuple(vec![Val::U8(1), Val::U8(2)]);
    assert_eq!(decode(Some(&case("pair", Some(pair)))), Ok(Shape::Pair(1, 2)));
    assert_eq!(decode(Some(&Val::Enum("unit-square".to_owned()))), Ok(Shape::UnitSquare));
    assert_eq!(decode(Some(&Val::Enum("dark-red".to_owned()))), Ok(Colour::DarkRed));
    assert_eq!(decode(Some(&text("dark-red"))), Ok(Colour::DarkRed));

    assert_eq!(decode(Some(&Val::Result(Ok(Some(Box::new(Val::U8(1))))))), Ok(Ok::<u8, String>(1)));
    assert_eq!(decode(Some(&Val::Result(Err(Some(Box::new(text("x"))))))), Ok(Err::<u8, String>("x".into())));
    assert_eq!(decode(Some(&Val::Result(Ok(None)))), Ok(Ok::<(), ()>(())));
}

#[test]
fn options_flags_maps_and_lists_fill_their_likes() {
    assert_eq!(decode(Some(&NONE)), Ok(None::<Option<u8>>));
    assert_eq!(decode(Some(&some(NONE))), Ok(Some(None::<u8>)));
    assert_eq!(decode(Some(&some(some(Val::U8(1))))), Ok(Some(Some(1_u8))));
    assert_eq!(decode(Some(&some(Val::U8(1)))), Ok(1_u8));
    assert_eq!(decode(Some(&Val::U8(1))), Ok(Some(1_u8)));

    let flags = Val::Flags(names(["write-all"]));
    assert_eq!(decode(Some(&flags)), Ok(vec!["write-all".to_owned()]));
    assert_eq!(decode(Some(&flags)), Ok(Rights { read: false, write_all: true }));
    assert_eq!(decode(Some(&flags)), Ok(HashMap::from([("write-all".to_owned(), true)])));

    let by_name = Val::Map(vec![(text("a"), Val::U8(1))]);
    assert_eq!(decode(Some(&by_name)), Ok(HashMap::from([("a".to_owned(), 1_u8)])));
    assert_eq!(decode(Some(&by_name)), Ok(vec![("a".to_owned(), 1_u8)]));
    let by_number = Val::Map(vec![(Val::U32(7), text("x"))]);
    assert_eq!(decode(Some(&by_number)), Ok(BTreeMap::from([(7_u32, "x".to_owned())])));
    assert_eq!(decode(Some(&by_number)), Ok(vec![(7_u32, "x".to_owned())]));

    let bytes = Val::List(vec![Val::U8(1), Val::U8(2)]);
    assert_eq!(decode(Some(&bytes)), Ok(vec![1_u8, 2]));
    assert_eq!(decode::<Bytes>(Some(&bytes)).map(|bytes| bytes.0), Ok(vec![1, 2]));
    assert_eq!(decode(Some(&Val::FixedLengthList(vec![Val::U8(1), Val::U8(2)]))), Ok([1_u8, 2]));
    assert_eq!(decode(Some(&Val::Tuple(vec![Val::Char('é'), text("a")]))), Ok(('é', "a".to_owned())));
}

/// Asks for bytes, as types that hold them do.
struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(Visitor)
    }
}

#[test]
fn floats_keep_what_they_are() {
    assert!(decode::<f64>(Some(&Val::Float64(f64::NAN))).unwrap().is_nan());
    assert!(decode::<f32>(Some(&Val::Float32(f32::NAN))).unwrap().is_nan());
    assert!(decode::<f64>(Some(&Val::Float32(f32::NAN))).unwrap().is_nan());
    assert_eq!(decode::<f32>(Some(&Val::Float32(0.1))), Ok(0.1));
    assert_eq!(decode::<f64>(Some(&Val::U32(7))), Ok(7.0));
    assert_eq!(decode::<Value>(Some(&Val::Float32(0.1))), Ok(json!(0.1)));
    assert_eq!(decode::<Value>(Some(&Val::Float64(f64::NAN))), Ok(json!("NaN")));
}

#[test]
fn untyped_targets_see_the_shapes_of_json() {
    let vals = [
        user(Val::U64(1)),
        case("circle", Some(Val::U8(1))),
        case("unit", None),
        some(NONE),
        some(some(Val::U8(1))),
        Val::Map(vec![(text("a"), Val::U8(1))]),
        Val::Map(vec![(Val::U8(1), Val::U8(1))]),
        Val::Map(vec![]),
        Val::Result(Err(None)),
        Val::Flags(names(["a", "b"])),
    ];
    for val in vals {
        assert_eq!(decode::<Value>(Some(&val)), Ok(to_json(Some(&val), None)));
    }
    assert_eq!(decode::<Value>(Some(&Val::U64(u64::MAX))), Ok(json!(u64::MAX)));
    assert_eq!(decode::<Value>(None), Ok(json!(null)));
}

#[test]
fn no_result_is_unit() {
    assert_eq!(decode::<()>(None), Ok(()));
    assert_eq!(decode::<Option<u8>>(None), Ok(None));
    assert_eq!(decode::<u8>(None).unwrap_err().to_string(), "result: expected u8, got null");
}

#[test]
fn what_does_not_fit_is_named_with_its_path() {
    let message = |error: ValueError| error.to_string();
    let users = Val::Record(vec![("users".into(), Val::List(vec![user(Val::U64(1)), user(text("x"))]))]);
    assert_eq!(
        message(decode::<HashMap<String, Vec<User>>>(Some(&users)).unwrap_err()),
        "result.users[1].id: expected u64, got string \"x\""
    );
    assert_eq!(message(decode::<u8>(Some(&Val::U32(300))).unwrap_err()), "result: expected u8, got integer `300`");
    assert_eq!(
        message(decode::<User>(Some(&record_val([("id", Val::U64(1))]))).unwrap_err()),
        "result: missing field `first_name`"
    );
    assert_eq!(
        message(decode::<Shape>(Some(&case("cube", None))).unwrap_err()),
        "result: unknown variant `cube`, expected one of `Circle`, `UnitSquare`, `Line`, `Pair`"
    );
    assert_eq!(
        message(decode::<Shape>(Some(&case("circle", Some(text("x"))))).unwrap_err()),
        "result.circle: expected f64, got string \"x\""
    );
    assert_eq!(
        message(decode::<Shape>(Some(&case("unit-square", Some(Val::U8(1))))).unwrap_err()),
        "result.unit-square: expected a case without payload, got one with a payload"
    );
    assert_eq!(
        message(decode::<(u8,)>(Some(&Val::Tuple(vec![Val::U8(1), Val::U8(2)]))).unwrap_err()),
        "result: expected 1 elements, got 2"
    );
    assert_eq!(
        message(decode::<HashMap<String, u8>>(Some(&Val::Map(vec![(text("k"), text("x"))]))).unwrap_err()),
        "result.k: expected u8, got string \"x\""
    );
    assert_eq!(
        message(decode::<Vec<u8>>(Some(&record_val([]))).unwrap_err()),
        "result: expected a sequence, got object"
    );
}
