//! A function of the transport `payload` behind an endpoint: a JSON array of arguments in, JSON out.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use serde_json::Value;
use wasmtime::component::Val;

use super::{content::Content, invalid};
use crate::{
    http::{Body, full, problem::Problem},
    wasmtime,
};

/// The arguments of a call.
///
/// # Errors
/// 415 for what is said to be no JSON, 400 for what is no array.
pub(in crate::http) async fn arguments(headers: &HeaderMap, body: Body) -> Result<Vec<Value>, Problem> {
    let content = Content::read(body, headers).await?;
    if content.is_empty() {
        return Ok(Vec::new());
    }
    // Pages of any origin may send forms and plain text without asking; JSON they may not.
    if let Some(kind) = headers.get(CONTENT_TYPE).filter(|kind| !is_json(kind)) {
        let detail = format!("the body is {kind:?}, and must be JSON; send `Content-Type: application/json`");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    match content.json()? {
        Value::Array(args) => Ok(args),
        other => {
            let found = match other {
                Value::Null => "null",
                Value::Bool(_) => "a boolean",
                Value::Number(_) => "a number",
                Value::String(_) => "a string",
                Value::Array(_) | Value::Object(_) => "an object",
            };
            Err(invalid(format!("body: expected a JSON array of arguments, got {found}; wrap it: `[…]`")))
        }
    }
}

/// The memory that an argument takes, in bytes, with the value that is made of it.
pub(super) fn host_bytes(arg: &Value) -> u64 {
    let inside = match arg {
        Value::String(text) => 2 * text.len() as u64,
        Value::Array(items) => items.iter().map(host_bytes).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| 2 * name.len() as u64 + host_bytes(value)).sum(),
        _ => 0,
    };
    (size_of::<Value>() + size_of::<Val>()) as u64 + inside
}

/// The response with a result.
pub(in crate::http) fn response(result: &Value) -> Response<Body> {
    let json = Bytes::from(result.to_string());
    let mut response = Response::new(full(json));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn is_json(kind: &HeaderValue) -> bool {
    let essence = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.split_once('/') {
        Some((_, subtype)) => subtype == "json" || subtype.ends_with("+json"),
        None => false,
    }
}
