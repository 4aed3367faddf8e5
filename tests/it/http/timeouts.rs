//! How long connections may take.

use std::{io::ErrorKind, time::Duration};

use greenroom::registry::http::{ServerSpec, Timeouts};
use tokio::{io::AsyncReadExt, time::timeout};

use super::{PATIENCE, Stage, clients, plain, serve};

/// Short, and yet longer than a slow machine takes between two lines of a test.
const SHORT: Duration = Duration::from_secs(1);

/// Longer than any test waits for what another timeout does.
const LONG: Duration = Duration::from_secs(3600);

const ALL_LONG: Timeouts = Timeouts { read: LONG, write: LONG, idle: LONG };

async fn with(name: &str, timeouts: Timeouts) -> Stage {
    serve(name, ServerSpec { timeouts, ..plain() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_end_closes_the_connection() {
    let stage = with("http-slow-head", Timeouts { read: SHORT, ..ALL_LONG }).await;
    for part in ["", "P", "PRI * HTTP/2.0\r\n", "POST /echo HTTP/1.1\r\nhost: x\r\n"] {
        assert_eq!(stage.raw(part).await, "", "{part:?}");
    }
    // The same is true of those that follow. Their time begins with their first byte.
    let mut raw = stage.connect().await;
    raw.send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(raw.response().await.1, "\"hello\"");
    tokio::time::sleep(SHORT * 2).await;
    raw.send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(raw.response().await.1, "\"hello\"");
    raw.send("GET /hello HTTP/1.1\r\n").await;
    assert_eq!(raw.rest().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_may_be_slow_while_another_request_runs() {
    let stage = with("http-slow-after", Timeouts { read: SHORT, ..ALL_LONG }).await;
    let mut raw = stage.connect().await;
    raw.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
    stage.backstage.began(1).await;
    tokio::time::sleep(SHORT * 3).await;
    stage.backstage.end.add_permits(1);
    assert_eq!(raw.response().await.1, "\"waited\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_whose_pieces_do_not_come_is_an_error() {
    let stage = with("http-slow-body", Timeouts { read: SHORT, ..ALL_LONG }).await;
    let late = stage.raw("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n[1").await;
    assert!(late.starts_with("HTTP/1.1 408"), "{late}");
    // A body may take longer than that in all.
    let mut raw = stage.connect().await;
    raw.send("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n").await;
    for piece in ["[1", ",2", ",3", ",4]"] {
        tokio::time::sleep(SHORT / 2).await;
        raw.send(piece).await;
    }
    let (head, body) = raw.response().await;
    assert!(head.starts_with("http/1.1 200") && body.contains("[1,2,3,4]"), "{head}{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_requests_is_closed() {
    let stage = with("http-idle", Timeouts { idle: SHORT, ..ALL_LONG }).await;
    let mut raw = stage.connect().await;
    raw.send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(raw.response().await.1, "\"hello\"");
    assert_eq!(raw.rest().await, "");

    // A client that has not spoken yet is not idle.
    let mut new = stage.connect().await;
    tokio::time::sleep(SHORT * 2).await;
    new.send("GET /hello HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(new.response().await.1, "\"hello\"");
    // Nor is one whose request runs.
    new.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
    stage.backstage.began(1).await;
    tokio::time::sleep(SHORT * 3).await;
    stage.backstage.end.add_permits(1);
    assert_eq!(new.response().await.1, "\"waited\"");
}

/// The frames of a client of HTTP/2 that asks for one thing and then does no more.
mod frames {
    pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    /// No settings.
    pub const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    /// A window of 0 bytes for every stream.
    pub const NO_WINDOW: &[u8] = &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    pub const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

    /// `GET path`, without more.
    pub fn get(path: &str) -> Vec<u8> {
        // :method GET and :scheme http by their numbers, :path as a literal.
        let mut block = vec![0x82, 0x86, 0x04, path.len() as u8];
        block.extend(path.as_bytes());
        let mut frame = vec![0, 0, block.len() as u8, 1, 5, 0, 0, 0, 1];
        frame.extend(block);
        frame
    }

    pub fn all(frames: &[&[u8]]) -> Vec<u8> {
        frames.concat()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_of_http_2_without_requests_is_closed_even_when_it_pings() {
    let stage = with("http-idle-2", Timeouts { idle: SHORT, ..ALL_LONG }).await;
    let mut raw = stage.connect().await;
    raw.send(frames::all(&[frames::PREFACE, frames::SETTINGS, &frames::get("/hello")])).await;
    let closed = async {
        let mut piece = [0; 4096];
        let mut pings = tokio::time::interval(SHORT / 4);
        let mut all = Vec::new();
        loop {
            tokio::select! {
                _ = pings.tick() => drop(raw.0.try_write(frames::PING)),
                read = raw.0.read(&mut piece) => match read {
                    Ok(0) => break all,
                    Ok(bytes) => all.extend_from_slice(&piece[..bytes]),
                    Err(error) if error.kind() == ErrorKind::ConnectionReset => break all,
                    Err(error) => panic!("{error}"),
                },
            }
        }
    };
    let all = timeout(PATIENCE, closed).await.expect("the connection is closed");
    assert!(all.windows(7).any(|bytes| bytes == b"\"hello\""), "there was a response");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_loses_its_connection() {
    let stage = with("http-write", Timeouts { write: SHORT, ..ALL_LONG }).await;
    let mut raw = stage.connect().await;
    // More than the buffers of both sides hold.
    raw.send("POST /large HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n[60000000]").await;
    let response = async {
        let mut first = [0; 1];
        raw.0.read_exact(&mut first).await.unwrap();
        tokio::time::sleep(SHORT * 4).await;
        let mut rest = Vec::new();
        raw.0.read_to_end(&mut rest).await.map(|_| rest.len())
    };
    match timeout(PATIENCE, response).await.expect("the connection is closed") {
        Ok(bytes) => assert!(bytes < 60_000_000, "{bytes}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    // Those who take it slowly have it.
    let mut slow = stage.connect().await;
    slow.send("POST /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\n[16000000]").await;
    let mut all = 0;
    let mut piece = vec![0; 2 << 20];
    while let bytes @ 1.. = timeout(PATIENCE, slow.0.read(&mut piece)).await.unwrap().unwrap() {
        all += bytes;
        if all % 3 == 0 {
            tokio::time::sleep(SHORT / 4).await;
        }
    }
    assert!(all > 16_000_000, "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_http_2_whose_client_takes_nothing_is_reset() {
    let stage = with("http-write-2", Timeouts { write: SHORT, ..ALL_LONG }).await;
    let mut raw = stage.connect().await;
    raw.send(frames::all(&[frames::PREFACE, frames::NO_WINDOW, &frames::get("/hello")])).await;
    let reset = async {
        let mut all = Vec::new();
        let mut piece = [0; 4096];
        // RST_STREAM of stream 1, with the reason CANCEL.
        while !all.windows(13).any(|frame| frame == [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8]) {
            let bytes = raw.0.read(&mut piece).await.unwrap();
            assert!(bytes > 0, "the connection was closed: {all:?}");
            all.extend_from_slice(&piece[..bytes]);
        }
    };
    timeout(PATIENCE, reset).await.expect("the stream is reset");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_client_went_away_is_dropped() {
    let stage = with("http-gone", ALL_LONG).await;
    let mut raw = stage.connect().await;
    raw.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await;
    stage.backstage.began(1).await;
    drop(raw);
    stage.backstage.dropped(1).await;
    for client in clients() {
        let url = stage.url("/wait");
        let call = tokio::spawn(async move { client.get(url).send().await });
        stage.backstage.began(1).await;
        call.abort();
        stage.backstage.dropped(1).await;
    }
}
