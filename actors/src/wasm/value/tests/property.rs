//! Arbitrary types, arbitrary values of them, and JSON that has nothing to do with them.

use proptest::{collection::vec, prelude::*, sample::subsequence};
use serde_json::{Map as Object, Value};
use wasmtime::component::Val;

use super::{
    super::{JsonVal, WitType::*, decode, payload_bytes, to_json},
    *,
};

/// Names that differ in more than case and separators, some all upper case, as WIT allows.
const NAMES: [&str; 6] = ["a", "first-name", "http-error", "ID", "some", "b64-x9"];

fn some_names() -> impl Strategy<Value = Vec<std::string::String>> + Clone {
    subsequence(&NAMES[..], 1..=NAMES.len())
        .prop_shuffle()
        .prop_map(|names| names.into_iter().map(str::to_owned).collect())
}

fn any_type() -> impl Strategy<Value = WitType> {
    let scalar = prop::sample::select(vec![Bool, S8, U8, S16, U16, S32, U32, S64, U64, F32, F64, Char, String]);
    let key = prop::sample::select(vec![Bool, U8, S32, U64, Char, String]);
    let leaf = prop_oneof![4 => scalar, 1 => some_names().prop_map(Enum), 1 => some_names().prop_map(Flags)];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let named = (some_names(), vec(inner.clone(), NAMES.len()));
        let maybe = prop::option::of(inner.clone().prop_map(Box::new));
        prop_oneof![
            inner.clone().prop_map(list),
            (inner.clone(), 1_u32..4).prop_map(|(item, len)| fixed(item, len)),
            (key.clone(), inner.clone()).prop_map(|(key, value)| map(key, value)),
            vec(inner.clone(), 1..4).prop_map(Tuple),
            named.clone().prop_map(|(names, types)| Record(names.into_iter().zip(types).collect())),
            (named, vec(any::<bool>(), NAMES.len())).prop_map(|((names, types), empty)| {
                let payloads = types.into_iter().zip(empty).map(|(ty, empty)| (!empty).then_some(ty));
                Variant(names.into_iter().zip(payloads).collect())
            }),
            inner.clone().prop_map(option),
            inner.prop_map(|ty| option(option(ty))),
            (maybe.clone(), maybe).prop_map(|(ok, err)| Result(ok, err)),
        ]
    })
}

fn any_val(ty: &WitType) -> BoxedStrategy<Val> {
    let payload = |ty: &std::option::Option<Box<WitType>>| match ty {
        Some(ty) => any_val(ty).prop_map(|val| Some(Box::new(val))).boxed(),
        None => Just(None).boxed(),
    };
    match ty {
        Bool => any::<bool>().prop_map(Val::Bool).boxed(),
        S8 => any::<i8>().prop_map(Val::S8).boxed(),
        U8 => any::<u8>().prop_map(Val::U8).boxed(),
        S16 => any::<i16>().prop_map(Val::S16).boxed(),
        U16 => any::<u16>().prop_map(Val::U16).boxed(),
        S32 => any::<i32>().prop_map(Val::S32).boxed(),
        U32 => any::<u32>().prop_map(Val::U32).boxed(),
        S64 => any::<i64>().prop_map(Val::S64).boxed(),
        U64 => any::<u64>().prop_map(Val::U64).boxed(),
        F32 => prop::num::f32::ANY.prop_map(Val::Float32).boxed(),
        F64 => prop::num::f64::ANY.prop_map(Val::Float64).boxed(),
        Char => any::<char>().prop_map(Val::Char).boxed(),
        String => ".{0,8}".prop_map(Val::String).boxed(),
        List(item) => vec(any_val(item), 0..4).prop_map(Val::List).boxed(),
        FixedList(item, len) => vec(any_val(item), *len as usize).prop_map(Val::FixedLengthList).boxed(),
        Map(key, value) => vec((any_val(key), any_val(value)), 0..4)
            .prop_map(|mut pairs| {
                // A string key that comes twice is once in JSON.
                let mut seen = Vec::new();
                pairs.retain(|(key, _)| {
                    !seen.contains(key) && {
                        seen.push(key.clone());
                        true
                    }
                });
                Val::Map(pairs)
            })
            .boxed(),
        Tuple(types) => types.iter().map(any_val).collect::<Vec<_>>().prop_map(Val::Tuple).boxed(),
        Record(fields) => {
            let names: Vec<_> = fields.iter().map(|(name, _)| name.clone()).collect();
            let vals = fields.iter().map(|(_, ty)| any_val(ty)).collect::<Vec<_>>();
            vals.prop_map(move |vals| Val::Record(names.iter().cloned().zip(vals).collect())).boxed()
        }
        Variant(cases) => {
            let cases = cases.iter().map(|(name, ty)| {
                let name = name.clone();
                payload(&ty.clone().map(Box::new)).prop_map(move |payload| Val::Variant(name.clone(), payload)).boxed()
            });
            prop::strategy::Union::new(cases).boxed()
        }
        Enum(names) => prop::sample::select(names.clone()).prop_map(Val::Enum).boxed(),
        Flags(names) => subsequence(names.clone(), 0..=names.len()).prop_map(Val::Flags).boxed(),
        Option(some) => prop::option::of(any_val(some)).prop_map(|val| Val::Option(val.map(Box::new))).boxed(),
        Result(ok, err) => prop_oneof![
            payload(ok).prop_map(|val| Val::Result(Ok(val))),
            payload(err).prop_map(|val| Val::Result(Err(val))),
        ]
        .boxed(),
        Unsupported(_) => unreachable!("never made"),
    }
}

fn typed_val() -> impl Strategy<Value = (WitType, Val)> {
    any_type().prop_flat_map(|ty| (Just(ty.clone()), any_val(&ty)))
}

fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        prop::sample::select(&NAMES[..]).prop_map(str::to_owned),
        prop::sample::select(vec!["ok", "err", "some", "base64", "NaN", "-Infinity", "AQI=", "18446744073709551615"])
            .prop_map(str::to_owned),
        ".{0,4}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-2_i8..3).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::num::f64::ANY.prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 24, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((text.clone(), inner), 0..4).prop_map(|pairs| Value::from(Object::from_iter(pairs))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_comes_back_from_its_json((ty, val) in typed_val()) {
        let json = to_json(Some(&val), Some(&ty));
        prop_assert_eq!(one(&ty, &json), Ok(val.clone()), "{}", json);
        // The written text says the same, and so does whoever deserialises into untyped values.
        let text = serde_json::to_string(&JsonVal { val: Some(&val), ty: Some(&ty) }).unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(one(&ty, &read), Ok(val.clone()), "{}", text);
        let untyped: Value = decode(Some(&val)).unwrap();
        prop_assert_eq!(one(&ty, &untyped), Ok(val.clone()), "{}", untyped);
        prop_assert!(payload_bytes(&val) > 0 || matches!(ty, FixedList(..) | Tuple(_) | Record(_)));
    }

    #[test]
    fn names_in_snake_case_mean_the_same((ty, val) in typed_val()) {
        fn snake(ty: &WitType, json: Value) -> Value {
            match (ty, json) {
                (Record(fields), Value::Object(object)) => object
                    .into_iter()
                    .map(|(key, value)| {
                        let ty = fields.iter().find(|(name, _)| *name == key).map_or(&Bool, |(_, ty)| ty);
                        (key.replace('-', "_").to_lowercase(), snake(ty, value))
                    })
                    .collect(),
                (List(item), Value::Array(items)) => items.into_iter().map(|value| snake(item, value)).collect(),
                (_, json) => json,
            }
        }
        let json = snake(&ty, to_json(Some(&val), Some(&ty)));
        prop_assert_eq!(one(&ty, &json), Ok(val), "{}", json);
    }

    #[test]
    fn json_of_any_kind_fits_or_is_refused_with_a_path(ty in any_type(), json in any_json()) {
        match one(&ty, &json) {
            Ok(val) => {
                let again = to_json(Some(&val), Some(&ty));
                prop_assert_eq!(one(&ty, &again), Ok(val));
            }
            Err(error) => prop_assert!(error.to_string().starts_with("args[0]"), "{}", error),
        }
        // As the list of arguments, it must not panic either.
        drop(signature([("a", ty.clone())]).encode(&json));
        drop(signature([("a", ty.clone()), ("b", ty)]).encode(&json));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn types_come_from_components_as_they_were_written(types in vec(any_type(), 24), result in any_type()) {
        let params = types.into_iter().enumerate().map(|(i, ty)| (format!("p{i}"), ty)).collect();
        let signature = Signature { params, result: Some(result) };
        let text = super::component::component(&signature);
        prop_assert_eq!(super::component::read(&super::component::engine(), &text), signature);
    }
}
