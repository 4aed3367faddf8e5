//! HTTP: the servers, routers, endpoints and static files that a registry describes, in front of the functions of a runtime.
//!
//! What an entry means is decided in [`crate::registry::http`]; what runs is the business of [`crate::Runtime`].

mod endpoint;
mod problem;
mod static_files;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

/// Why a body broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body of a request or a response, which streams.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;
