//! The servers of a registry as a whole: bound together, served together, stopped together. What happens at one listener
//! is the business of `listener`.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use greenroom_actors::spec::FunctionId;
use tokio::{net::TcpListener, sync::watch, task::JoinSet, time::timeout};

use super::{
    connection::{CONNECTIONS_MAX, Site},
    listener::{bind, listen},
    room::BODIES_BYTES_MAX,
};
use crate::{Runtime, registry::http::ServerSpec};

/// How servers are served, beyond what the registry says.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the default server listens, `host:port`, in place of [`ServerSpec::ADDRESS`]. Default is none.
    pub listen: Option<String>,
    /// Whether clients see what is otherwise in the log alone, such as backtraces. Default is false.
    pub dev: bool,
    /// Connections of each server at once. More wait to be accepted. Default is [`CONNECTIONS_MAX`].
    pub connections: usize,
    /// What a server holds of requests while their calls wait or run, in bytes, all together: bodies, and the arguments that
    /// are made of them; bodies that stream through their function are held by nobody. Requests beyond that are told to
    /// come again. One that its function takes always fits. Default is [`BODIES_BYTES_MAX`].
    pub body_bytes: u64,
    /// Whether connections are served on the guest threads, beside the functions that they ask for. A request then wakes no
    /// other thread, and waits for a millisecond at most for each guest that computes on its thread. Otherwise they are
    /// served where [`Servers::serve`] is called. Default is true.
    pub beside_functions: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: None,
            dev: false,
            connections: CONNECTIONS_MAX,
            body_bytes: BODIES_BYTES_MAX,
            beside_functions: true,
        }
    }
}

/// Why servers cannot be served. None of them listens then.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// An address cannot be listened on.
    #[error("{}", cannot_listen(.id.as_ref(), .address, .error))]
    Address {
        /// The `http.service` entry; `None` for the default server.
        id: Option<FunctionId>,
        /// The address.
        address: String,
        /// What the system says: part of the message, and so no source beside it.
        error: io::Error,
    },
    /// [`Options::listen`] is given, and nothing belongs to a default server.
    #[error("there is no default server to listen on {address}: {}", match .servers.as_slice() {
        [] => "the registry has no endpoints, no routers and no static files".to_owned(),
        servers => format!("everything belongs to {}; change its `addr`", list(servers)),
    })]
    NoDefault {
        /// The address that was asked for.
        address: String,
        /// The servers that there are.
        servers: Vec<FunctionId>,
    },
    /// An entry cannot be served as it is.
    #[error("{}{message}", .id.as_ref().map(|id| format!("{id}: {field}: ")).unwrap_or_default())]
    Entry {
        /// The entry; `None` for what has none, such as the default router.
        id: Option<FunctionId>,
        /// The field that is at fault.
        field: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

fn cannot_listen(id: Option<&FunctionId>, address: &str, error: &io::Error) -> String {
    let advice = match id {
        None => "choose another with --listen HOST:PORT".to_owned(),
        Some(id) => format!("choose another `addr` in {id}"),
    };
    match error.kind() {
        io::ErrorKind::AddrInUse => format!("address in use: {address}; {advice}"),
        _ => format!("cannot listen on {address}: {error}; {advice}"),
    }
}

fn list(ids: &[FunctionId]) -> String {
    ids.iter().map(FunctionId::as_str).collect::<Vec<_>>().join(", ")
}

/// Where the servers are in their life. In the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Everybody is welcome.
    Open,
    /// Nobody new is; what is begun is finished.
    Draining,
    /// What is not finished by now never will be.
    Cut,
}

/// Servers that listen, and do not answer yet: who connects waits. Default is none.
#[derive(Default)]
pub struct Servers(Vec<Bound>);

struct Bound {
    id: Option<FunctionId>,
    listener: TcpListener,
    address: SocketAddr,
    site: Arc<Site>,
}

impl Servers {
    /// Listens for all of these servers, or for none. Everything that requests will need is made ready here.
    ///
    /// # Errors
    /// The first entry that cannot be served, or address that cannot be listened on, and what to do.
    pub async fn bind(runtime: &Runtime, specs: &[ServerSpec], options: &Options) -> Result<Self, BindError> {
        if let Some(address) = options.listen.as_ref().filter(|_| specs.iter().all(|spec| spec.id.is_some())) {
            let servers = specs.iter().filter_map(|spec| spec.id.clone()).collect();
            return Err(BindError::NoDefault { address: address.clone(), servers });
        }
        let mut sites = Vec::with_capacity(specs.len());
        for spec in specs {
            sites.push(Arc::new(Site::new(runtime, spec, options)?));
        }
        let mut bound = Vec::with_capacity(specs.len());
        for (spec, site) in specs.iter().zip(sites) {
            let address = match (&spec.id, &options.listen) {
                (None, Some(listen)) => listen,
                _ => &spec.addr,
            };
            let failed = |error| BindError::Address { id: spec.id.clone(), address: address.clone(), error };
            let listener = bind(address).await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            bound.push(Bound { id: spec.id.clone(), listener, address, site });
        }
        Ok(Self(bound))
    }

    /// Which entry listens where; `None` is the default server. In the order in which they were given.
    pub fn addresses(&self) -> Vec<(Option<FunctionId>, SocketAddr)> {
        self.0.iter().map(|bound| (bound.id.clone(), bound.address)).collect()
    }

    /// Accepts connections from now on, on tasks of the tokio runtime that this is called on, until it is told to
    /// [stop](Serving::stop) or dropped. Where they are served, [`Options::beside_functions`] says.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn serve(self) -> Serving {
        let (stage, stages) = watch::channel(Stage::Open);
        let mut listeners = JoinSet::new();
        for Bound { listener, site, .. } in self.0 {
            listeners.spawn(listen(site, listener, stages.clone()));
        }
        Serving { stage, listeners, cut_off: 0 }
    }
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Servers").field(&self.addresses()).finish()
    }
}

/// Servers that answer. Dropping it ends them, and cuts off every request.
#[derive(Debug)]
pub struct Serving {
    stage: watch::Sender<Stage>,
    listeners: JoinSet<usize>,
    cut_off: usize,
}

impl Serving {
    /// Accepts no more connections, closes those that are idle, and lets the requests that were begun finish, for this
    /// long; then cuts them off. Returns how many were. Clients hear of the end by `connection: close` or GOAWAY.
    ///
    /// When the future is dropped, what is left goes on finishing, and another call may set another bound.
    pub async fn stop(&mut self, within: Duration) -> usize {
        self.stage.send_if_modified(|stage| {
            let open = *stage == Stage::Open;
            *stage = (*stage).max(Stage::Draining);
            open
        });
        if timeout(within, self.ended()).await.is_err() {
            self.stage.send_replace(Stage::Cut);
            self.ended().await;
        }
        self.cut_off
    }

    async fn ended(&mut self) {
        while let Some(ended) = self.listeners.join_next().await {
            match ended {
                Ok(cut_off) => self.cut_off += cut_off,
                Err(error) => tracing::error!(target: "greenroom::http", %error, "a listener failed"),
            }
        }
    }
}
