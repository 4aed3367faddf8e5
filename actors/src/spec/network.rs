//! What a guest may reach over the network, as `wasi.network.allow` lists it. Whether an address is safe to reach is the
//! executor's business.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
    str::FromStr,
};

use ipnet::IpNet;
use url::Host;

/// What a guest may reach over the network. Default is nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Network {
    /// What may be reached, by `wasi:sockets` and outgoing `wasi:http` alike.
    pub allow: Vec<NetworkPattern>,
}

/// One `host:port` of a [`Network`].
///
/// | written | hosts |
/// | --- | --- |
/// | `api.example.com:443` | this name, of either case; names beyond ASCII stand for their punycode |
/// | `*.example.com:443` | every name below it, and not the name itself |
/// | `localhost:8080` | the name, and every loopback address |
/// | `10.1.2.3:5432`, `[fd00::1]:5432` | one address |
/// | `10.0.0.0/8:5432`, `[fd00::/8]:5432` | a block of addresses |
/// | `*:443` | every name and every public address |
///
/// The port is a number from 1, a range `8000-8100`, or `*` for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPattern {
    hosts: Hosts,
    ports: RangeInclusive<u16>,
}

/// The hosts of a [`NetworkPattern`].
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    Any,
    Name(String),
    /// Names that end with a dot and this.
    Below(String),
    Block(IpNet),
}

impl NetworkPattern {
    /// Whether it allows the port on some host.
    pub fn has_port(&self, port: u16) -> bool {
        self.ports.contains(&port)
    }

    /// Whether a name may be looked up, given in lower case and punycode. What it resolves to is another question: an
    /// address that is not public needs a pattern that lists it.
    pub fn has_name(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        match &self.hosts {
            Hosts::Any => true,
            Hosts::Name(listed) => listed == name,
            Hosts::Below(parent) => {
                name.strip_suffix(parent.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            Hosts::Block(_) => false,
        }
    }

    /// Whether it lists an address by itself, public or not: as an address, in a block, or as `localhost`.
    pub fn lists_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match &self.hosts {
            Hosts::Block(block) => block.contains(&address),
            Hosts::Name(name) => name == LOCALHOST && address.is_loopback(),
            Hosts::Any | Hosts::Below(_) => false,
        }
    }

    /// Whether it is `*`, which stands for every public host.
    pub fn has_any_host(&self) -> bool {
        self.hosts == Hosts::Any
    }
}

const LOCALHOST: &str = "localhost";

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
        if let Some((scheme, rest)) = text.split_once("://") {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let port = if scheme == "http" { 80 } else { 443 };
            let write = match authority.rsplit_once(':') {
                Some((_, port)) if port.parse::<u16>().is_ok() => authority.to_owned(),
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
    if text.parse::<Ipv6Addr>().is_ok() || text.parse::<ipnet::Ipv6Net>().is_ok() {
        return Err(NetworkPatternError::Brackets { found: text.to_owned(), write: format!("[{text}]:443") });
    }
    match text.rsplit_once(':') {
        Some(("", _)) => Err(NetworkPatternError::NoHost(text.to_owned())),
        Some((host, port)) if host.contains(':') => {
            Err(NetworkPatternError::Brackets { found: text.to_owned(), write: format!("[{host}]:{port}") })
        }
        Some(parts) => Ok(parts),
        None => Err(no_port()),
    }
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
        return match name(parent) {
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
        (Err(_), None) => name(host),
    }
}

/// A name in lower case and punycode, without the dot that may end it.
fn name(text: &str) -> Result<Hosts, NetworkPatternError> {
    let unknown = || NetworkPatternError::Host(text.to_owned());
    if text.contains('%') {
        return Err(unknown());
    }
    match Host::parse(text.strip_suffix('.').unwrap_or(text)) {
        Ok(Host::Domain(name)) if !name.starts_with('.') && !name.ends_with('.') => Ok(Hosts::Name(name)),
        // `127.1` and `0x7f000001`, which resolvers take for addresses.
        Ok(Host::Ipv4(address)) => {
            Err(NetworkPatternError::Form { found: text.to_owned(), write: address.to_string() })
        }
        _ => Err(unknown()),
    }
}

/// A block of IPv4 addresses that is written as IPv6 holds what it maps to.
fn canonical(block: IpNet) -> IpNet {
    const MAPPED_BITS: u8 = 96;
    let IpNet::V6(v6) = block else { return block };
    let mapped: Option<Ipv4Addr> = v6.addr().to_ipv4_mapped();
    let length = v6.prefix_len().checked_sub(MAPPED_BITS);
    mapped.zip(length).and_then(|(address, length)| IpNet::new(address.into(), length).ok()).unwrap_or(block)
}

fn written(block: IpNet, port: &str) -> String {
    let single = block.prefix_len() == block.max_prefix_len();
    match (block, single) {
        (IpNet::V4(block), true) => format!("{}:{port}", block.addr()),
        (IpNet::V4(block), false) => format!("{block}:{port}"),
        (IpNet::V6(block), true) => format!("[{}]:{port}", block.addr()),
        (IpNet::V6(block), false) => format!("[{block}]:{port}"),
    }
}

impl fmt::Display for NetworkPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (*self.ports.start(), *self.ports.end());
        let port = match (first, last) {
            (1, u16::MAX) => "*".to_owned(),
            _ if first == last => first.to_string(),
            _ => format!("{first}-{last}"),
        };
        match &self.hosts {
            Hosts::Any => write!(f, "*:{port}"),
            Hosts::Name(name) => write!(f, "{name}:{port}"),
            Hosts::Below(name) => write!(f, "*.{name}:{port}"),
            Hosts::Block(block) => f.write_str(&written(*block, &port)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> NetworkPattern {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn patterns_are_shown_as_they_are_meant() {
        for (written, shown) in [
            ("api.example.com:443", "api.example.com:443"),
            ("API.Example.COM.:443", "api.example.com:443"),
            ("bücher.example:80", "xn--bcher-kva.example:80"),
            ("*.example.com:8000-8100", "*.example.com:8000-8100"),
            ("10.0.0.5:5432", "10.0.0.5:5432"),
            ("10.0.0.0/8:*", "10.0.0.0/8:*"),
            ("[::1]:80", "[::1]:80"),
            ("[fd00::/8]:1-65535", "[fd00::/8]:*"),
            ("[::ffff:10.0.0.5]:80", "10.0.0.5:80"),
            ("[::ffff:10.0.0.0/104]:80", "10.0.0.0/8:80"),
            ("0.0.0.0/0:80", "0.0.0.0/0:80"),
            ("*:443", "*:443"),
            ("my_service:7-7", "my_service:7"),
        ] {
            assert_eq!(pattern(written).to_string(), shown, "{written}");
            assert_eq!(pattern(shown), pattern(written), "{written}");
        }
    }

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
            ("*example.com:80", "`*` stands alone"),
            ("::1", "in brackets: `[::1]:443`"),
            ("fd00::/8:80", "in brackets: `[fd00::/8]:80`"),
            ("fd00::/8", "in brackets: `[fd00::/8]:443`"),
            ("[fd00::]/8:80", "is written `[fd00::/8]:80`"),
            ("10.0.0.5/8:80", "is written `10.0.0.0/8:80`"),
            ("[10.0.0.5]:80", "is written `10.0.0.5:80`"),
            ("[10.0.0.0/8]:80", "is written `10.0.0.0/8:80`"),
            ("127.1:80", "is written `127.0.0.1`"),
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

    #[test]
    fn names_are_matched_whole_and_subdomains_below() {
        for (written, name, expected) in [
            ("example.com:80", "example.com", true),
            ("example.com:80", "example.com.", true),
            ("example.com:80", "www.example.com", false),
            ("example.com:80", "example.com.evil.net", false),
            ("*.example.com:80", "www.example.com", true),
            ("*.example.com:80", "a.b.example.com", true),
            ("*.example.com:80", "example.com", false),
            ("*.example.com:80", ".example.com", false),
            ("*.example.com:80", "badexample.com", false),
            ("*:80", "anything", true),
            ("10.0.0.0/8:80", "10.0.0.1", false),
        ] {
            assert_eq!(pattern(written).has_name(name), expected, "{written} for {name}");
        }
    }

    #[test]
    fn addresses_are_listed_by_themselves_by_blocks_and_by_localhost() {
        for (written, address, expected) in [
            ("10.0.0.5:80", "10.0.0.5", true),
            ("10.0.0.5:80", "::ffff:10.0.0.5", true),
            ("10.0.0.5:80", "10.0.0.6", false),
            ("10.0.0.0/8:80", "10.255.0.1", true),
            ("10.0.0.0/8:80", "11.0.0.1", false),
            ("[fd00::/8]:80", "fd12::1", true),
            ("[fd00::/8]:80", "fe80::1", false),
            ("localhost:80", "127.0.0.1", true),
            ("localhost:80", "127.9.9.9", true),
            ("localhost:80", "::1", true),
            ("localhost:80", "10.0.0.1", false),
            ("example.com:80", "127.0.0.1", false),
            ("*:80", "127.0.0.1", false),
        ] {
            assert_eq!(pattern(written).lists_address(address.parse().unwrap()), expected, "{written} for {address}");
        }
    }

    #[test]
    fn ports_are_numbers_ranges_or_all() {
        for (written, port, expected) in
            [("a:80", 80, true), ("a:80", 81, false), ("a:80-90", 90, true), ("a:80-90", 91, false), ("a:*", 1, true)]
        {
            assert_eq!(pattern(written).has_port(port), expected, "{written} for {port}");
        }
    }
}
