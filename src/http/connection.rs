//! One connection, from its first byte to its last: HTTP/1.1 or HTTP/2, its bounds and its end. Requests are the business
//! of `service`, how long things may take that of `timeouts`.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    Options,
    room::Room,
    routes::Routes,
    server::{BindError, Stage},
    service::respond,
    streams::Streams,
    timeouts::{Activity, Timed},
    tls::acceptor,
};
use crate::{
    Runtime,
    registry::http::{ServerSpec, Timeouts},
};

/// Connections of one server at once, unless [`Options`] say otherwise. More wait to be accepted.
pub const CONNECTIONS_MAX: usize = 10_000;

/// The head of a request, in bytes. A larger one is answered 431.
pub const HEAD_BYTES_MAX: usize = 64 << 10;

/// Headers of a request. More are answered 431.
pub const HEADERS_MAX: usize = 100;

/// Requests at once on one connection of HTTP/2. Clients are told, and wait.
pub const STREAMS_MAX: u32 = 200;

/// How long a connection on which nothing was said yet may still say something when the servers stop: its request may be
/// on the way.
const LAST_WORD: Duration = Duration::from_millis(100);

/// Shorter timeouts would be nothing but looking at the clock, and are as this one is.
const TIMEOUT_MIN: Duration = Duration::from_millis(10);

/// Longer timeouts would be beyond what clocks can tell, and are as this one is.
const TIMEOUT_MAX: Duration = Duration::from_hours(24 * 365);

/// Everything that the connections of one server share.
pub(super) struct Site {
    pub(super) routes: Routes,
    pub(super) timeouts: Timeouts,
    pub(super) dev: bool,
    pub(super) connections_max: usize,
    pub(super) room: Arc<Room>,
    /// On whose threads connections are served; none where their server's are meant.
    beside: Option<greenroom_actors::Runtime>,
    http: auto::Builder<Streams>,
    tls: Option<TlsAcceptor>,
}

impl Site {
    /// Makes everything ready that requests will need.
    pub(super) fn new(runtime: &Runtime, spec: &ServerSpec, options: &Options) -> Result<Self, BindError> {
        let bounded = |timeout: Duration| timeout.clamp(TIMEOUT_MIN, TIMEOUT_MAX);
        let Timeouts { read, write, idle } = spec.timeouts;
        let timeouts = Timeouts { read: bounded(read), write: bounded(write), idle: bounded(idle) };
        let mut http = auto::Builder::new(Streams { write: timeouts.write });
        // `Activity` knows better than hyper when a head is late.
        http.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEAD_BYTES_MAX as u32);
        let tls = spec.tls.as_ref().map(|tls| acceptor(spec.id.as_ref(), tls)).transpose()?;
        let routes = Routes::new(runtime, spec)?;
        let room = Room::new(options.body_bytes, routes.held_bytes_max());
        let connections_max = options.connections.max(1);
        let beside = options.beside_functions.then(|| (**runtime).clone());
        Ok(Self { routes, timeouts, dev: options.dev, connections_max, room, beside, http, tls })
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

/// Serves a client that has just connected, to the end, on the threads that the site has for it. Returns how many of its
/// requests were cut off.
///
/// Dropping this leaves the connection to end when the stages do.
pub(super) async fn connected(
    site: Arc<Site>,
    stream: TcpStream,
    peer: SocketAddr,
    stages: watch::Receiver<Stage>,
) -> io::Result<usize> {
    let Some(functions) = site.beside.clone() else { return Ok(greet(site, stream, peer, stages).await) };
    let served = functions.spawn_beside(async move {
        // A socket wakes the thread that it was last made on.
        let stream = TcpStream::from_std(stream.into_std()?)?;
        Ok(greet(site, stream, peer, stages).await)
    });
    served.await?
}

/// Comes to terms with a client on how to speak, and speaks.
async fn greet(site: Arc<Site>, stream: TcpStream, peer: SocketAddr, stages: watch::Receiver<Stage>) -> usize {
    if let Err(error) = stream.set_nodelay(true) {
        // The client is gone already.
        tracing::trace!(target: "greenroom::http", %peer, %error, "a connection was gone at once");
    }
    let Some(tls) = site.tls.clone() else { return speak(site, stream, peer, stages).await };
    let mut stopping = stages.clone();
    let stopped = async {
        // Whoever does not say what it wants has nothing to be finished.
        drop(stopping.wait_for(|stage| *stage != Stage::Open).await);
        sleep(LAST_WORD).await;
    };
    let shaken = tokio::select! {
        shaken = timeout(site.timeouts.read, tls.accept(stream)) => shaken,
        () = stopped => return 0,
    };
    match shaken {
        Ok(Ok(stream)) => speak(site, stream, peer, stages).await,
        Ok(Err(error)) => {
            tracing::debug!(target: "greenroom::http", %peer, %error, "a TLS handshake failed");
            0
        }
        Err(_) => {
            tracing::debug!(target: "greenroom::http", %peer, "a TLS handshake took too long");
            0
        }
    }
}

/// Speaks HTTP on a connection, until either side ends it.
async fn speak<S>(site: Arc<Site>, stream: S, peer: SocketAddr, stages: watch::Receiver<Stage>) -> usize
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new());
    let io = TokioIo::new(Timed::new(stream, activity.clone(), site.timeouts.write));
    let service = service_fn(|request: Request<Incoming>| respond(site.clone(), activity.clone(), peer, request));
    let mut connection = std::pin::pin!(site.http.serve_connection(io, service));
    let mut watch = std::pin::pin!(sleep_until(activity.look_at(&site.timeouts)));
    let mut stage = Stage::Open;
    loop {
        let next = async {
            let mut stages = stages.clone();
            stages.wait_for(|next| *next > stage).await.map_or(Stage::Cut, |next| *next)
        };
        tokio::select! {
            biased;
            // First, so that what is answered from now on says that the connection closes.
            next = next => {
                stage = next;
                if stage == Stage::Cut {
                    return activity.in_flight();
                }
                if activity.is_new() {
                    tokio::select! {
                        _ = connection.as_mut() => return 0,
                        () = sleep(LAST_WORD) => {}
                    }
                }
                connection.as_mut().graceful_shutdown();
            }
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(target: "greenroom::http", %peer, error = error.as_ref(), "a connection failed");
                }
                return 0;
            }
            // A head that is on its way when the servers stop may still come, and is not waited for.
            () = sleep(LAST_WORD), if stage == Stage::Draining && activity.awaits_head() => {
                if activity.awaits_head() {
                    return 0;
                }
            }
            () = watch.as_mut() => {
                let now = Instant::now();
                if activity.is_late(&site.timeouts, now) {
                    tracing::debug!(target: "greenroom::http", %peer, "a connection was idle or slow");
                    return 0;
                }
                watch.as_mut().reset(activity.look_at(&site.timeouts));
            }
        }
    }
}
