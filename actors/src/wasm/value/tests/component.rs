//! Types read from real components.

use wasmtime::{
    Config, Engine,
    component::{Component, types::ComponentItem},
};

use super::{super::WitType::*, *};

pub(super) fn engine() -> Engine {
    let mut config = Config::new();
    config.wasm_component_model_map(true).wasm_component_model_fixed_length_lists(true).concurrency_support(false);
    Engine::new(&config).unwrap()
}

/// The text of a component that imports a function `f` with these parameters and this result. Its types are all it has.
pub(super) fn component(signature: &Signature) -> std::string::String {
    let mut types = Types(std::string::String::new(), 0);
    let mut func = std::string::String::from("(import \"f\" (func");
    for (name, ty) in &signature.params {
        func += &format!(" (param \"{name}\" {})", types.name(ty));
    }
    if let Some(ty) = &signature.result {
        func += &format!(" (result {})", types.name(ty));
    }
    format!("(component {}{func})))", types.0)
}

/// Definitions of types so far, and how many. What functions use must be a named import.
struct Types(std::string::String, usize);

impl Types {
    fn name(&mut self, ty: &WitType) -> std::string::String {
        let quoted = |names: &[std::string::String]| {
            names.iter().map(|name| format!(" \"{name}\"")).collect::<std::string::String>()
        };
        let (text, named) = match ty {
            List(item) => (format!("(list {})", self.name(item)), false),
            FixedList(item, len) => (format!("(list {} {len})", self.name(item)), false),
            Map(key, value) => (format!("(map {} {})", self.name(key), self.name(value)), false),
            Option(some) => (format!("(option {})", self.name(some)), false),
            Tuple(items) => {
                let items: Vec<_> = items.iter().map(|item| self.name(item)).collect();
                (format!("(tuple {})", items.join(" ")), false)
            }
            Result(ok, err) => {
                let ok = ok.as_ref().map(|ty| format!(" {}", self.name(ty))).unwrap_or_default();
                let err = err.as_ref().map(|ty| format!(" (error {})", self.name(ty))).unwrap_or_default();
                (format!("(result{ok}{err})"), false)
            }
            Record(fields) => {
                let fields: Vec<_> =
                    fields.iter().map(|(name, ty)| format!("(field \"{name}\" {})", self.name(ty))).collect();
                (format!("(record {})", fields.join(" ")), true)
            }
            Variant(cases) => {
                let cases: Vec<_> = cases
                    .iter()
                    .map(|(name, ty)| {
                        let ty = ty.as_ref().map(|ty| format!(" {}", self.name(ty))).unwrap_or_default();
                        format!("(case \"{name}\"{ty})")
                    })
                    .collect();
                (format!("(variant {})", cases.join(" ")), true)
            }
            Enum(names) => (format!("(enum{})", quoted(names)), true),
            Flags(names) => (format!("(flags{})", quoted(names)), true),
            scalar => return scalar.to_string(),
        };
        let i = self.1;
        self.1 += 1;
        self.0 += &format!("(type $t{i} {text})");
        if !named {
            return format!("$t{i}");
        }
        self.0 += &format!("(import \"t{i}\" (type $n{i} (eq $t{i})))");
        format!("$n{i}")
    }
}

/// The signature of the function that a component imports as `f`.
pub(super) fn read(engine: &Engine, text: &str) -> Signature {
    let component = Component::new(engine, text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    match component.component_type().get_import(engine, "f").map(|import| import.ty) {
        Some(ComponentItem::ComponentFunc(func)) => Signature::from_func(&func),
        _ => panic!("no function in {text}"),
    }
}

#[test]
fn a_signature_is_read_and_displayed_as_wit() {
    let scalars = Tuple(vec![Bool, S8, U8, S16, U16, S32, U32, S64, U64, F32, F64, Char, String]);
    let user = record([("id", U32), ("full-name", option(String))]);
    let signature = Signature {
        params: vec![
            ("scalars".to_owned(), scalars),
            ("users".to_owned(), list(user)),
            ("four".to_owned(), fixed(U8, 4)),
            ("by-name".to_owned(), map(String, F32)),
            ("shape".to_owned(), variant([("circle", Some(F64)), ("square", None)])),
            ("colour".to_owned(), Enum(names(["red", "green"]))),
            ("rights".to_owned(), Flags(names(["read", "write"]))),
            ("done".to_owned(), result(None, None)),
            ("ok".to_owned(), result(Some(U8), None)),
            ("err".to_owned(), result(None, Some(U8))),
        ],
        result: Some(result(Some(U32), Some(String))),
    };
    assert_eq!(read(&engine(), &component(&signature)), signature);
    assert_eq!(
        signature.to_string(),
        "(scalars: tuple<bool, s8, u8, s16, u16, s32, u32, s64, u64, f32, f64, char, string>, \
         users: list<record { id: u32, full-name: option<string> }>, four: list<u8, 4>, by-name: map<string, f32>, \
         shape: variant { circle(f64), square }, colour: enum { red, green }, rights: flags { read, write }, \
         done: result, ok: result<u8>, err: result<_, u8>) -> result<u32, string>"
    );
    assert_eq!(signature.refuse_unsupported(), Ok(()));
    assert_eq!(super::signature([]).to_string(), "()");
}

#[test]
fn what_no_call_can_carry_is_refused_with_its_place() {
    let text = |param: &str| {
        format!(
            r#"(component (import "file" (type $file (sub resource))) (type $own (own $file)) (type $list (list $own))
                (type $rec (record (field "name" string) (field "files" $list)))
                (import "rec" (type $named (eq $rec)))
                (type $borrow (borrow $file)) (type $result (result (error $own)))
                (import "f" (func {param})))"#
        )
    };
    let rows = [
        (r#"(param "a" u8) (param "file" $own)"#, "`file` has the type resource"),
        (r#"(param "file" $borrow)"#, "`file` has the type borrow of a resource"),
        (r#"(param "request" $named)"#, "`request.files[]` has the type resource"),
        (r#"(result $result)"#, "`result.err` has the type resource"),
    ];
    for (func, start) in rows {
        let refusal = read(&engine(), &text(func)).refuse_unsupported().unwrap_err().to_string();
        assert_eq!(
            refusal,
            format!("{start}, which calls cannot carry; export a function that takes and returns plain values")
        );
    }
    for name in ["future", "stream", "error-context"] {
        for ty in [
            Unsupported(name),
            option(Unsupported(name)),
            Tuple(vec![Unsupported(name)]),
            fixed(Unsupported(name), 1),
            map(String, Unsupported(name)),
            variant([("a", Some(Unsupported(name)))]),
        ] {
            let signature = super::signature([("a", ty)]);
            assert_eq!(signature.refuse_unsupported().map_err(|refusal| refusal.name), Err(name));
            assert!(signature.encode(&[1]).is_err());
        }
    }
}
