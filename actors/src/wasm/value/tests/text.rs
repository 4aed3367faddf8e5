//! Texts in, as URLs have them.

use wasmtime::component::Val;

use super::{
    super::WitType::{Bool, Char, Enum, F32, F64, Flags, S8, S64, String, Tuple, U8, U32, U64},
    *,
};

#[test]
fn texts_are_read_as_their_types_say() {
    let color = Enum(names(["dark-red", "blue"]));
    let shape = variant([("circle", Some(F64)), ("unit-square", None)]);
    let point = record([("x", S8), ("y", S8)]);
    let table: Vec<(WitType, &[&str], Val)> = vec![
        (Bool, &["true"], Val::Bool(true)),
        (Bool, &["false"], Val::Bool(false)),
        (S8, &["-128"], Val::S8(-128)),
        (U32, &["6"], Val::U32(6)),
        (U64, &["18446744073709551615"], Val::U64(u64::MAX)),
        (S64, &["-9223372036854775808"], Val::S64(i64::MIN)),
        (F32, &["0.1"], Val::Float32(0.1)),
        (F64, &["1e3"], Val::Float64(1000.0)),
        (F64, &["-Infinity"], Val::Float64(f64::NEG_INFINITY)),
        (Char, &["ß"], Val::Char('ß')),
        (String, &["6"], text("6")),
        (String, &[""], text("")),
        (color.clone(), &["dark-red"], Val::Enum("dark-red".to_owned())),
        (color, &["dark_red"], Val::Enum("dark-red".to_owned())),
        (option(U32), &["6"], some(Val::U32(6))),
        (option(option(U32)), &["6"], some(some(Val::U32(6)))),
        (list(U32), &["1", "2"], Val::List(vec![Val::U32(1), Val::U32(2)])),
        (option(list(String)), &["a"], some(Val::List(vec![text("a")]))),
        (fixed(Bool, 2), &["true", "false"], Val::FixedLengthList(vec![Val::Bool(true), Val::Bool(false)])),
        (list(U8), &["hé"], Val::List([0x68, 0xc3, 0xa9].map(Val::U8).into())),
        (fixed(U8, 2), &["hi"], Val::FixedLengthList([0x68, 0x69].map(Val::U8).into())),
        (Flags(names(["read", "write"])), &["write", "read"], Val::Flags(names(["read", "write"]))),
        (shape.clone(), &["unit-square"], Val::Variant("unit-square".to_owned(), None)),
        (shape, &[r#"{"circle":2}"#], Val::Variant("circle".to_owned(), Some(Box::new(Val::Float64(2.0))))),
        (point, &[r#"{"x":1,"y":2}"#], record_val([("x", Val::S8(1)), ("y", Val::S8(2))])),
        (Tuple(vec![S8, String]), &[r#"[1,"a"]"#], Val::Tuple(vec![Val::S8(1), text("a")])),
    ];
    for (ty, texts, val) in table {
        assert_eq!(ty.parse(texts), Ok(val), "{ty} {texts:?}");
    }
    assert!(matches!(F32.parse(&["NaN"]), Ok(Val::Float32(nan)) if nan.is_nan()));
}

#[test]
fn texts_that_do_not_fit_say_so() {
    let table: Vec<(WitType, &[&str], &str)> = vec![
        (Bool, &["1"], r#"expected bool (`true` or `false`), got "1""#),
        (U32, &["six"], r#"expected u32, got "six""#),
        (U32, &[""], r#"expected u32, got """#),
        (U8, &["256"], "expected u8 (0 to 255), got 256"),
        (F64, &["inf"], r#"expected f64 (a number, "NaN", "Infinity" or "-Infinity"), got "inf""#),
        (F64, &["1e999"], r#"expected f64, got "1e999""#),
        (F32, &["1e39"], r#"expected f32, got "1e39""#),
        (Char, &["ab"], r#"expected char (a string of one character), got "ab""#),
        (U32, &["1", "2"], "expected u32, got 2 values"),
        (U32, &[], "expected u32, got 0 values"),
        (list(U32), &["1", "x"], r#"[1]: expected u32, got "x""#),
        (fixed(U32, 3), &["1", "2"], "expected list<u32, 3>, got 2 elements"),
        (Tuple(vec![S8]), &["1,2"], r#"expected tuple<s8>, as JSON, got "1,2""#),
        (record([("x", S8)]), &[r#"{"x":"a"}"#], "x: expected s8, got string"),
        (Enum(names(["red"])), &["rad"], r#"no case "rad"; did you mean `red`? The cases are red"#),
    ];
    for (ty, texts, message) in table {
        assert_eq!(ty.parse(texts).map_err(|error| error.to_string()), Err(message.to_owned()), "{ty} {texts:?}");
    }
}

#[test]
fn bytes_are_taken_as_they_are() {
    assert_eq!(String.encode_bytes("hé".as_bytes()), Ok(text("hé")));
    assert_eq!(option(String).encode_bytes(b"a"), Ok(some(text("a"))));
    assert_eq!(option(list(U8)).encode_bytes(&[255]), Ok(some(Val::List(vec![Val::U8(255)]))));
    assert!(String.encode_bytes(&[255]).is_err());
    assert!(U32.encode_bytes(b"6").is_err());
}
