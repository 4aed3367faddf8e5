//! The admin listener of `greenroom run`: when it is there, and for whom.

use std::{
    fs,
    net::TcpStream,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    greenroom,
    run::{Running, exchange, faulty, request, signal},
};
use crate::http::PATIENCE;

fn status(answer: &(String, String)) -> &str {
    answer.0.split(' ').nth(1).unwrap()
}

/// Waits until something is so, and fails the test when it does not come to be.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it did not come to be: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn call(id: &str, token: &str) -> String {
    format!("POST /call/{id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 2\r\n\r\n[]")
}

#[cfg(unix)]
#[test]
fn a_run_is_ready_from_its_start_until_a_signal_ends_it() {
    let root = faulty();
    fs::write(root.path().join("token"), "s3cret\n").unwrap();
    let token = root.path().join("token");
    let path = root.path();
    let listen = ["--metrics", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--drain", "10m"];
    let args = ["--admin-token-file", token.to_str().unwrap(), path.to_str().unwrap()];
    let mut run = Running::start(&[&listen[..], &args].concat());
    let address = run.metrics_address();
    assert_eq!(status(&request(&address, "GET /healthz")), "200");
    run.wait_for("listening on http://");
    // The server listens a moment before it is said to be ready.
    until("ready", || status(&request(&address, "GET /readyz")) != "503");
    let readiness = request(&address, "GET /readyz");
    assert_eq!(serde_json::from_str::<Value>(&readiness.1).unwrap(), json!({"status": "ready", "degraded": []}));

    assert_eq!(status(&exchange(&address, &call("myns:trap", "wrong"))), "401");
    let trapped = exchange(&address, &call("myns:trap", "s3cret"));
    assert_eq!(status(&trapped), "500");
    assert!(!trapped.1.contains("backtrace"), "{}", trapped.1);
    let tree: Value = serde_json::from_str(&request(&address, "GET /tree").1).unwrap();
    assert_eq!(tree["functions"][1]["last_error"]["kind"], "internal");
    assert!(!run.log.contains("s3cret"), "{}", run.log);

    // A call that never ends keeps the run from ending.
    let mut spinning = TcpStream::connect(&address).unwrap();
    std::io::Write::write_all(&mut spinning, call("myns:spin", "s3cret").as_bytes()).unwrap();
    let running = |state: &str| {
        let tree: Value = serde_json::from_str(&request(&address, "GET /tree").1).unwrap();
        tree["functions"][0]["pool"]["workers"][0]["state"] == state
    };
    until("it runs", || running("running"));
    signal(&run.child, "TERM");
    run.wait_for("SIGTERM: no new calls");
    until("draining", || status(&request(&address, "GET /readyz")) == "503");
    assert_eq!(status(&request(&address, "GET /healthz")), "200");
    assert_eq!(status(&exchange(&address, &call("myns:trap", "s3cret"))), "503");
    let (ended, log) = run.end("TERM");
    assert_eq!(ended.code(), Some(1), "{log}");
}

#[cfg(unix)]
#[test]
fn backtraces_of_calls_are_for_developers() {
    let root = faulty();
    fs::write(root.path().join("token"), "s3cret").unwrap();
    let (token, path) = (root.path().join("token"), root.path());
    let listen = ["--metrics", "127.0.0.1:0", "--listen", "127.0.0.1:0", "--dev"];
    let args = ["--admin-token-file", token.to_str().unwrap(), path.to_str().unwrap()];
    let mut run = Running::start(&[&listen[..], &args].concat());
    let address = run.metrics_address();
    until("ready", || status(&request(&address, "GET /readyz")) == "200");
    let trapped = exchange(&address, &call("myns:trap", "s3cret"));
    assert!(trapped.1.contains("\"backtrace\""), "{}", trapped.1);
    run.end("TERM");
}

#[test]
fn a_token_that_is_none_keeps_a_run_from_starting() {
    let root = faulty();
    let path = root.path();
    let run = |more: &[&str]| greenroom(&[&["run"], more, &[path.to_str().unwrap()]].concat());
    for (name, content, told) in [
        ("empty", &b" \n"[..], "has no token: the token is empty"),
        ("words", b"two words", "has no token: the token has spaces"),
        ("binary", &[255, 254], "cannot be read"),
        ("long", &[b'a'; 5000], "it has more than 4096 bytes"),
    ] {
        let file = path.join(name);
        fs::write(&file, content).unwrap();
        let done = run(&["--metrics", "127.0.0.1:0", "--admin-token-file", file.to_str().unwrap()]);
        assert_eq!(done.code, 1, "{name}: {done:?}");
        assert!(done.stderr.contains(told), "{name}: {done:?}");
    }
    let done = run(&["--metrics", "127.0.0.1:0", "--admin-token-file", "nowhere"]);
    assert!(done.code == 1 && done.stderr.contains("the token in nowhere cannot be read"), "{done:?}");
    let done = run(&["--metrics", "off", "--admin-token-file", "nowhere"]);
    assert!(done.code == 2 && done.stderr.contains("--metrics off"), "{done:?}");
    assert_eq!(greenroom(&["run", "--admin-token-file", "x", "commands", "list"]).code, 2);
}

#[cfg(unix)]
#[test]
fn an_address_that_others_reach_is_warned_of() {
    let mut run = Running::start(&["--metrics", "0.0.0.0:0", "answer"]);
    let line = run.wait_for("reachable from other machines");
    assert!(line.contains("WARN"), "{line}");
    run.end("TERM");
    let mut run = Running::start(&["--metrics", "127.0.0.1:0", "answer"]);
    run.wait_for("started in ");
    let (_, log) = run.end("TERM");
    assert!(!log.contains("reachable from other machines"), "{log}");
}
