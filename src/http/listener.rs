//! One listener: accepts connections, owns their tasks, and waits for them at the end. What is said on a connection is the
//! business of `connection`.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinError, JoinSet},
    time::sleep,
};

use super::{
    connection::{CONNECTIONS_MAX, Site, connected},
    server::Stage,
};

/// How long to leave a system alone that has no connection to give, such as one out of file descriptors.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Accepts until the stage says otherwise; then waits for the connections. Returns how many requests were cut off.
pub(super) async fn listen(site: Arc<Site>, listener: TcpListener, mut stages: watch::Receiver<Stage>) -> usize {
    let mut connections = JoinSet::new();
    let all = stages.clone();
    let accept = |connections: &mut JoinSet<usize>, stream: TcpStream, peer: SocketAddr| {
        connections.spawn(connected(site.clone(), stream, peer, all.clone()));
    };
    loop {
        tokio::select! {
            // Nobody tells of the end when the servers are dropped.
            _ = stages.changed() => break,
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, peer)) => accept(&mut connections, stream, peer),
                Err(error) if of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(target: "greenroom::http", %error, "connections cannot be accepted");
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
        while connections.len() < CONNECTIONS_MAX
            && let Ok((stream, peer)) = listener.accept()
        {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                accept(&mut connections, stream, peer);
            }
        }
    }
    let mut cut_off = 0;
    while let Some(ended) = connections.join_next().await {
        cut_off += reap(ended);
    }
    cut_off
}

/// Whether accepting failed because of the one who connected, and can go on at once.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

fn reap(ended: Result<usize, JoinError>) -> usize {
    ended.unwrap_or_else(|error| {
        tracing::error!(target: "greenroom::http", %error, "a connection failed");
        0
    })
}
