//! A function with plain parameters behind an endpoint: each parameter is found by its name in the path, the query, or
//! the body. How one value is made of text or JSON is the business of its type.

use greenroom_actors::wasm::{Signature, ValueError, WitType};
use http::{Request, request::Parts};
use serde_json::{Map, Value};
use wasmtime::component::Val;

use super::{
    content::Content,
    invalid,
    query::{self, Pairs},
    request,
};
use crate::{
    http::{Body, problem::Problem},
    wasmtime,
};

/// The parameter that gets the whole request, when it is a record.
const REQUEST: &str = "request";

/// How requests become the arguments of one function.
#[derive(Debug)]
pub(super) struct Mapped {
    params: Vec<(String, WitType)>,
    /// Where the parameter is that gets the whole request, and its fields.
    request: Option<(usize, Vec<(String, WitType)>)>,
}

impl Mapped {
    /// Looks at the parameters once.
    ///
    /// # Errors
    /// What a request cannot become.
    pub(super) fn new(signature: &Signature) -> Result<Self, String> {
        let mut request = None;
        for (at, (name, ty)) in signature.params.iter().enumerate() {
            if let (REQUEST, WitType::Record(fields)) = (name.as_str(), ty) {
                request::check(fields)?;
                request = Some((at, fields.clone()));
            }
        }
        Ok(Self { params: signature.params.clone(), request })
    }

    /// The arguments of a call.
    ///
    /// # Errors
    /// Which parameter is nowhere, or what does not fit.
    pub(super) async fn arguments(
        &self,
        request: Request<Body>,
        path: &[(String, String)],
    ) -> Result<Vec<Val>, Problem> {
        let (head, body) = request.into_parts();
        let query = query::pairs(head.uri.query().unwrap_or_default()).map_err(invalid)?;
        let mut args = Vec::with_capacity(self.params.len());
        for (at, (name, ty)) in self.params.iter().enumerate() {
            args.push(if self.is_request(at) { None } else { of_url(name, ty, path, &query)? });
        }
        let open: Vec<_> = (0..args.len()).filter(|at| args[*at].is_none() && !self.is_request(*at)).collect();
        let wants_body = self.request.as_ref().is_some_and(|(_, fields)| request::wants_body(fields));
        let content = if open.is_empty() && !wants_body {
            Content::default()
        } else {
            Content::read(body, &head.headers).await?
        };
        for (at, val) in self.of_body(&open, &content)? {
            args[at] = Some(val);
        }
        if let Some((at, fields)) = &self.request {
            args[*at] = Some(self.whole_request(fields, &head, path, &query, &content)?);
        }
        Ok(args.into_iter().flatten().collect())
    }

    fn is_request(&self, at: usize) -> bool {
        self.request.as_ref().is_some_and(|(request, _)| *request == at)
    }

    /// Values for the parameters that neither path nor query has. The body is taken apart or taken whole, never both:
    ///
    /// 1. If it is a JSON object with a field for any of them, its fields are the values.
    /// 2. Otherwise it is the value of the only one that has to have a value, or of the only one there is.
    ///
    /// An option that gets nothing is none.
    fn of_body(&self, open: &[usize], content: &Content) -> Result<Vec<(usize, Val)>, Problem> {
        if open.is_empty() {
            return Ok(Vec::new());
        }
        let mut fields = content.object().unwrap_or_default();
        let apart = open.iter().any(|at| key(&fields, &self.params[*at].0).is_some());
        let whole = if apart || !content.is_present() { None } else { self.taker(open, content)? };
        open.iter()
            .map(|at| {
                let (name, ty) = &self.params[*at];
                if whole == Some(*at) {
                    return Ok((*at, content.whole(ty)?));
                }
                if let Some(json) = key(&fields, name).and_then(|key| fields.remove(&key)) {
                    return Ok((*at, ty.encode(&json).map_err(|error| at_name(error, name))?));
                }
                match ty {
                    WitType::Option(_) => Ok((*at, Val::Option(None))),
                    ty => Err(missing(name, ty)),
                }
            })
            .collect()
    }

    /// The parameter that gets the whole body.
    fn taker(&self, open: &[usize], content: &Content) -> Result<Option<usize>, Problem> {
        let needed: Vec<_> =
            open.iter().copied().filter(|at| !matches!(self.params[*at].1, WitType::Option(_))).collect();
        match (needed.as_slice(), open) {
            ([taker], _) | ([], [taker]) => Ok(Some(*taker).filter(|at| {
                // Nothing is no JSON.
                !content.is_empty() || super::content::is_raw(&self.params[*at].1)
            })),
            _ if content.is_empty() => Ok(None),
            _ => {
                // Says what is wrong with JSON that is broken, before what is wrong with any that is not.
                content.json()?;
                let names: Vec<_> = open.iter().map(|at| format!("`{}`", self.params[*at].0)).collect();
                Err(invalid(format!(
                    "body: expected a JSON object with the fields {}; the path and the query have none of them",
                    names.join(", ")
                )))
            }
        }
    }

    fn whole_request(
        &self,
        fields: &[(String, WitType)],
        head: &Parts,
        path: &[(String, String)],
        query: &Pairs<'_>,
        content: &Content,
    ) -> Result<Val, Problem> {
        request::Whole { head, path, query, content }.value(fields)
    }
}

/// The value of a parameter that the path or the query has.
fn of_url(name: &str, ty: &WitType, path: &[(String, String)], query: &Pairs<'_>) -> Result<Option<Val>, Problem> {
    let mut texts: Vec<_> = path.iter().filter(|(key, _)| is_name(key, name)).map(|(_, text)| text.as_str()).collect();
    if texts.is_empty() {
        texts = query.iter().filter(|(key, _)| is_name(key, name)).map(|(_, text)| &**text).collect();
    }
    if texts.is_empty() {
        return Ok(None);
    }
    ty.parse(&texts).map(Some).map_err(|error| at_name(error, name))
}

/// Whether a name from outside is that of a parameter or field: snake_case is as good as kebab-case.
pub(super) fn is_name(given: &str, wit: &str) -> bool {
    given.len() == wit.len()
        && given.bytes().zip(wit.bytes()).all(|(given, wit)| given == wit || (given == b'_' && wit == b'-'))
}

/// The key of a field in an object of JSON.
fn key(fields: &Map<String, Value>, name: &str) -> Option<String> {
    if fields.contains_key(name) {
        return Some(name.to_owned());
    }
    fields.keys().find(|key| is_name(key, name)).cloned()
}

fn at_name(error: ValueError, name: &str) -> Problem {
    invalid(error.in_name(name))
}

fn missing(name: &str, ty: &WitType) -> Problem {
    invalid(format!(
        "`{name}` ({ty:#}) is missing: it can be in the path, in the query (`?{name}=…`), a field of a JSON object in the \
         body, or the body itself"
    ))
}

#[cfg(test)]
mod tests;
