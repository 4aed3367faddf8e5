//! Who a request is from, and how it is called in logs and traces.

use std::{
    net::{IpAddr, SocketAddr},
    time::{SystemTime, UNIX_EPOCH},
};

use greenroom_actors::call::trace::TraceParent;
use http::{HeaderMap, HeaderName, HeaderValue};
use tracing::{Span, field::Empty};
use uuid::{Builder, Uuid};

/// A request's id, from clients and to them.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const TRACEPARENT: &str = "traceparent";

/// The target of the spans of requests, at level DEBUG: `trace_id`, `span_id`, `parent_id`, and fields with the names that
/// OpenTelemetry has for them.
pub const SPAN_TARGET: &str = "greenroom::http";

/// The size of a client's own `x-request-id`, in bytes. Longer ones are replaced.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// Who sent a request: an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Who connected.
    pub peer: SocketAddr,
    /// Whom it speaks for: itself, unless it is a proxy that `real_ip` trusts. IPv4 addresses are never in their IPv6 form.
    pub ip: IpAddr,
    /// Whether the connection is one of TLS.
    pub tls: bool,
}

impl Client {
    /// Whoever connected, for itself.
    pub(super) fn direct(peer: SocketAddr, tls: bool) -> Self {
        Self { peer, ip: peer.ip().to_canonical(), tls }
    }
}

/// The id of a request: the client's own, when it is visible ASCII and not too long, else a new one.
pub(super) fn request_id(headers: &HeaderMap) -> (HeaderValue, String) {
    let is_good = |text: &&str| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let given = headers.get(REQUEST_ID);
    if let (Some(value), Some(text)) = (given, given.and_then(|value| value.to_str().ok()).filter(is_good)) {
        return (value.clone(), text.to_owned());
    }
    // Random, and no secret: asking the system for randomness takes longer than all the rest.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let random = fastrand::u128(..).to_ne_bytes();
    let id = Builder::from_unix_timestamp_millis(
        u64::try_from(now).unwrap_or(u64::MAX),
        &std::array::from_fn(|at| random[at]),
    )
    .into_uuid();
    let mut buffer = Uuid::encode_buffer();
    let text: &str = id.hyphenated().encode_lower(&mut buffer);
    // Letters, digits and hyphens are fit for a header.
    (HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("")), text.to_owned())
}

/// Where in a trace a request comes from, when the client says so as W3C Trace Context has it, once.
pub(super) fn traceparent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    value.to_str().ok()?.parse().ok()
}

/// The span of a request, and where in a trace it is: a new one when spans are recorded, else what the client said.
pub(super) fn span(
    method: &'static str,
    path: &str,
    request_id: &str,
    parent: Option<TraceParent>,
) -> (Span, Option<TraceParent>) {
    if !tracing::span_enabled!(target: SPAN_TARGET, tracing::Level::DEBUG) {
        return (Span::none(), parent);
    }
    let own = parent.map_or_else(TraceParent::root, TraceParent::child);
    let span = tracing::debug_span!(
        target: SPAN_TARGET,
        "request",
        http.request.method = method,
        url.path = path,
        request_id,
        trace_id = format_args!("{:032x}", own.trace_id),
        span_id = format_args!("{:016x}", own.span_id),
        flags = own.flags,
        parent_id = parent.map(|parent| tracing::field::display(format!("{:016x}", parent.span_id))),
        http.route = Empty,
        http.response.status_code = Empty,
    );
    (span, Some(own))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics fails, which is what it is for")]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_said_once() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, good.parse().unwrap());
        assert_eq!(traceparent(&headers), Some(good.parse().unwrap()));
        headers.append(TRACEPARENT, good.parse().unwrap());
        assert_eq!(traceparent(&headers), None);
    }

    #[test]
    fn a_request_has_the_id_that_it_came_with_when_it_is_good_and_else_a_new_one() {
        let with = |id: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(id).unwrap());
            request_id(&headers).1
        };
        assert_eq!(with(b"a~!"), "a~!");
        assert_eq!(with(&[b'x'; REQUEST_ID_BYTES_MAX]).len(), REQUEST_ID_BYTES_MAX);
        for bad in [&b""[..], b"a b", b"\xc3\xa4", &[b'x'; REQUEST_ID_BYTES_MAX + 1]] {
            let id = Uuid::parse_str(&with(bad)).unwrap();
            assert_eq!(id.get_version_num(), 7);
        }
        let (header, text) = request_id(&HeaderMap::new());
        assert_eq!(header, text.as_str());
        assert_ne!(request_id(&HeaderMap::new()).1, text);
    }
}
