//! One listener: accepts connections, owns their tasks, and waits for them at the end. What is said on a connection is the
//! business of `connection`.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, lookup_host},
    sync::watch,
    task::{JoinError, JoinSet},
    time::sleep,
};

use super::{
    connection::{Site, connected},
    server::Stage,
};

/// How long to leave a system alone that has no connection to give, such as one out of file descriptors.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How long connections that are cut off may take to see it.
const CUT_MAX: Duration = Duration::from_secs(5);

/// Clients that may wait to be accepted. The system's own bound is what counts where it is lower.
const BACKLOG: u32 = 4_096;

/// Binds the first address of this name that can be had.
pub(super) async fn bind(address: &str) -> io::Result<TcpListener> {
    let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "it is the address of nothing");
    for address in lookup_host(address).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // As every listener has it where ports of connections that have ended are not given anew for a while.
        #[cfg(not(windows))]
        socket.set_reuseaddr(true)?;
        match socket.bind(address).and_then(|()| socket.listen(BACKLOG)) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Accepts until the stage says otherwise; then waits for the connections. Returns how many requests were cut off.
pub(super) async fn listen(site: Arc<Site>, listener: TcpListener, mut stages: watch::Receiver<Stage>) -> usize {
    let connections_max = site.connections_max;
    let mut connections = JoinSet::new();
    // Whether the last one could not be accepted, so that the log says it once and not all the time.
    let mut failing = false;
    let all = stages.clone();
    let accept = |connections: &mut JoinSet<io::Result<usize>>, stream: TcpStream, peer: SocketAddr| {
        connections.spawn(connected(site.clone(), stream, peer, all.clone()));
    };
    loop {
        tokio::select! {
            // Nobody tells of the end when the servers are dropped.
            _ = stages.changed() => break,
            accepted = listener.accept(), if connections.len() < connections_max => match accepted {
                Ok((stream, peer)) => {
                    failing = false;
                    accept(&mut connections, stream, peer);
                }
                Err(error) if of_one_connection(&error) => {}
                Err(error) => {
                    if !failing {
                        tracing::warn!(target: "greenroom::http", %error, "connections cannot be accepted");
                    }
                    failing = true;
                    sleep(ACCEPT_AGAIN_AFTER).await;
                }
            },
            Some(ended) = connections.join_next() => {
                reap(ended);
            }
        }
    }
    // Whoever has connected by now is still answered; whoever comes later is refused.
    if let Ok(listener) = listener.into_std() {
        while connections.len() < connections_max
            && let Ok((stream, peer)) = listener.accept()
        {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                accept(&mut connections, stream, peer);
            }
        }
    }
    let mut cut_off = 0;
    let mut given_up = pin!(async {
        drop(stages.wait_for(|stage| *stage == Stage::Cut).await);
        sleep(CUT_MAX).await;
    });
    loop {
        tokio::select! {
            ended = connections.join_next() => match ended {
                Some(ended) => cut_off += reap(ended),
                None => return cut_off,
            },
            // Code on the guest threads may keep theirs from seeing that it is over.
            () = &mut given_up => return cut_off + connections.len(),
        }
    }
}

/// Whether accepting failed because of the one who connected, and can go on at once.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

fn reap(ended: Result<io::Result<usize>, JoinError>) -> usize {
    ended.map_err(io::Error::from).flatten().unwrap_or_else(|error| {
        tracing::error!(target: "greenroom::http", %error, "a connection failed");
        0
    })
}
