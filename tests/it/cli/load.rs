//! A whole server under load: bodies of any length, more requests than its pool takes, in little memory.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use sha2::{Digest, Sha256};

use reqwest::{Client, StatusCode};

use super::run::Running;
use crate::{http::clients, registry::Root};

const GIB: u64 = 1 << 30;

/// How long one of these requests may take before a test fails rather than hangs.
const LONG: Duration = Duration::from_secs(600);

/// What a server may take for any load, beyond what it has when it idles.
const GROWTH_MAX: u64 = 64 << 20;

/// The memory that a process has now, in bytes; `None` where the system does not say it so.
fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// The most memory that a process had from the first look on, beyond what it had then.
async fn growth_during<T>(process: u32, work: impl Future<Output = T>) -> (T, Option<u64>) {
    let before = resident(process);
    let mut most = before;
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            () = tokio::time::sleep(Duration::from_millis(5)) => most = most.max(resident(process)),
            done = &mut work => {
                most = most.max(resident(process));
                return (done, most.zip(before).map(|(most, before)| most - before));
            }
        }
    }
}

/// A server of the guest whose paths are what a host has to bear, with more lines in its entry.
fn serve(lines: &str) -> (Root, Running, String) {
    let guest = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/actors/tests/guests/relay.wasm")).unwrap();
    let hash: String = Sha256::digest(&guest).iter().map(|byte| format!("{byte:02x}")).collect();
    let root = Root::with(&format!(
        r#"
namespace: s
entries:
  - {{name: files, kind: fs.directory, directory: .}}
  - name: relay
    kind: function.wasm
    fs: files
    path: /relay.wasm
    hash: sha256:{hash}
    method: handle
    transport: wasi-http
    imports: [wasi:clocks, wasi:cli]
    {lines}
  - {{name: all, kind: http.endpoint, method: "*", path: "/{{rest...}}", func: relay}}
"#
    ));
    root.write("relay.wasm", guest);
    let path = root.path().to_str().unwrap().to_owned();
    let mut run = Running::start(&["--metrics", "off", "--listen", "127.0.0.1:0", &path]);
    let (address, _) = run.address();
    (root, run, format!("http://{address}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_goes_through_a_guest_each_way_in_little_memory() {
    let (_root, run, address) = serve("limits: {max_body_bytes: 2147483648}");
    for client in clients() {
        let url = |path: &str| format!("{address}{path}");
        // The first request makes what stays.
        client.get(url("/stream?bytes=10000000")).send().await.unwrap().bytes().await.unwrap();

        let down = async {
            let mut body =
                client.get(url(&format!("/stream?bytes={GIB}"))).timeout(LONG).send().await.unwrap().bytes_stream();
            let mut bytes = 0;
            while let Some(piece) = body.next().await {
                bytes += piece.unwrap().len() as u64;
            }
            bytes
        };
        let (bytes, growth) = growth_during(run.id(), down).await;
        assert_eq!(bytes, GIB);
        assert_small(growth, "down");

        let piece = Bytes::from(vec![b'x'; 64 << 10]);
        let pieces = futures::stream::repeat(piece).take((GIB >> 16) as usize).map(Ok::<_, std::io::Error>);
        let up = client.post(url("/count")).timeout(LONG).body(reqwest::Body::wrap_stream(pieces)).send();
        let (answer, growth) = growth_during(run.id(), async { up.await.unwrap().text().await.unwrap() }).await;
        assert_eq!(answer, format!("{GIB}\n"));
        assert_small(growth, "up");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_the_pool_takes_are_each_answered_at_once_or_in_turn() {
    const CAPACITY: usize = 16;
    const REQUESTS: usize = 20_000;
    let (_root, run, address) = serve("pool: {type: static, workers: 4, size: 4, buffer: 12}");
    let url = format!("{address}/sleep?ms=2");
    let [client, _] = clients();
    client.get(&url).send().await.unwrap();
    let work = async {
        let asking = (0..4 * CAPACITY).map(|_| {
            let (client, url) = (client.clone(), url.clone());
            tokio::spawn(async move { ask(&client, &url, REQUESTS / (4 * CAPACITY)).await })
        });
        let (mut served, mut refused) = (0, 0);
        for asking in asking.collect::<Vec<_>>() {
            let counted = asking.await.unwrap();
            (served, refused) = (served + counted.0, refused + counted.1);
        }
        (served, refused)
    };
    let ((served, refused), growth) = growth_during(run.id(), work).await;
    assert_eq!(served + refused, REQUESTS / (4 * CAPACITY) * 4 * CAPACITY);
    assert!(served > 0 && refused > 0, "{served} served, {refused} refused");
    assert_small(growth, "overload");
}

/// Asks so many times in turn: how many were served, and how many were told to come again.
async fn ask(client: &Client, url: &str, times: usize) -> (usize, usize) {
    let mut counted = (0, 0);
    for _ in 0..times {
        let response = client.get(url).timeout(LONG).send().await.unwrap();
        match response.status() {
            StatusCode::OK => counted.0 += 1,
            StatusCode::SERVICE_UNAVAILABLE => {
                assert_eq!(response.headers()["retry-after"], "1");
                counted.1 += 1;
            }
            other => panic!("{other}: {}", response.text().await.unwrap()),
        }
        response.bytes().await.unwrap();
    }
    counted
}

fn assert_small(growth: Option<u64>, way: &str) {
    match growth {
        Some(growth) => assert!(growth < GROWTH_MAX, "{way}: {} MiB more than when it idled", growth >> 20),
        None => {
            use std::io::Write;
            std::io::stderr().write_all(b"skipped: this system does not say how much memory a process has\n").unwrap();
        }
    }
}
