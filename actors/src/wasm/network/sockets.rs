//! `wasi:sockets`: sockets are wasmtime's, bounded in number; names are looked up by us.

use std::{net::IpAddr, pin::Pin, sync::Arc, vec};

use url::Host;
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource, ResourceTable, ResourceType},
};
use wasmtime_wasi::{
    p2::{
        DynPollable, Network, Pollable, SocketError, TcpSocket, UdpSocket,
        bindings::sockets::{
            network::{ErrorCode, IpAddress, IpAddressFamily},
            tcp_create_socket, udp_create_socket,
        },
        subscribe,
    },
    runtime::{AbortOnDropJoinHandle, poll_noop, spawn},
    sockets::WasiSocketsView as _,
};

use super::{NoAddress, StoreNetwork, policy::Refusal};
use crate::wasm::host::GuestState;

/// TCP sockets, UDP sockets and name look-ups, each, that one instance may hold at once.
pub const SOCKETS_MAX: usize = 128;

/// Links what [`wasmtime_wasi`] does not do as we do: `ip-name-lookup` and the two that create sockets.
pub(in super::super) fn link(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    let mut lookup = linker.instance("wasi:sockets/ip-name-lookup@0.2.12")?;
    lookup.resource("resolve-address-stream", ResourceType::host::<AddressStream>(), |mut store, rep| {
        store.data_mut().table().delete(Resource::<AddressStream>::new_own(rep))?;
        Ok(())
    })?;
    lookup.func_wrap("resolve-addresses", |mut store: Store<'_>, (network, name): (Resource<Network>, String)| {
        let state = store.data_mut();
        state.table().get(&network)?;
        Ok((resolve_addresses(state, &name)?,))
    })?;
    lookup.func_wrap(
        "[method]resolve-address-stream.resolve-next-address",
        |mut store: Store<'_>, (stream,): (Resource<AddressStream>,)| {
            Ok((store.data_mut().table().get_mut(&stream)?.next(),))
        },
    )?;
    lookup.func_wrap(
        "[method]resolve-address-stream.subscribe",
        |mut store: Store<'_>, (stream,): (Resource<AddressStream>,)| {
            let pollable: Resource<DynPollable> = subscribe(store.data_mut().table(), stream)?;
            Ok((pollable,))
        },
    )?;
    linker.instance("wasi:sockets/tcp-create-socket@0.2.12")?.func_wrap(
        "create-tcp-socket",
        |mut store: Store<'_>, (family,): (IpAddressFamily,)| {
            let state = store.data_mut();
            if is_full::<TcpSocket>(state.table()) {
                return Ok((Err(ErrorCode::NewSocketLimit),));
            }
            Ok((coded(tcp_create_socket::Host::create_tcp_socket(&mut state.sockets(), family))?,))
        },
    )?;
    linker.instance("wasi:sockets/udp-create-socket@0.2.12")?.func_wrap_async(
        "create-udp-socket",
        |mut store: Store<'_>, (family,): (IpAddressFamily,)| {
            Box::new(async move {
                let state = store.data_mut();
                if is_full::<UdpSocket>(state.table()) {
                    return Ok((Err(ErrorCode::NewSocketLimit),));
                }
                Ok((coded(udp_create_socket::Host::create_udp_socket(&mut state.sockets(), family).await)?,))
            })
        },
    )
}

type Store<'a> = StoreContextMut<'a, GuestState>;

fn is_full<T: 'static>(table: &mut ResourceTable) -> bool {
    table.iter_mut().filter(|entry| entry.is::<T>()).count() >= SOCKETS_MAX
}

/// An error that the guest sees; others fail its call.
fn coded<T>(result: Result<T, SocketError>) -> wasmtime::Result<Result<T, ErrorCode>> {
    result.map_or_else(|error| error.downcast().map(Err), |value| Ok(Ok(value)))
}

fn resolve_addresses(
    state: &mut GuestState,
    name: &str,
) -> wasmtime::Result<Result<Resource<AddressStream>, ErrorCode>> {
    if is_full::<AddressStream>(state.table()) {
        return Ok(Err(ErrorCode::TemporaryResolverFailure));
    }
    let stream = match begin(state.network(), name) {
        Ok(stream) => stream,
        Err(code) => return Ok(Err(code)),
    };
    Ok(Ok(state.table().push(stream)?))
}

fn begin(network: &Arc<StoreNetwork>, name: &str) -> Result<AddressStream, ErrorCode> {
    let literal = |address: IpAddr| match network.function.policy.literal(address) {
        Ok(()) => Ok(AddressStream::Found(vec![address].into_iter())),
        Err(refusal) => {
            network.function.log.refused(&refusal);
            Err(ErrorCode::AccessDenied)
        }
    };
    // An IPv6 address has brackets in a URL, and none here.
    if let Ok(address) = name.parse::<IpAddr>() {
        return literal(address);
    }
    let name = match Host::parse(name) {
        Ok(Host::Domain(name)) => name,
        Ok(Host::Ipv4(address)) => return literal(address.into()),
        Ok(Host::Ipv6(address)) => return literal(address.into()),
        Err(_) => return Err(ErrorCode::InvalidArgument),
    };
    if !network.function.policy.name(&name, None) {
        network.function.log.refused(&Refusal::Name { name, port: None });
        return Err(ErrorCode::AccessDenied);
    }
    let network = Arc::clone(network);
    Ok(AddressStream::Looking(spawn(async move {
        let found = network.resolve(&name, None).await.map_err(|reason| match reason {
            NoAddress::Refused(_) => ErrorCode::AccessDenied,
            NoAddress::Unresolvable(error) => {
                tracing::debug!("{name} cannot be resolved: {error}");
                ErrorCode::NameUnresolvable
            }
        })?;
        network.remember(&name, &found);
        Ok(found)
    })))
}

/// The answers of a look-up: `resolve-address-stream`.
enum AddressStream {
    Looking(AbortOnDropJoinHandle<Result<Vec<IpAddr>, ErrorCode>>),
    Found(vec::IntoIter<IpAddr>),
    Failed(ErrorCode),
}

impl AddressStream {
    fn settle(&mut self, outcome: Result<Vec<IpAddr>, ErrorCode>) {
        *self = outcome.map_or_else(Self::Failed, |found| Self::Found(found.into_iter()));
    }

    fn next(&mut self) -> Result<Option<IpAddress>, ErrorCode> {
        if let Self::Looking(task) = self {
            let outcome = poll_noop(Pin::new(task)).ok_or(ErrorCode::WouldBlock)?;
            self.settle(outcome);
        }
        match self {
            Self::Found(addresses) => Ok(addresses.next().map(IpAddress::from)),
            Self::Failed(code) => Err(*code),
            Self::Looking(_) => Err(ErrorCode::WouldBlock),
        }
    }
}

#[async_trait::async_trait]
impl Pollable for AddressStream {
    async fn ready(&mut self) {
        if let Self::Looking(task) = self {
            let outcome = task.await;
            self.settle(outcome);
        }
    }
}
