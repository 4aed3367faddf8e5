//! What a guest may reach over the network, as `wasi.network.allow` lists it. Whether an address is safe to reach is the
//! executor's business.

mod parse;

use std::{fmt, net::IpAddr, ops::RangeInclusive};

use ipnet::IpNet;

pub use parse::NetworkPatternError;

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

fn written(block: IpNet, port: &str) -> String {
    let single = block.prefix_len() == block.max_prefix_len();
    match (block, single) {
        (IpNet::V4(block), true) => format!("{}:{port}", block.addr()),
        (IpNet::V4(block), false) => format!("{block}:{port}"),
        (IpNet::V6(block), true) => format!("[{}]:{port}", block.addr()),
        (IpNet::V6(block), false) => format!("[{block}]:{port}"),
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
