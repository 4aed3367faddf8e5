//! Who a request is from, and how it is called in logs and traces.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::{NoContext, Timestamp, Uuid};

/// A request's id, from clients and to them.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const TRACEPARENT: &str = "traceparent";

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
    // Without a context, which would be a lock that all requests share.
    let id = Uuid::new_v7(Timestamp::now(NoContext));
    let mut buffer = Uuid::encode_buffer();
    let text: &str = id.hyphenated().encode_lower(&mut buffer);
    // Letters, digits and hyphens are fit for a header.
    (HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("")), text.to_owned())
}

/// The trace that a request belongs to, when the client says so as W3C Trace Context has it, once.
pub(super) fn traceparent(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    value.to_str().ok().filter(|text| is_traceparent(text)).map(str::to_owned)
}

fn is_traceparent(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut hex = |len: usize| {
        parts
            .next()
            .filter(|part| part.len() == len && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
    };
    let (Some(version), Some(trace), Some(parent), Some(_flags)) = (hex(2), hex(32), hex(16), hex(2)) else {
        return false;
    };
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    // Later versions may say more.
    version != "ff" && !is_zero(trace) && !is_zero(parent) && (version != "00" || parts.next().is_none())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics fails, which is what it is for")]
mod tests {
    use super::*;

    #[test]
    fn traces_are_as_w3c_has_them() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is_traceparent(good));
        assert!(is_traceparent("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"));
        for bad in [
            "",
            "00",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, good.parse().unwrap());
        assert_eq!(traceparent(&headers).as_deref(), Some(good));
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
