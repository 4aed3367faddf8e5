//! The JSON Schema of registry files, for editors. Made from the table that the reader follows, so that both agree.

use greenroom_actors::spec::{Capability, PoolKind};
use serde_json::{Map, Value, json};

use super::{
    kinds,
    shape::{Field, Form, Kind, Shape},
};

/// The JSON Schema (draft 2020-12) of registry files.
///
/// It describes files as they are written; what a reference leads to, and what comes out of a placeholder, only a load
/// can tell.
pub fn schema() -> Value {
    let mut definitions = Map::new();
    for kind in kinds::KINDS {
        definitions.insert(kind.name.to_owned(), entry(kind));
    }
    definitions.insert("pool".to_owned(), pool());
    let cases: Vec<_> = kinds::KINDS
        .iter()
        .map(|kind| {
            json!({
                "if": { "properties": { "kind": { "const": kind.name } }, "required": ["kind"] },
                "then": { "$ref": format!("#/$defs/{}", kind.name) },
            })
        })
        .collect();
    let names: Vec<_> = kinds::KINDS.iter().map(|kind| kind.name).collect();
    definitions.insert(
        "entry".to_owned(),
        json!({
            "type": "object",
            "properties": { "kind": { "enum": names } },
            "required": ["name", "kind"],
            "allOf": cases,
        }),
    );
    let entries = json!({ "type": "array", "items": { "$ref": "#/$defs/entry" } });
    let mut file = object(kinds::FILE, &[]);
    file["properties"]["entries"] = json!({ "type": ["array", "null"], "items": { "$ref": "#/$defs/entry" } });
    // Unquoted, the version is a number in YAML, and the reader takes it as it is written.
    file["properties"]["version"]["anyOf"] = json!([{ "enum": ["1.0", 1.0] }]);
    file["required"] = json!(["entries"]);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Greenroom registry file",
        "anyOf": [entries, file],
        "$defs": definitions,
    })
}

fn entry(kind: &Kind) -> Value {
    let mut schema = object(kind.fields, kinds::ENTRY);
    schema["description"] = json!(kind.about);
    schema["properties"]["kind"] = json!({ "const": kind.name, "description": kind.about });
    if kind.open {
        schema["additionalProperties"] = json!(true);
    }
    schema
}

fn object(fields: &[Field], also: &[Field]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in also.iter().chain(fields) {
        properties.insert(field.name.to_owned(), described(field));
        if field.required {
            required.push(field.name);
        }
    }
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn described(field: &Field) -> Value {
    let mut schema = shape(&field.shape);
    if let Value::Object(map) = &mut schema {
        map.insert("description".to_owned(), json!(field.about));
        if let Some(default) = field.default.and_then(|text| serde_json::from_str::<Value>(text).ok()) {
            map.insert("default".to_owned(), default);
        }
    }
    schema
}

fn shape(shape: &Shape) -> Value {
    match shape {
        Shape::Text | Shape::Reference(_) => json!({ "type": "string", "minLength": 1 }),
        Shape::Scalar => json!({ "type": ["string", "number", "boolean"] }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Count { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Shape::Duration => json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": either("([0-9.]+(ms|s|m|h))+") },
        ] }),
        Shape::Mode => json!({ "anyOf": [
            { "type": "string", "pattern": either("(0o)?[0-7]{1,5}") },
            { "type": "integer", "minimum": 0, "maximum": 7777 },
        ] }),
        Shape::Choice(names) => choice(names),
        Shape::Hash => json!({ "type": "string", "pattern": either("[sS][hH][aA]256:[0-9a-fA-F]{64}") }),
        Shape::Destination => {
            json!({ "type": "string", "pattern": either(r".+:(\*|[0-9]{1,5}(-[0-9]{1,5})?)") })
        }
        Shape::Form(form) => self::form(form),
        Shape::Forms(form) => {
            let one = self::form(form);
            json!({ "anyOf": [{ "type": "array", "items": one }, { "type": "string" }] })
        }
        Shape::Notes(fields) => {
            let properties: Map<_, _> = fields.iter().map(|field| (field.name.to_owned(), described(field))).collect();
            json!({ "properties": properties })
        }
        Shape::Capability => choice(&Capability::ALL.map(Capability::name)),
        Shape::List(Shape::Anything) => json!({ "type": "array" }),
        Shape::List(item) => json!({ "type": "array", "items": self::shape(item) }),
        Shape::Table(value) => json!({ "type": "object", "additionalProperties": self::shape(value) }),
        Shape::Object(fields) => object(fields, &[]),
        Shape::Pool => json!({ "$ref": "#/$defs/pool" }),
        Shape::Anything => json!({}),
    }
}

fn form(form: &Form) -> Value {
    let text = json!({ "type": "string", "pattern": either(form.pattern) });
    match form.also.and_then(|also| serde_json::from_str::<Value>(also).ok()) {
        Some(also) => json!({ "anyOf": [text, also] }),
        None => text,
    }
}

/// A pattern, or a string with a placeholder: what comes out of it is known only at load.
fn either(pattern: &str) -> String {
    format!(r"^({pattern}|[\s\S]*\$\{{env:[\s\S]*)$")
}

fn choice(names: &[&str]) -> Value {
    json!({ "anyOf": [{ "enum": names }, { "type": "string", "pattern": r"\$\{env:" }] })
}

/// One alternative for each type, with the fields that it has.
fn pool() -> Value {
    let of = |kind: PoolKind| {
        let fields = kinds::POOL_FIELDS.iter().filter(|field| kinds::pool_fields(kind).contains(&field.name));
        let properties: Map<_, _> = fields.map(|field| (field.name.to_owned(), described(field))).collect();
        json!({ "type": "object", "properties": properties, "additionalProperties": false })
    };
    let mut alternatives = Vec::new();
    for kind in kinds::POOL_KINDS {
        let mut typed = of(kind);
        typed["properties"]["type"] = json!({ "const": kind.name() });
        typed["required"] = json!(["type"]);
        alternatives.push(typed);
    }
    let mut untyped = of(PoolKind::Lazy);
    untyped["not"] = json!({ "required": ["type"] });
    alternatives.push(untyped);
    let mut sized = of(PoolKind::Static);
    sized["not"] = json!({ "required": ["type"] });
    sized["anyOf"] = json!([{ "required": ["workers"] }, { "required": ["size"] }]);
    alternatives.push(sized);
    json!({ "anyOf": alternatives })
}
