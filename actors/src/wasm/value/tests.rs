//! Values of every WIT type, both ways: a table for each way in and out, and properties of arbitrary types.

mod component;
mod decode;
mod encode;
mod errors;
mod json;
mod property;
mod rust;
mod text;

use serde::Serialize;
use wasmtime::component::Val;

use super::{Signature, ValueError, WitType};

fn list(item: WitType) -> WitType {
    WitType::List(Box::new(item))
}

fn fixed(item: WitType, len: u32) -> WitType {
    WitType::FixedList(Box::new(item), len)
}

fn option(some: WitType) -> WitType {
    WitType::Option(Box::new(some))
}

fn map(key: WitType, value: WitType) -> WitType {
    WitType::Map(Box::new(key), Box::new(value))
}

fn result(ok: Option<WitType>, err: Option<WitType>) -> WitType {
    WitType::Result(ok.map(Box::new), err.map(Box::new))
}

fn record<const N: usize>(fields: [(&str, WitType); N]) -> WitType {
    WitType::Record(fields.map(|(name, ty)| (name.to_owned(), ty)).into())
}

fn variant<const N: usize>(cases: [(&str, Option<WitType>); N]) -> WitType {
    WitType::Variant(cases.map(|(name, ty)| (name.to_owned(), ty)).into())
}

fn names<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).into()
}

fn text(text: &str) -> Val {
    Val::String(text.to_owned())
}

fn some(val: Val) -> Val {
    Val::Option(Some(Box::new(val)))
}

const NONE: Val = Val::Option(None);

fn record_val<const N: usize>(fields: [(&str, Val); N]) -> Val {
    Val::Record(fields.map(|(name, val)| (name.to_owned(), val)).into())
}

fn signature<const N: usize>(params: [(&str, WitType); N]) -> Signature {
    Signature { params: params.map(|(name, ty)| (name.to_owned(), ty)).into(), result: None }
}

/// Encodes one argument for a parameter `a` of this type.
fn one<A: Serialize + ?Sized>(ty: &WitType, arg: &A) -> Result<Val, ValueError> {
    let signature = signature([("a", ty.clone())]);
    let mut vals = signature.encode(&(arg,))?;
    assert_eq!(vals.len(), 1);
    Ok(vals.remove(0))
}
