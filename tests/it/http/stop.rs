//! The end of servers: what was begun is finished, and nothing is begun any more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use greenroom::registry::http::{ClientAuth, ServerSpec, TlsSpec};
use tokio::{io::AsyncReadExt, net::TcpStream, task::JoinSet, time::timeout};

use super::{PATIENCE, Stage, clients, plain, serve};

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_run_are_finished_and_the_connection_is_closed_after_them() {
    let mut stage = serve("http-stop", plain()).await;
    let calls: Vec<_> =
        clients().into_iter().map(|client| tokio::spawn(client.get(stage.url("/wait")).send())).collect();
    let mut raw = stage.connect().await;
    raw.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
    stage.backstage.began(3).await;

    let backstage = stage.backstage.clone();
    let address = stage.address;
    let others = async move {
        // Nobody new is let in.
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        backstage.end.add_permits(3);
    };
    let (cut_off, ()) = tokio::join!(stage.serving.stop(PATIENCE), timeout_of(others));
    assert_eq!(cut_off, 0);
    for call in calls {
        let response = call.await.unwrap().unwrap();
        assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (200, "\"waited\""));
    }
    let answer = raw.rest().await.to_lowercase();
    assert!(answer.contains("\r\nconnection: close\r\n") && answer.ends_with("\"waited\""), "{answer}");
}

async fn timeout_of<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("this ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_has_not_asked_is_waited_for() {
    let patient = |mut spec: ServerSpec| {
        spec.timeouts.read = PATIENCE * 60;
        spec
    };
    let mut stage = serve("http-stop-half", patient(plain())).await;
    let mut half = stage.connect().await;
    half.send("GET /hello HTTP/1.1\r\nhos").await;
    let mut next = stage.connect().await;
    next.send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\nGET /hel").await;
    assert_eq!(next.response().await.1, "\"hello\"");
    assert_eq!(timeout_of(stage.serving.stop(PATIENCE * 60)).await, 0);
    assert_eq!((half.rest().await, next.rest().await), (String::new(), String::new()));

    let (cert, key) = super::tls::Authority::new().sign("localhost");
    let tls = TlsSpec { cert, key, client_ca: None, client_auth: ClientAuth::None };
    let mut stage = serve("http-stop-handshake", patient(ServerSpec { tls: Some(tls), ..plain() })).await;
    let mut silent = stage.connect().await;
    assert_eq!(timeout_of(stage.serving.stop(PATIENCE * 60)).await, 0);
    assert_eq!(silent.rest().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_without_requests_are_closed_at_once() {
    let mut stage = serve("http-stop-idle", plain()).await;
    let mut silent = stage.connect().await;
    let mut idle = stage.connect().await;
    idle.send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(idle.response().await.1, "\"hello\"");
    let [_, http2] = clients();
    assert_eq!(http2.get(stage.url("/hello")).send().await.unwrap().status(), 200);
    // Far less than any timeout of the server.
    assert_eq!(timeout_of(stage.serving.stop(PATIENCE * 60)).await, 0);
    assert_eq!(idle.rest().await, "");
    assert_eq!(silent.rest().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_outlast_the_deadline_are_cut_off_and_counted() {
    let mut stage = serve("http-stop-cut", plain()).await;
    let calls: Vec<_> =
        clients().into_iter().map(|client| tokio::spawn(client.get(stage.url("/wait")).send())).collect();
    stage.backstage.began(2).await;
    assert_eq!(timeout_of(stage.serving.stop(Duration::from_millis(50))).await, 2);
    stage.backstage.dropped(2).await;
    for call in calls {
        assert!(call.await.unwrap().is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_again_with_less_patience_ends_it() {
    let mut stage = serve("http-stop-again", plain()).await;
    let call = tokio::spawn(clients()[0].get(stage.url("/wait")).send());
    stage.backstage.began(1).await;
    assert!(timeout(Duration::from_millis(50), stage.serving.stop(PATIENCE * 60)).await.is_err());
    assert_eq!(timeout_of(stage.serving.stop(Duration::ZERO)).await, 1);
    assert!(call.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_the_servers_ends_them() {
    let Stage { serving, address, backstage, runtime: _runtime } = serve("http-stop-drop", plain()).await;
    let call = tokio::spawn(clients()[0].get(format!("http://{address}/wait")).send());
    backstage.began(1).await;
    drop(serving);
    backstage.dropped(1).await;
    assert!(call.await.unwrap().is_err());
}

/// Asks again and again on one connection, and says how many whole responses there were. What a client must not meet is
/// half of one.
async fn hammer(address: std::net::SocketAddr, answered: Arc<AtomicUsize>, over: Arc<AtomicBool>) {
    const REQUEST: &[u8] = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n[7]";
    while !over.load(Ordering::SeqCst) {
        let Ok(mut stream) = TcpStream::connect(address).await else { break };
        loop {
            if tokio::io::AsyncWriteExt::write_all(&mut stream, REQUEST).await.is_err() {
                break;
            }
            let mut all = Vec::new();
            let mut piece = [0; 2048];
            let whole = loop {
                let read = stream.read(&mut piece).await.unwrap_or(0);
                all.extend_from_slice(&piece[..read]);
                let text = String::from_utf8_lossy(&all);
                if text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.ends_with('}')) {
                    assert!(text.starts_with("HTTP/1.1 200") && text.contains("[7]"), "{text}");
                    break true;
                }
                if read == 0 {
                    assert!(all.is_empty(), "half a response: {text}");
                    break false;
                }
            };
            if !whole {
                break;
            }
            answered.fetch_add(1, Ordering::SeqCst);
            if String::from_utf8_lossy(&all).to_lowercase().contains("connection: close") {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_every_request_has_a_whole_response_or_none() {
    for round in 0..5 {
        let mut stage = serve(&format!("http-stop-load-{round}"), plain()).await;
        let answered = Arc::new(AtomicUsize::new(0));
        let over = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for _ in 0..20 {
            clients.spawn(hammer(stage.address, answered.clone(), over.clone()));
        }
        let enough = async {
            while answered.load(Ordering::SeqCst) < 200 {
                tokio::task::yield_now().await;
            }
        };
        timeout_of(enough).await;
        assert_eq!(timeout_of(stage.serving.stop(PATIENCE)).await, 0);
        over.store(true, Ordering::SeqCst);
        timeout_of(clients.join_all()).await;
    }
}

/// On one thread, so that the server sees nothing of them before it is told to stop.
#[tokio::test]
async fn whoever_has_asked_before_the_end_is_answered() {
    let mut stage = serve("http-stop-backlog", plain()).await;
    let ask = |_| {
        let mut stream = std::net::TcpStream::connect(stage.address).unwrap();
        std::io::Write::write_all(&mut stream, b"GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        stream
    };
    let clients: Vec<_> = (0..20).map(ask).collect();
    assert_eq!(timeout_of(stage.serving.stop(PATIENCE)).await, 0);
    for mut stream in clients {
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\"hello\""), "{answer:?}");
    }
}
