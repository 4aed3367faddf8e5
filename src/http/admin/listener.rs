//! Connections of the admin listener: few, short, and bounded in time.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};

use super::{ADMIN_BODY_BYTES_MAX, Admin};
use crate::http::{
    body::inbound,
    connection::HEAD_BYTES_MAX,
    timeouts::{Activity, Timed},
};

/// Connections of the admin listener at once. More wait to be accepted.
pub const ADMIN_CONNECTIONS_MAX: usize = 64;

/// How long a client may take for the head of its request; between two pieces of its body; and to take a piece of the
/// response.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to leave a system alone that has no connection to give.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

impl Admin {
    /// Answers whoever connects, one request a connection, until it is dropped; that cuts off what is being answered.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) -> Infallible {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept(), if connections.len() < ADMIN_CONNECTIONS_MAX => match accepted {
                    Ok((stream, peer)) => {
                        connections.spawn(connection(self.clone(), stream, peer));
                    }
                    Err(error) => {
                        tracing::debug!(target: "greenroom::http", %error, "a connection to the admin listener failed");
                        sleep(ACCEPT_AGAIN_AFTER).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn connection(admin: Arc<Admin>, stream: TcpStream, peer: SocketAddr) {
    let service = service_fn(|request: Request<Incoming>| {
        let admin = admin.clone();
        async move {
            let request = request.map(|body| inbound(body, ADMIN_BODY_BYTES_MAX as u64, PATIENCE, None));
            Ok::<_, Infallible>(admin.answer(request).await)
        }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEAD_BYTES_MAX).keep_alive(false);
    let io = TokioIo::new(Timed::new(stream, Arc::new(Activity::new()), PATIENCE));
    if let Err(error) = server.serve_connection(io, service).await {
        tracing::debug!(target: "greenroom::http", %peer, %error, "a connection to the admin listener failed");
    }
}
