//! The record `request`: a parameter of that name gets the parts of the request that its type has fields for.

use std::collections::{HashMap, hash_map::Entry};

use greenroom_actors::wasm::{ValueError, WitType};
use http::request::Parts;
use serde::ser::Error;
use wasmtime::component::Val;

use super::{content::Content, invalid, mapped::is_name, query::Pairs};
use crate::{http::problem::Problem, wasmtime};

/// Refuses a record that cannot be filled.
///
/// # Errors
/// The field, and what there is.
pub(super) fn check(fields: &[(String, WitType)]) -> Result<(), String> {
    for (name, ty) in fields {
        let expected = match name.as_str() {
            "body" => continue,
            "method" | "path" if is_text(ty) => continue,
            "method" | "path" => "string",
            "query" if is_text(ty) || is_pairs(ty) => continue,
            "query" => "string, list<tuple<string, string>>, map<string, string> or a record",
            "headers" | "params" if is_pairs(ty) => continue,
            "headers" | "params" => "list<tuple<string, string>>, map<string, string> or a record",
            name => {
                return Err(format!(
                    "the parameter `request` has the field `{name}`, which no request has; there are method, path, query, \
                     headers, params and body"
                ));
            }
        };
        return Err(format!("`request.{name}` is {ty:#}, and must be {expected}"));
    }
    Ok(())
}

/// Whether the body must be read for this record.
pub(super) fn wants_body(fields: &[(String, WitType)]) -> bool {
    fields.iter().any(|(name, _)| name == "body")
}

fn is_text(ty: &WitType) -> bool {
    match ty {
        WitType::Option(some) => is_text(some),
        ty => *ty == WitType::String,
    }
}

/// Whether names with values can become a value of this type.
fn is_pairs(ty: &WitType) -> bool {
    match ty {
        WitType::Option(some) => is_pairs(some),
        WitType::List(item) => matches!(&**item, WitType::Tuple(pair) if *pair == [WitType::String, WitType::String]),
        WitType::Map(key, value) => **key == WitType::String && **value == WitType::String,
        WitType::Record(_) => true,
        _ => false,
    }
}

/// A request with all its parts.
pub(super) struct Whole<'r> {
    pub(super) head: &'r Parts,
    pub(super) path: &'r [(String, String)],
    pub(super) query: &'r Pairs<'r>,
    pub(super) content: &'r Content,
}

impl Whole<'_> {
    /// The record.
    ///
    /// # Errors
    /// What does not fit.
    pub(super) fn value(&self, fields: &[(String, WitType)]) -> Result<Val, Problem> {
        let field = |(name, ty): &(String, WitType)| Ok((name.clone(), self.part(name, ty)?));
        fields.iter().map(field).collect::<Result<_, _>>().map(Val::Record)
    }

    fn part(&self, name: &str, ty: &WitType) -> Result<Val, Problem> {
        let val = match name {
            "body" => return self.content.whole(ty),
            "method" => ty.parse(&[self.head.method.as_str()]),
            "path" => ty.parse(&[self.head.uri.path()]),
            "query" if is_text(ty) => match (ty, self.head.uri.query()) {
                (WitType::Option(_), None) => Ok(Val::Option(None)),
                (ty, query) => ty.parse(&[query.unwrap_or_default()]),
            },
            "query" => pairs(ty, &self.query.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>(), None),
            "params" => pairs(ty, &self.path.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>(), None),
            _ => {
                let headers = self.head.headers.iter();
                // Headers are ASCII, and have been Latin-1: what is no UTF-8 becomes a mark.
                let headers: Vec<_> =
                    headers.map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes()))).collect();
                pairs(ty, &headers.iter().map(|(name, value)| (*name, &**value)).collect::<Vec<_>>(), Some(", "))
            }
        };
        val.map_err(|error| invalid(error.in_name(name).in_name("request")))
    }
}

/// Names with values, as a list of all, a map, or a record of some. In a map, values of one name are joined, or the last
/// one stays.
fn pairs(ty: &WitType, pairs: &[(&str, &str)], joined_by: Option<&str>) -> Result<Val, ValueError> {
    let text = |text: &str| Val::String(text.to_owned());
    match ty {
        WitType::Option(some) => self::pairs(some, pairs, joined_by).map(|val| Val::Option(Some(Box::new(val)))),
        WitType::Map(..) => {
            let mut map: Vec<(&str, String)> = Vec::new();
            let mut places = HashMap::new();
            for (name, value) in pairs {
                match (places.entry(*name), joined_by) {
                    (Entry::Vacant(place), _) => {
                        place.insert(map.len());
                        map.push((name, (*value).to_owned()));
                    }
                    (Entry::Occupied(place), Some(comma)) => {
                        let (_, values) = &mut map[*place.get()];
                        values.push_str(comma);
                        values.push_str(value);
                    }
                    (Entry::Occupied(place), None) => map[*place.get()].1 = (*value).to_owned(),
                }
            }
            Ok(Val::Map(map.into_iter().map(|(name, value)| (text(name), Val::String(value))).collect()))
        }
        WitType::Record(fields) => {
            let field = |(name, ty): &(String, WitType)| {
                let texts: Vec<_> = pairs.iter().filter(|(key, _)| is_name(key, name)).map(|(_, text)| *text).collect();
                let val = match ty {
                    WitType::Option(_) if texts.is_empty() => Ok(Val::Option(None)),
                    _ if texts.is_empty() => Err(ValueError::custom(format!("it is missing ({ty:#})"))),
                    ty => ty.parse(&texts),
                };
                Ok((name.clone(), val.map_err(|error| error.in_name(name))?))
            };
            fields.iter().map(field).collect::<Result<_, _>>().map(Val::Record)
        }
        _ => Ok(Val::List(pairs.iter().map(|(name, value)| Val::Tuple(vec![text(name), text(value)])).collect())),
    }
}
