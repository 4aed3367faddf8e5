//! Decides what a function may reach. Plain data: no look-up and no connection is made here.
//!
//! An address may be reached on a port when a pattern lists it (as an address, in a block, or as `localhost`); or when it
//! is public, and `*` stands for it or it was an answer for a name that a pattern allows on that port. So a name that
//! somebody else controls cannot lead into the host's own network.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
};

use super::address::special;
use crate::spec::{Network, NetworkPattern};

/// Answers that a store remembers. The oldest are forgotten.
const ANSWERS_MAX: usize = 1024;

/// What a function may reach.
pub(super) struct Policy {
    allow: Vec<NetworkPattern>,
}

/// Names that were looked up in a store, with the public addresses that they were found to have.
#[derive(Default)]
pub(super) struct Answers(VecDeque<(IpAddr, Box<str>)>);

impl Answers {
    pub(super) fn remember(&mut self, name: &str, address: IpAddr) {
        if self.0.iter().any(|(known, of)| *known == address && **of == *name) {
            return;
        }
        if self.0.len() >= ANSWERS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((address, name.into()));
    }

    fn names(&self, address: IpAddr) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| *known == address).map(|(_, name)| &**name)
    }
}

impl Policy {
    pub(super) fn new(network: &Network) -> Self {
        Self { allow: network.allow.clone() }
    }

    fn on(&self, port: Option<u16>) -> impl Iterator<Item = &NetworkPattern> {
        self.allow.iter().filter(move |pattern| port.is_none_or(|port| pattern.has_port(port)))
    }

    fn lists(&self, address: IpAddr, port: Option<u16>) -> bool {
        self.on(port).any(|pattern| pattern.lists_address(address))
    }

    /// Whether a name may be looked up, for a port or for any.
    pub(super) fn name(&self, name: &str, port: Option<u16>) -> bool {
        self.on(port).any(|pattern| pattern.has_name(name))
    }

    /// Whether an address may be reached.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn address(&self, address: IpAddr, port: u16, answers: &Answers) -> Result<(), Refusal> {
        let address = address.to_canonical();
        let special = special(address);
        let public = || {
            self.on(Some(port)).any(NetworkPattern::has_any_host)
                || answers.names(address).any(|name| self.name(name, Some(port)))
        };
        if self.lists(address, Some(port)) || special.is_none() && public() {
            return Ok(());
        }
        Err(Refusal::Address { address, port: Some(port), special })
    }

    /// Whether an address that a name resolves to may be reached, on a port or on any. The name must be allowed.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn answer(&self, name: &str, address: IpAddr, port: Option<u16>) -> Result<(), Refusal> {
        match special(address) {
            None => Ok(()),
            Some(_) if self.lists(address, port) => Ok(()),
            Some(special) => Err(Refusal::Answer { name: name.to_owned(), address, port, special }),
        }
    }

    /// Whether an address that a guest gave for a name may be reached on some port.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn literal(&self, address: IpAddr) -> Result<(), Refusal> {
        let special = special(address);
        let any = || self.allow.iter().any(NetworkPattern::has_any_host);
        if self.lists(address, None) || special.is_none() && any() {
            return Ok(());
        }
        Err(Refusal::Address { address: address.to_canonical(), port: None, special })
    }
}

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No pattern has the name, on this port or on any.
    Name { name: String, port: Option<u16> },
    /// No pattern lists the address.
    Address { address: IpAddr, port: Option<u16>, special: Option<&'static str> },
    /// A name that is allowed resolves to an address that needs a pattern of its own.
    Answer { name: String, address: IpAddr, port: Option<u16>, special: &'static str },
    /// A socket was to accept connections.
    Listen,
    /// A socket was to be bound to an address of its own choice.
    Bind(SocketAddr),
}

impl Refusal {
    /// What was refused, and what to add to the field that lists what may be reached.
    pub(super) fn words(&self, field: &str) -> String {
        let ported = |port: &Option<u16>| port.map_or("PORT".to_owned(), |port| port.to_string());
        let pattern = |address: &IpAddr, port: &Option<u16>| match address {
            IpAddr::V4(address) => format!("{address}:{}", ported(port)),
            IpAddr::V6(address) => format!("[{address}]:{}", ported(port)),
        };
        match self {
            Self::Name { name, port } => {
                format!("{name} is not listed; add `{name}:{}` to {field}", ported(port))
            }
            Self::Address { address, port, special: None } => {
                let pattern = pattern(address, port);
                format!("{address} is not listed; add `{pattern}` to {field}, or look its name up")
            }
            Self::Address { address, port, special: Some(special) } => {
                let pattern = pattern(address, port);
                format!("{address}, which is {special}, is not listed; add `{pattern}` to {field}")
            }
            Self::Answer { name, address, port, special } => {
                let pattern = pattern(address, port);
                format!("{name} resolves to {address}, which is {special}; add `{pattern}` to {field}")
            }
            Self::Listen => "a function cannot listen for connections; it can only make them".to_owned(),
            Self::Bind(address) => {
                format!("a socket cannot be bound to {address}; only to the unspecified address and port 0")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(allow: &[&str]) -> Policy {
        Policy::new(&Network { allow: allow.iter().map(|text| text.parse().unwrap()).collect() })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn nothing_is_reached_unless_something_allows_it() {
        let policy = policy(&[]);
        assert!(!policy.name("localhost", None));
        assert!(policy.address(ip("8.8.8.8"), 53, &Answers::default()).is_err());
        assert!(policy.address(ip("127.0.0.1"), 53, &Answers::default()).is_err());
    }

    #[test]
    fn an_address_is_reached_on_the_ports_of_the_patterns_that_list_it() {
        let policy = policy(&["10.0.0.0/8:5432", "[fd00::/8]:8000-8100", "localhost:8080"]);
        let reaches = |address, port| policy.address(ip(address), port, &Answers::default()).is_ok();
        assert!(reaches("10.1.2.3", 5432));
        assert!(reaches("::ffff:10.1.2.3", 5432));
        assert!(!reaches("10.1.2.3", 5433));
        assert!(!reaches("64:ff9b::10.1.2.3", 5432));
        assert!(reaches("fd00::1", 8050));
        assert!(!reaches("fd00::1", 8101));
        assert!(reaches("127.0.0.1", 8080));
        assert!(!reaches("127.0.0.1", 8081));
    }

    #[test]
    fn any_host_is_any_public_host() {
        let policy = policy(&["*:443"]);
        let reaches = |address, port| policy.address(ip(address), port, &Answers::default()).is_ok();
        assert!(reaches("8.8.8.8", 443));
        assert!(!reaches("8.8.8.8", 80));
        assert!(!reaches("169.254.169.254", 443));
        assert!(!reaches("::ffff:127.0.0.1", 443));
        assert!(policy.name("anything.example", Some(443)));
        assert!(!policy.name("anything.example", Some(80)));
    }

    #[test]
    fn a_public_answer_opens_its_address_on_the_ports_of_its_name() {
        let policy = policy(&["api.example.com:443", "db.example.com:5432"]);
        let mut answers = Answers::default();
        let address = ip("93.184.216.34");
        assert!(policy.address(address, 443, &answers).is_err());
        answers.remember("api.example.com", address);
        assert!(policy.address(address, 443, &answers).is_ok());
        assert!(policy.address(address, 5432, &answers).is_err());
        answers.remember("db.example.com", address);
        assert!(policy.address(address, 5432, &answers).is_ok());
        assert!(policy.address(ip("93.184.216.35"), 443, &answers).is_err());
        // A remembered answer never opens what is not public.
        answers.remember("api.example.com", ip("10.0.0.5"));
        assert!(policy.address(ip("10.0.0.5"), 443, &answers).is_err());
    }

    #[test]
    fn an_answer_that_is_not_public_needs_a_pattern_of_its_own() {
        let name = "db.internal";
        let alone = policy(&["db.internal:5432"]);
        let refusal = alone.answer(name, ip("10.0.0.5"), Some(5432)).unwrap_err();
        assert_eq!(
            refusal.words("wasi.network.allow"),
            "db.internal resolves to 10.0.0.5, which is private; add `10.0.0.5:5432` to wasi.network.allow"
        );
        assert!(alone.answer(name, ip("8.8.8.8"), Some(5432)).is_ok());
        let both = policy(&["db.internal:5432", "10.0.0.0/8:5432"]);
        assert!(both.answer(name, ip("10.0.0.5"), Some(5432)).is_ok());
        assert!(both.answer(name, ip("10.0.0.5"), None).is_ok());
        assert!(both.answer(name, ip("10.0.0.5"), Some(80)).is_err());
        // A block lists addresses, and no names.
        assert!(!policy(&["10.0.0.0/8:5432"]).name(name, None));
    }

    #[test]
    fn a_store_forgets_its_oldest_answers() {
        let policy = policy(&["*.example.com:443"]);
        let mut answers = Answers::default();
        answers.remember("a.example.com", ip("8.8.8.8"));
        for number in 0..ANSWERS_MAX as u32 {
            answers.remember("b.example.com", IpAddr::from((0x0900_0000 + number).to_be_bytes()));
        }
        assert_eq!(answers.0.len(), ANSWERS_MAX);
        assert!(policy.address(ip("8.8.8.8"), 443, &answers).is_err());
        assert!(policy.address(ip("9.0.0.9"), 443, &answers).is_ok());
    }

    #[test]
    fn a_refusal_says_what_to_add() {
        let policy = policy(&["a:1"]);
        let refused = |address, port| {
            policy.address(ip(address), port, &Answers::default()).unwrap_err().words("wasi.network.allow")
        };
        assert_eq!(
            refused("fe80::1", 80),
            "fe80::1, which is link-local, is not listed; add `[fe80::1]:80` to wasi.network.allow"
        );
        assert_eq!(
            refused("8.8.8.8", 53),
            "8.8.8.8 is not listed; add `8.8.8.8:53` to wasi.network.allow, or look its name up"
        );
        let name = Refusal::Name { name: "b.example".to_owned(), port: None };
        assert_eq!(
            name.words("wasi.network.allow"),
            "b.example is not listed; add `b.example:PORT` to wasi.network.allow"
        );
    }
}
