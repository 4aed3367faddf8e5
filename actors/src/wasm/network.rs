//! The network as guests see it: what of it they may reach, looked up and connected to without blocking their thread.
//!
//! `address` and `policy` decide and do no I/O; `resolve` and `tls` are what all functions share; `sockets` and `http` are
//! the two ways in, which `link` adds to linkers; `client` is that of other languages.

mod address;
mod client;
mod http;
mod log;
mod policy;
mod resolve;
mod sockets;
mod tls;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use wasmtime_wasi::sockets::SocketAddrUse;

pub use client::{HttpClient, RESPONSE_BYTES_MAX};
pub use http::REQUESTS_MAX;
pub(super) use http::{Outgoing, link_error_codes};
pub use resolve::{Resolver, SystemResolver};
pub use sockets::SOCKETS_MAX;
pub(super) use sockets::link as link_sockets;
pub use tls::TrustedRoots;

use self::{
    log::RefusalLog,
    policy::{Answers, Policy, Refusal},
    tls::Tls,
};
use crate::spec::{FunctionId, Network};

/// Name look-ups of one function that are under way at once. More wait.
const LOOKUPS_MAX: usize = 32;

/// How guests reach the network, for all functions of an engine.
#[derive(Debug, Clone)]
pub struct NetworkOptions {
    /// Looks names up. Default is the system's resolver.
    pub resolver: Arc<dyn Resolver>,
    /// Whom outgoing `https` requests trust. Default is the system's certificates.
    pub roots: TrustedRoots,
}

impl Default for NetworkOptions {
    fn default() -> Self {
        Self { resolver: Arc::new(SystemResolver::default()), roots: TrustedRoots::default() }
    }
}

/// What all functions of an engine share.
#[derive(Debug)]
pub(super) struct SharedNetwork {
    resolver: Arc<dyn Resolver>,
    tls: Tls,
}

impl SharedNetwork {
    pub(super) fn new(options: NetworkOptions) -> Self {
        Self { resolver: options.resolver, tls: Tls::new(options.roots) }
    }
}

/// What all instances of a function share.
pub(super) struct FunctionNetwork {
    shared: Arc<SharedNetwork>,
    policy: Policy,
    log: RefusalLog,
    lookups: Semaphore,
}

impl FunctionNetwork {
    /// `field` is where the entry lists what may be reached.
    pub(super) fn new(
        function: &FunctionId,
        network: &Network,
        shared: Arc<SharedNetwork>,
        field: &'static str,
    ) -> Self {
        Self {
            shared,
            policy: Policy::new(network),
            log: RefusalLog::new(function, field),
            lookups: Semaphore::new(LOOKUPS_MAX),
        }
    }

    /// Looks a name up, which the policy must have allowed.
    async fn lookup(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        let _turn = self.lookups.acquire().await.map_err(std::io::Error::other)?;
        let found = self.shared.resolver.resolve(name).await?;
        Ok(found.into_iter().map(|address| address.to_canonical()).collect())
    }
}

/// What one store has of the network.
pub(super) struct StoreNetwork {
    function: Arc<FunctionNetwork>,
    answers: Mutex<Answers>,
    /// One permit for each outgoing request that may still begin. Made with the first of them.
    requests: OnceLock<Arc<Semaphore>>,
}

impl StoreNetwork {
    pub(super) fn new(function: &Arc<FunctionNetwork>) -> Self {
        Self { function: Arc::clone(function), answers: Mutex::default(), requests: OnceLock::new() }
    }

    fn requests(&self) -> Arc<Semaphore> {
        Arc::clone(self.requests.get_or_init(|| Arc::new(Semaphore::new(REQUESTS_MAX))))
    }

    /// Whether a socket may be used in this way. What may not is logged.
    pub(super) fn allows(&self, address: std::net::SocketAddr, purpose: SocketAddrUse) -> bool {
        let (ip, port) = (address.ip(), address.port());
        let outcome = match purpose {
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind if ip.is_unspecified() && port == 0 => Ok(()),
            SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => Err(Refusal::Bind(address)),
            SocketAddrUse::TcpListen | SocketAddrUse::TcpAccept => Err(Refusal::Listen),
            SocketAddrUse::TcpConnect | SocketAddrUse::UdpSend | SocketAddrUse::UdpReceive => {
                let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
                self.function.policy.address(ip, port, &answers)
            }
        };
        // Anybody may send datagrams to a bound socket: that is no doing of the guest's.
        if let (Err(refusal), false) = (&outcome, matches!(purpose, SocketAddrUse::UdpReceive)) {
            self.function.log.refused(refusal);
        }
        outcome.is_ok()
    }

    /// Keeps what was found for a name, for when a socket connects to it.
    fn remember(&self, name: &str, found: &[IpAddr]) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        found.iter().for_each(|address| answers.remember(name, *address));
    }

    /// The addresses of a name that may be reached, on a port or on any.
    fn resolve<'a>(&'a self, name: &'a str, port: Option<u16>) -> BoxFuture<'a, Result<Vec<IpAddr>, NoAddress>> {
        Box::pin(async move {
            let Self { function, .. } = self;
            let refuse = |refusal: Refusal| {
                function.log.refused(&refusal);
                Err(NoAddress::Refused(refusal))
            };
            if !function.policy.name(name, port) {
                return refuse(Refusal::Name { name: name.to_owned(), port });
            }
            let found = function.lookup(name).await.map_err(NoAddress::Unresolvable)?;
            let mut refused = None;
            let mut reachable = Vec::new();
            for address in found {
                match function.policy.answer(name, address, port) {
                    Ok(()) => reachable.push(address),
                    Err(refusal) => refused = refused.or(Some(refusal)),
                }
            }
            match refused {
                Some(refusal) if reachable.is_empty() => refuse(refusal),
                _ if reachable.is_empty() => {
                    Err(NoAddress::Unresolvable(std::io::Error::other("the name has no address")))
                }
                _ => Ok(reachable),
            }
        })
    }
}

/// Why a name leads nowhere.
#[derive(Debug)]
enum NoAddress {
    /// No pattern allows the name, or any of its addresses.
    Refused(Refusal),
    /// Nobody knows it.
    Unresolvable(std::io::Error),
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use futures::FutureExt;

    use super::*;

    /// Answers every name with two public addresses and a private one.
    #[derive(Debug)]
    struct Everywhere;

    impl Resolver for Everywhere {
        fn resolve(&self, _: &str) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
            let found = ["8.8.8.8", "10.0.0.5", "2606:4700::1111"].map(|text| text.parse().unwrap());
            std::future::ready(Ok(found.to_vec())).boxed()
        }
    }

    #[test]
    fn a_socket_reaches_what_its_own_store_has_looked_up() {
        let allow = ["api.example.com:443", "*.example.org:8000-8100"].map(|text| text.parse().unwrap()).to_vec();
        let options = NetworkOptions { resolver: Arc::new(Everywhere), roots: TrustedRoots::default() };
        let shared = Arc::new(SharedNetwork::new(options));
        let function = Arc::new(FunctionNetwork::new(&"app:f".parse().unwrap(), &Network { allow }, shared, "allow"));
        let (store, other) = (StoreNetwork::new(&function), StoreNetwork::new(&function));
        let connects = |store: &StoreNetwork, address: &str| {
            store.allows(address.parse::<SocketAddr>().unwrap(), SocketAddrUse::TcpConnect)
        };
        assert!(!connects(&store, "8.8.8.8:443"));
        let found = futures::executor::block_on(store.resolve("api.example.com", None)).unwrap();
        assert_eq!(found.len(), 2);
        store.remember("api.example.com", &found);
        for (address, expected) in [
            ("8.8.8.8:443", true),
            ("[2606:4700::1111]:443", true),
            ("8.8.8.8:8050", false),
            ("8.8.4.4:443", false),
            ("10.0.0.5:443", false),
        ] {
            assert_eq!(connects(&store, address), expected, "{address}");
        }
        assert!(!connects(&other, "8.8.8.8:443"));
        store.remember("a.example.org", &found);
        assert!(connects(&store, "8.8.8.8:8050"));
        // Datagrams as connections, in both directions.
        for purpose in [SocketAddrUse::UdpSend, SocketAddrUse::UdpReceive] {
            assert!(store.allows("8.8.8.8:443".parse().unwrap(), purpose));
            assert!(!store.allows("8.8.8.8:53".parse().unwrap(), purpose));
        }
        let name = futures::executor::block_on(store.resolve("api.example.com", Some(80)));
        assert!(matches!(name, Err(NoAddress::Refused(Refusal::Name { .. }))));
    }
}
