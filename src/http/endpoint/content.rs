//! What a request brings besides its head: the body, read in full, and how it becomes a value. Which parameter gets it is
//! decided in `mapped`.

use std::io;

use bytes::Bytes;
use greenroom_actors::{CallError, ErrorKind, wasm::WitType};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING},
};
use http_body_util::{BodyExt, LengthLimitError};
use serde_json::{Map, Value};
use wasmtime::component::Val;

use super::invalid;
use crate::{
    http::{Body, BodyError, problem::Problem, room::Full},
    wasmtime,
};

/// Whether a body broke off because its next piece did not come in time.
fn is_late(error: &BodyError) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// Whether a body broke off because it is not as HTTP has it, and not because the client went away.
fn is_malformed(error: &BodyError) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    matches!(cause, Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData))
}

/// The body of a request.
#[derive(Debug, Default)]
pub(super) struct Content {
    bytes: Bytes,
    /// Whether there is a body at all: one that has nothing in it is a body if the request says so.
    present: bool,
    /// What it is compressed by.
    encoding: Option<HeaderValue>,
}

impl Content {
    /// Reads a body to its end.
    ///
    /// # Errors
    /// 413 when it is larger than allowed, 503 when the server holds too many already, 408 when the client sends no more of it,
    /// 499 when the client went away, 400 when it is malformed.
    pub(super) async fn read(body: Body, headers: &HeaderMap) -> Result<Self, Problem> {
        let bytes = match body.collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the request's body is larger than allowed"));
            }
            Err(error) if error.is::<Full>() => return Err(Full.into()),
            Err(error) if is_late(&error) => {
                return Err(Problem::new(
                    StatusCode::REQUEST_TIMEOUT,
                    format!("the request's body broke off: {error}"),
                ));
            }
            Err(error) if is_malformed(&error) => {
                tracing::debug!(%error, "the body of a request broke off");
                return Err(Problem::new(StatusCode::BAD_REQUEST, "the request's body broke off"));
            }
            Err(error) => {
                tracing::debug!(%error, "the client went away before the end of its body");
                let gone = "the client went away before the end of its body";
                return Err(CallError::new(ErrorKind::Canceled, gone).into());
            }
        };
        let present =
            !bytes.is_empty() || [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|it| headers.contains_key(it));
        let encoding = headers.get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity").cloned();
        Ok(Self { bytes, present, encoding })
    }

    pub(super) fn is_present(&self) -> bool {
        self.present
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn json(&self) -> Result<Value, Problem> {
        self.plain()?;
        serde_json::from_slice(&self.bytes).map_err(|error| invalid(format!("body: expected JSON: {error}")))
    }

    /// The fields of a body that is a JSON object; `None` when it is something else.
    pub(super) fn object(&self) -> Option<Map<String, Value>> {
        let first = self.bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        if first != Some(&b'{') || self.encoding.is_some() {
            return None;
        }
        serde_json::from_slice(&self.bytes).ok()
    }

    /// The whole body as a value: text and bytes as they are, all else as JSON. No body is the `none` of an option.
    ///
    /// # Errors
    /// What does not fit.
    pub(super) fn whole(&self, ty: &WitType) -> Result<Val, Problem> {
        let val = match ty {
            WitType::Option(_) if !self.present => return Ok(Val::Option(None)),
            ty if is_raw(ty) => {
                if !is_bytes(ty) {
                    self.plain()?;
                }
                ty.encode_bytes(&self.bytes)
            }
            WitType::Option(_) if self.bytes.is_empty() => return Ok(Val::Option(None)),
            ty => ty.encode(&self.json()?),
        };
        val.map_err(|error| invalid(error.in_name("body")))
    }

    /// Refuses a compressed body: only those who take bytes as they are can read one.
    fn plain(&self) -> Result<(), Problem> {
        let Some(encoding) = &self.encoding else { return Ok(()) };
        let detail = format!("the body is compressed ({encoding:?}); send it as it is, without Content-Encoding");
        let mut problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail);
        // What RFC 9110 has a server say when the coding was the reason.
        let identity: (HeaderName, _) = (ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        problem.headers.push(identity);
        Err(problem)
    }
}

/// A type that takes bytes or text as they are.
pub(super) fn is_raw(ty: &WitType) -> bool {
    match ty {
        WitType::Option(some) => is_raw(some),
        WitType::String => true,
        ty => is_bytes(ty),
    }
}

fn is_bytes(ty: &WitType) -> bool {
    match ty {
        WitType::Option(some) => is_bytes(some),
        WitType::List(item) => **item == WitType::U8,
        _ => false,
    }
}
