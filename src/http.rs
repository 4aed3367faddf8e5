//! HTTP: the servers, routers, endpoints and static files that a registry describes, in front of the functions of a runtime.
//!
//! What an entry means is decided in [`crate::registry::http`]; what runs is the business of [`crate::Runtime`].

mod endpoint;
mod problem;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body of a request or a response, which streams.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// A body that is known in full.
fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}
