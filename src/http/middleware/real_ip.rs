//! `real_ip`: who the client is behind proxies that are trusted to say so: the nearest address of `X-Forwarded-For` that
//! is none of theirs, or else `X-Real-IP`. `Forwarded` is not read. Of everybody else, neither is.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{HeaderMap, HeaderName, Request};
use tower::{ServiceExt, service_fn, util::BoxCloneSyncService};

use super::Stack;
use crate::{
    http::{identity::Client, service::Routed},
    registry::http::RealIpSpec,
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

pub(super) fn around(inside: Stack, spec: &RealIpSpec) -> Stack {
    let spec = Arc::new(spec.clone());
    BoxCloneSyncService::new(service_fn(move |mut request: Request<Routed>| {
        let mut client = request.extensions().get::<Client>().copied();
        if let Some(client) = &mut client {
            client.ip = speaks_for(client.ip, request.headers(), &spec);
            request.extensions_mut().insert(*client);
        }
        let next = inside.clone().oneshot(request);
        async move {
            let mut response = next.await?;
            // For the log, which is written outside.
            if let Some(client) = client {
                response.extensions_mut().insert(client);
            }
            Ok(response)
        }
    }))
}

/// Whom one who connected speaks for.
fn speaks_for(peer: IpAddr, headers: &HeaderMap, spec: &RealIpSpec) -> IpAddr {
    let is_trusted = |ip: IpAddr| spec.trusted.iter().any(|network| network.contains(&ip));
    if !is_trusted(peer) {
        return peer;
    }
    let mut forwarded = headers.get_all(X_FORWARDED_FOR).iter().rev().peekable();
    if forwarded.peek().is_none() {
        let real = headers.get(X_REAL_IP).and_then(|value| address(value.to_str().ok()?));
        return real.unwrap_or(peer);
    }
    let mut nearest = peer;
    // Each proxy adds at the right whom it heard from: what is left of one that is not trusted may be made up.
    for entry in forwarded.flat_map(|value| value.to_str().unwrap_or_default().rsplit(',')) {
        let Some(ip) = address(entry) else { break };
        nearest = ip;
        if !is_trusted(ip) {
            break;
        }
    }
    nearest
}

/// An address, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse().map(|address: SocketAddr| address.ip());
    bare.parse().or_else(|_| with_port()).ok().map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics fails, which is what it is for")]
mod tests {
    use super::*;

    fn seen(peer: &str, headers: &[(HeaderName, &'static str)]) -> String {
        let spec = RealIpSpec { trusted: vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()] };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        speaks_for(peer.parse().unwrap(), &map, &spec).to_string()
    }

    #[test]
    fn the_nearest_address_that_no_trusted_proxy_has_is_the_client() {
        let forwarded = |value| [(X_FORWARDED_FOR, value)];
        assert_eq!(seen("10.0.0.1", &forwarded("6.6.6.6, 1.2.3.4")), "1.2.3.4");
        assert_eq!(seen("10.0.0.1", &forwarded("6.6.6.6, 1.2.3.4 , 10.0.0.2")), "1.2.3.4");
        assert_eq!(seen("10.0.0.1", &forwarded("10.0.0.3,10.0.0.2")), "10.0.0.3");
        assert_eq!(seen("10.0.0.1", &forwarded("6.6.6.6, garbage, 10.0.0.2")), "10.0.0.2");
        assert_eq!(seen("10.0.0.1", &forwarded("1.2.3.4:99")), "1.2.3.4");
        assert_eq!(seen("fd00::1", &forwarded("[2001:db8::1]:99")), "2001:db8::1");
        assert_eq!(seen("fd00::1", &forwarded("[2001:db8::1]")), "2001:db8::1");
        assert_eq!(seen("10.0.0.1", &forwarded("::ffff:1.2.3.4")), "1.2.3.4");
        let lines = [(X_FORWARDED_FOR, "6.6.6.6"), (X_FORWARDED_FOR, "1.2.3.4, 10.0.0.2")];
        assert_eq!(seen("10.0.0.1", &lines), "1.2.3.4");
    }

    #[test]
    fn x_real_ip_is_read_where_there_is_nothing_better() {
        assert_eq!(seen("10.0.0.1", &[(X_REAL_IP, "1.2.3.4")]), "1.2.3.4");
        assert_eq!(seen("10.0.0.1", &[(X_REAL_IP, "1.2.3.4"), (X_FORWARDED_FOR, "5.6.7.8")]), "5.6.7.8");
        assert_eq!(seen("10.0.0.1", &[(X_REAL_IP, "garbage")]), "10.0.0.1");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn nobody_else_is_believed() {
        assert_eq!(seen("1.1.1.1", &[(X_FORWARDED_FOR, "1.2.3.4"), (X_REAL_IP, "1.2.3.4")]), "1.1.1.1");
    }
}
