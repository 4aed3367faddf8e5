//! The result of a function as a response.

use bytes::Bytes;
use greenroom_actors::wasm::{JsonVal, WitType, to_json};
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
};
use wasmtime::component::Val;

use crate::{
    http::{Body, full, problem::Problem},
    wasmtime,
};

/// Headers of one connection, which are the server's own business.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Why a result is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidResponse {
    #[error("`status` is {0}, and must be 200 to 599")]
    Status(i128),
    #[error("`{0}` is no name of a header")]
    HeaderName(String),
    #[error("the value of the header `{0}` has characters that no header may have")]
    HeaderValue(HeaderName),
    #[error("the header `{0}` is about the connection, which is the server's business")]
    HopByHop(HeaderName),
    #[error("`content-length` is {0}, and the body has {1} bytes")]
    Length(String, usize),
}

/// Refuses a result that looks like a response and cannot be one.
///
/// # Errors
/// The field, and what it must be.
pub(super) fn check(ty: &WitType) -> Result<(), String> {
    match ty {
        WitType::Option(some) => check(some),
        WitType::Result(ok, err) => [ok, err].into_iter().flatten().try_for_each(|ty| check(ty)),
        ty => match response_fields(ty).and_then(|fields| field_type(fields, "headers")) {
            Some(headers) if !is_headers(headers) => Err(format!(
                "the result's `headers` are {headers:#}, and must be list<tuple<string, string>>, list<tuple<string, \
                 list<u8>>> or map<string, string>"
            )),
            _ => Ok(()),
        },
    }
}

/// Makes a response of a result; what a function returns as `err` is a problem.
///
/// # Errors
/// Why it is no response.
pub(super) fn response(
    val: Option<&Val>,
    ty: Option<&WitType>,
) -> Result<Result<Response<Body>, Problem>, InvalidResponse> {
    match (val, ty) {
        (Some(Val::Result(Ok(val))), Some(WitType::Result(ty, _))) => response(val.as_deref(), ty.as_deref()),
        (Some(Val::Result(Err(val))), Some(WitType::Result(_, ty))) => failure(val.as_deref(), ty.as_deref()),
        (Some(Val::Option(Some(val))), Some(WitType::Option(ty))) => response(Some(val), Some(ty)),
        (Some(Val::Record(fields)), Some(ty)) if response_fields(ty).is_some() => composed(fields, ty).map(Ok),
        (val, ty) => {
            let mut response = Response::new(Body::default());
            match content(val, ty) {
                Some((kind, bytes)) => {
                    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
                    *response.body_mut() = full(bytes);
                }
                None => *response.status_mut() = StatusCode::NO_CONTENT,
            }
            Ok(Ok(response))
        }
    }
}

/// What a function returned as `err`.
fn failure(val: Option<&Val>, ty: Option<&WitType>) -> Result<Result<Response<Body>, Problem>, InvalidResponse> {
    if let (Some(Val::Record(fields)), Some(ty)) = (val, ty)
        && response_fields(ty).is_some()
    {
        return composed(fields, ty).map(Ok);
    }
    let said = |fields: &[(String, Val)], name: &str| match fields.iter().find(|(known, _)| known == name) {
        Some((_, Val::String(text))) => Some(text.clone()),
        _ => None,
    };
    let (status, detail) = match val {
        Some(Val::Record(fields)) => (status(fields)?, said(fields, "detail").or_else(|| said(fields, "message"))),
        Some(Val::String(text)) => (None, Some(text.clone())),
        _ => (None, None),
    };
    let status = match status {
        None => StatusCode::INTERNAL_SERVER_ERROR,
        Some(status) if status.is_client_error() || status.is_server_error() => status,
        Some(status) => return Err(InvalidResponse::Status(status.as_u16().into())),
    };
    let mut problem = Problem::new(status, detail.unwrap_or_else(|| "the function returned an error".to_owned()));
    problem.error = val.map(|val| Box::new(to_json(Some(val), ty)));
    Ok(Err(problem))
}

/// The fields of a type that is a response: a record with a numeric `status`, and nothing but `headers` and `body` besides.
fn response_fields(ty: &WitType) -> Option<&[(String, WitType)]> {
    let WitType::Record(fields) = ty else { return None };
    let known = |(name, _): &(String, WitType)| matches!(name.as_str(), "status" | "headers" | "body");
    let status = field_type(fields, "status")?;
    (is_integer(status) && fields.iter().all(known)).then_some(fields)
}

fn field_type<'t>(fields: &'t [(String, WitType)], name: &str) -> Option<&'t WitType> {
    fields.iter().find(|(known, _)| known == name).map(|(_, ty)| ty)
}

fn is_integer(ty: &WitType) -> bool {
    use WitType::{S8, S16, S32, S64, U8, U16, U32, U64};
    matches!(ty, S8 | U8 | S16 | U16 | S32 | U32 | S64 | U64)
}

fn is_headers(ty: &WitType) -> bool {
    let is_text = |ty: &WitType| match ty {
        WitType::List(item) => **item == WitType::U8,
        ty => *ty == WitType::String,
    };
    match ty {
        WitType::Option(some) => is_headers(some),
        WitType::List(item) => match &**item {
            WitType::Tuple(pair) => matches!(pair.as_slice(), [WitType::String, value] if is_text(value)),
            _ => false,
        },
        WitType::Map(name, value) => **name == WitType::String && is_text(value),
        _ => false,
    }
}

/// The status that a record has; `None` without one.
fn status(fields: &[(String, Val)]) -> Result<Option<StatusCode>, InvalidResponse> {
    let Some((_, val)) = fields.iter().find(|(name, _)| name == "status") else { return Ok(None) };
    let number: i128 = match *val {
        Val::S8(number) => number.into(),
        Val::U8(number) => number.into(),
        Val::S16(number) => number.into(),
        Val::U16(number) => number.into(),
        Val::S32(number) => number.into(),
        Val::U32(number) => number.into(),
        Val::S64(number) => number.into(),
        Val::U64(number) => number.into(),
        _ => return Ok(None),
    };
    final_status(number).map(Some)
}

/// The status of a response.
///
/// # Errors
/// Interim responses are the server's business, and there are no classes beyond the fifth.
pub(crate) fn final_status(number: i128) -> Result<StatusCode, InvalidResponse> {
    match u16::try_from(number).ok().filter(|number| (200..600).contains(number)).map(StatusCode::from_u16) {
        Some(Ok(status)) => Ok(status),
        _ => Err(InvalidResponse::Status(number)),
    }
}

/// A header that a function gives its response.
///
/// # Errors
/// Why there is no such header, or why it is not the function's business.
pub(crate) fn header(name: &[u8], value: Bytes) -> Result<(HeaderName, HeaderValue), InvalidResponse> {
    let name = HeaderName::from_bytes(name)
        .map_err(|_| InvalidResponse::HeaderName(String::from_utf8_lossy(name).into_owned()))?;
    if HOP_BY_HOP.contains(&name) {
        return Err(InvalidResponse::HopByHop(name));
    }
    let value = HeaderValue::from_maybe_shared(value).map_err(|_| InvalidResponse::HeaderValue(name.clone()))?;
    Ok((name, value))
}

/// Whether responses of this status have no content, whatever the function says.
pub(crate) fn has_no_content(status: StatusCode) -> bool {
    [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED].contains(&status)
}

/// A response whose parts are known, with the media type of its content where the headers have none.
///
/// # Errors
/// When the headers say another length than the content has.
pub(crate) fn whole(
    status: StatusCode,
    mut headers: HeaderMap,
    content: Option<(&'static str, Bytes)>,
) -> Result<Response<Body>, InvalidResponse> {
    let (kind, bytes) = content.map_or((None, Bytes::new()), |(kind, bytes)| (Some(kind), bytes));
    // The server says it itself; here it can only be wrong.
    let is_wrong = |said: &&HeaderValue| said.as_bytes().trim_ascii() != bytes.len().to_string().as_bytes();
    if let Some(said) = headers.get_all(CONTENT_LENGTH).iter().find(is_wrong) {
        return Err(InvalidResponse::Length(String::from_utf8_lossy(said.as_bytes()).into_owned(), bytes.len()));
    }
    headers.remove(CONTENT_LENGTH);
    if let Some(kind) = kind {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
    }
    let mut response = Response::new(if has_no_content(status) { Body::default() } else { full(bytes) });
    (*response.status_mut(), *response.headers_mut()) = (status, headers);
    Ok(response)
}

/// A response that the function composed.
fn composed(fields: &[(String, Val)], ty: &WitType) -> Result<Response<Body>, InvalidResponse> {
    let val = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, val)| val);
    let types = response_fields(ty).unwrap_or_default();
    let mut headers = HeaderMap::new();
    add_headers(&mut headers, val("headers"))?;
    whole(status(fields)?.unwrap_or(StatusCode::OK), headers, content(val("body"), field_type(types, "body")))
}

fn add_headers(headers: &mut HeaderMap, val: Option<&Val>) -> Result<(), InvalidResponse> {
    let mut add = |name: &Val, value: &Val| {
        let (Val::String(name), Some(value)) = (name, raw(value)) else { return Ok(()) };
        let (name, value) = header(name.as_bytes(), value)?;
        headers.append(name, value);
        Ok(())
    };
    match val {
        Some(Val::Option(Some(some))) => return add_headers(headers, Some(some)),
        Some(Val::List(items)) => items.iter().try_for_each(|item| match item {
            Val::Tuple(pair) => match pair.as_slice() {
                [name, value] => add(name, value),
                _ => Ok(()),
            },
            _ => Ok(()),
        })?,
        Some(Val::Map(pairs)) => pairs.iter().try_for_each(|(name, value)| add(name, value))?,
        _ => {}
    }
    Ok(())
}

/// A value as content, with its media type: text and bytes as they are, all else as JSON; `None` is none.
fn content(val: Option<&Val>, ty: Option<&WitType>) -> Option<(&'static str, Bytes)> {
    match (val?, ty) {
        (Val::Option(None), _) => None,
        (Val::Option(Some(val)), Some(WitType::Option(ty))) => content(Some(val), Some(ty)),
        (Val::String(text), _) => Some(("text/plain; charset=utf-8", text.clone().into())),
        (val, Some(WitType::List(item))) if **item == WitType::U8 => {
            Some(("application/octet-stream", raw(val).unwrap_or_default()))
        }
        (val, ty) => {
            // Keys are strings and nothing refuses to serialise, which is all that could fail.
            let json = serde_json::to_vec(&JsonVal { val: Some(val), ty }).unwrap_or_default();
            Some(("application/json", json.into()))
        }
    }
}

/// The bytes of a text or of a list of bytes.
fn raw(val: &Val) -> Option<Bytes> {
    match val {
        Val::String(text) => Some(text.clone().into()),
        Val::List(items) => {
            let byte = |item: &Val| match item {
                Val::U8(byte) => Some(*byte),
                _ => None,
            };
            items.iter().map(byte).collect::<Option<Vec<u8>>>().map(Bytes::from)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
