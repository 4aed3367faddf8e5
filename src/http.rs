//! HTTP: the servers, routers, endpoints and static files that a registry describes, in front of the functions of a runtime.
//!
//! What an entry means is decided in [`crate::registry::http`]; what runs is the business of [`crate::Runtime`].
//!
//! ```no_run
//! # async fn example(specs: Vec<greenroom::registry::http::ServerSpec>) -> Result<(), Box<dyn std::error::Error>> {
//! use greenroom::http::{Options, Servers};
//!
//! let runtime = greenroom::Runtime::builder().registry("registry-examples/http-greet").start().await?;
//! let mut serving = Servers::bind(&runtime, &specs, &Options::default()).await?.serve();
//! // …
//! let cut_off = serving.stop(std::time::Duration::from_secs(10)).await;
//! # Ok(())
//! # }
//! ```
//!
//! Every connection is a task of the tokio runtime that serves; guests run on their own threads.

mod admin;
mod body;
mod connection;
mod endpoint;
mod identity;
mod listener;
mod metrics;
mod middleware;
mod problem;
mod record;
mod room;
mod routes;
mod server;
mod service;
mod static_files;
mod streams;
mod timeouts;
mod tls;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};

pub use admin::{
    ADMIN_BODY_BYTES_MAX, ADMIN_CALLS_MAX, ADMIN_CONNECTIONS_MAX, Admin, AdminOptions, AdminToken, InvalidToken,
};
pub use connection::{CONNECTIONS_MAX, HEAD_BYTES_MAX, HEADERS_MAX, STREAMS_MAX};
pub(crate) use endpoint::{
    PathParams, Takes, check,
    query::{Pairs as QueryPairs, pairs as query_pairs},
    response::{InvalidResponse, final_status, has_no_content, header, whole},
};
pub use greenroom_actors::{BodyError, HttpBody as Body};
pub use identity::{Client, REQUEST_ID_BYTES_MAX, SPAN_TARGET};
pub(crate) use metrics::describe;
pub use middleware::RATE_LIMIT_KEYS_MAX;
pub use room::BODIES_BYTES_MAX;
pub use server::{BindError, Options, Servers, Serving};
pub use service::URI_BYTES_MAX;

/// A body that is known in full.
fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}
