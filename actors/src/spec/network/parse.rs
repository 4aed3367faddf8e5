//! Reads patterns, and says of what is none what to write.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
    str::FromStr,
};

use ipnet::IpNet;
use url::Host;

use super::{Hosts, NetworkPattern, written};

/// A text that is no [`NetworkPattern`]. Its message says what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkPatternError {
    /// There is no port.
    #[error("`{0}` has no port; write `{0}:443`, or `{0}:*` for every port")]
    NoPort(String),
    /// There is no host.
    #[error("`{0}` has no host; write `*{0}` for every public host")]
    NoHost(String),
    /// The port is no number, range or `*`.
    #[error("`{0}` is no port; write a number from 1 to 65535, a range such as `8000-8100`, or `*`")]
    Port(String),
    /// It is a URL.
    #[error("`{found}` is a URL; a pattern is only host and port: `{write}`")]
    Url {
        /// What was found.
        found: String,
        /// What to write.
        write: String,
    },
    /// A `*` is somewhere inside a name.
    #[error("`{0}` has a `*` inside; `*` stands alone, or as all that is before a name: `*.example.com`")]
    Wildcard(String),
    /// An IPv6 address or block without its brackets.
    #[error("`{found}` is IPv6, which is written in brackets: `{write}`")]
    Brackets {
        /// What was found.
        found: String,
        /// What to write.
        write: String,
    },
    /// A block of addresses that does not begin where it must, or an address in an odd form.
    #[error("`{found}` is written `{write}`")]
    Form {
        /// What was found.
        found: String,
        /// What to write.
        write: String,
    },
    /// Neither a name nor an address.
    #[error("`{0}` is no host; write a name, `*.name`, an address, a block such as `10.0.0.0/8`, or `*`")]
    Host(String),
}

impl FromStr for NetworkPattern {
    type Err = NetworkPatternError;

    fn from_str(text: &str) -> Result<Self, NetworkPatternError> {
        let authority = |rest: &'_ str| rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
        let url = text.split_once("://").map(|(scheme, rest)| (scheme, authority(rest)));
        if let Some((scheme, authority)) = url.filter(|(_, authority)| !authority.is_empty()) {
            let port = if scheme.eq_ignore_ascii_case("http") { 80 } else { 443 };
            let write = match authority.rsplit_once(':') {
                Some((_, port)) if port.parse::<u16>().is_ok() => authority,
                _ => format!("{authority}:{port}"),
            };
            return Err(NetworkPatternError::Url { found: text.to_owned(), write });
        }
        let (host, port) = split(text)?;
        Ok(Self { hosts: hosts(host, port)?, ports: ports(port)? })
    }
}

/// The parts before and after the colon that ends the host.
fn split(text: &str) -> Result<(&str, &str), NetworkPatternError> {
    let no_port = || NetworkPatternError::NoPort(text.to_owned());
    if let Some(inside) = text.strip_prefix('[') {
        let end = inside.find(']').ok_or_else(|| NetworkPatternError::Host(text.to_owned()))? + 2;
        let (host, rest) = text.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, port)),
            None if rest.is_empty() => Err(no_port()),
            // The length of a block after its bracket.
            None => match rest.split_once(':') {
                Some((length, port)) => Err(NetworkPatternError::Form {
                    found: text.to_owned(),
                    write: format!("{}{length}]:{port}", host.trim_end_matches(']')),
                }),
                None => Err(no_port()),
            },
        };
    }
    match text.rsplit_once(':') {
        Some(("", _)) => Err(NetworkPatternError::NoHost(text.to_owned())),
        Some((host, port)) if host.contains(':') && host.split(':').all(is_group) => {
            Err(without_brackets(text, host, port))
        }
        Some((host, _)) if host.contains(':') => Err(NetworkPatternError::Host(host.to_owned())),
        Some(parts) => Ok(parts),
        None => Err(no_port()),
    }
}

/// Whether this may stand between the colons of an IPv6 address or block.
fn is_group(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b'/'))
}

/// The fault of an IPv6 address or block that lacks brackets, and perhaps a port as well.
fn without_brackets(text: &str, host: &str, port: &str) -> NetworkPatternError {
    let is_v6 = |text: &str| text.parse::<Ipv6Addr>().is_ok() || text.parse::<ipnet::Ipv6Net>().is_ok();
    let write = match is_v6(text) && !is_v6(host) {
        true => format!("[{text}]:443"),
        false => format!("[{host}]:{port}"),
    };
    NetworkPatternError::Brackets { found: text.to_owned(), write }
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, NetworkPatternError> {
    let port = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten().filter(|port| *port != 0)
    };
    let range = match text.split_once('-') {
        _ if text == "*" => Some(1..=u16::MAX),
        Some((first, last)) => port(first).zip(port(last)).map(|(first, last)| first..=last),
        None => port(text).map(|port| port..=port),
    };
    range.filter(|range| !range.is_empty()).ok_or_else(|| NetworkPatternError::Port(text.to_owned()))
}

fn hosts(host: &str, port: &str) -> Result<Hosts, NetworkPatternError> {
    let unknown = || NetworkPatternError::Host(host.to_owned());
    if host == "*" {
        return Ok(Hosts::Any);
    }
    if let Some(parent) = host.strip_prefix("*.") {
        return match name(parent, port) {
            Ok(Hosts::Name(parent)) => Ok(Hosts::Below(parent)),
            _ => Err(unknown()),
        };
    }
    if host.contains('*') {
        return Err(NetworkPatternError::Wildcard(host.to_owned()));
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let literal = bare.unwrap_or(host);
    if literal.contains('/') {
        let block: IpNet = literal.parse().map_err(|_| unknown())?;
        let truncated = block.trunc();
        return match (block, bare) {
            _ if truncated != block => {
                Err(NetworkPatternError::Form { found: format!("{host}:{port}"), write: written(truncated, port) })
            }
            (IpNet::V6(_), Some(_)) => Ok(Hosts::Block(canonical(block))),
            (IpNet::V4(_), None) => Ok(Hosts::Block(block)),
            _ => Err(NetworkPatternError::Form { found: format!("{host}:{port}"), write: written(block, port) }),
        };
    }
    match (literal.parse::<IpAddr>(), bare) {
        (Ok(address @ IpAddr::V6(_)), Some(_)) | (Ok(address @ IpAddr::V4(_)), None) => {
            Ok(Hosts::Block(address.to_canonical().into()))
        }
        (Ok(address), _) => Err(NetworkPatternError::Form {
            found: format!("{host}:{port}"),
            write: written(IpNet::from(address), port),
        }),
        (Err(_), Some(_)) => Err(unknown()),
        (Err(_), None) => name(host, port),
    }
}

/// A name in lower case and punycode, without the dot that may end it.
fn name(text: &str, port: &str) -> Result<Hosts, NetworkPatternError> {
    let unknown = || NetworkPatternError::Host(text.to_owned());
    if text.contains('%') {
        return Err(unknown());
    }
    match Host::parse(text.strip_suffix('.').unwrap_or(text)) {
        Ok(Host::Domain(name)) if name.split('.').all(is_label) => Ok(Hosts::Name(name)),
        // `127.1` and `0x7f000001`, which resolvers take for addresses.
        Ok(Host::Ipv4(address)) => {
            Err(NetworkPatternError::Form { found: format!("{text}:{port}"), write: format!("{address}:{port}") })
        }
        _ => Err(unknown()),
    }
}

/// Whether this may stand between the dots of a name: up to 63 letters, digits, `-` and `_`, after RFC 1035 and what is in
/// use.
fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=63).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}

/// A block of IPv4 addresses that is written as IPv6 holds what it maps to.
fn canonical(block: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    let IpNet::V6(v6) = block else { return block };
    let mapped: Option<Ipv4Addr> = v6.addr().to_ipv4_mapped();
    let length = v6.prefix_len().checked_sub(MAPPED_BITS);
    mapped.zip(length).and_then(|(address, length)| IpNet::new(address.into(), length).ok()).unwrap_or(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_is_none_says_what_to_write() {
        for (written, expected) in [
            ("example.com", "write `example.com:443`, or `example.com:*` for every port"),
            ("*", "write `*:443`"),
            ("[::1]", "write `[::1]:443`"),
            (":80", "write `*:80` for every public host"),
            ("a:0", "`0` is no port"),
            ("a:", "`` is no port"),
            ("a:65536", "`65536` is no port"),
            ("a:+80", "`+80` is no port"),
            ("a:90-80", "`90-80` is no port"),
            ("a:http", "`http` is no port"),
            ("https://api.example.com/x", "only host and port: `api.example.com:443`"),
            ("http://api.example.com", "only host and port: `api.example.com:80`"),
            ("http://api.example.com:81/", "only host and port: `api.example.com:81`"),
            ("api.*.com:80", "`*` stands alone"),
            ("*.*.com:80", "is no host"),
            ("a..b:80", "is no host"),
            ("-a.com:80", "is no host"),
            ("a://", "is no port"),
            ("HTTP://EXAMPLE.COM/", "only host and port: `EXAMPLE.COM:80`"),
            ("127.1:80", "`127.1:80` is written `127.0.0.1:80`"),
            ("example.com:80:90", "is no host"),
            ("*example.com:80", "`*` stands alone"),
            ("::1", "in brackets: `[::1]:443`"),
            ("fd00::1:443", "in brackets: `[fd00::1]:443`"),
            ("fd00::/8:80", "in brackets: `[fd00::/8]:80`"),
            ("fd00::/8", "in brackets: `[fd00::/8]:443`"),
            ("[fd00::]/8:80", "is written `[fd00::/8]:80`"),
            ("10.0.0.5/8:80", "is written `10.0.0.0/8:80`"),
            ("[10.0.0.5]:80", "is written `10.0.0.5:80`"),
            ("[10.0.0.0/8]:80", "is written `10.0.0.0/8:80`"),
            ("10.0.0.0/33:80", "is no host"),
            ("*.10.0.0.1:80", "is no host"),
            ("a b:80", "is no host"),
            ("exam%70le.com:80", "is no host"),
            ("[a]:80", "is no host"),
            ("[::1:80", "is no host"),
            ("", "`` has no port"),
        ] {
            let error = written.parse::<NetworkPattern>().unwrap_err().to_string();
            assert!(error.contains(expected), "{written}: {error}");
        }
    }
}
