//! `greenroom run`: start, metrics, and the end.

use std::{
    collections::HashMap,
    future::pending,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    time::Duration,
};

use greenroom::{
    CallOptions, ErrorKind, Runtime,
    cli::{admin::Opened, run::serve},
    http::Servers,
};
use prometheus_parse::{Scrape, Value};
use serde_json::json;

use super::{EXAMPLES, greenroom, program};
use crate::registry::Root;

/// Sends a signal to a child.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// A run that is going on.
pub struct Running {
    pub child: Child,
    stderr: BufReader<ChildStderr>,
    /// What it has logged so far.
    pub log: String,
}

impl Running {
    pub fn start(args: &[&str]) -> Self {
        let mut child = program().arg("run").args(args).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr, log: String::new() }
    }

    /// The line of the log that has this text.
    pub fn wait_for(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.stderr.read_line(&mut line).unwrap();
            assert!(read > 0, "the run ended without `{text}`: {}", self.log);
            self.log.push_str(&line);
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Where it serves HTTP, and the line that says so.
    pub fn address(&mut self) -> (String, String) {
        let line = self.wait_for("listening on http://");
        let (address, _) = line.split("http://").nth(1).unwrap().split_once(' ').unwrap();
        (address.to_owned(), line)
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn metrics_address(&mut self) -> String {
        let line = self.wait_for("metrics on http://");
        line.split("http://").nth(1).unwrap().trim().strip_suffix("/metrics").unwrap().to_owned()
    }

    pub fn end(mut self, name: &str) -> (ExitStatus, String) {
        signal(&self.child, name);
        self.stderr.read_to_string(&mut self.log).unwrap();
        (self.child.wait().unwrap(), std::mem::take(&mut self.log))
    }
}

impl Drop for Running {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Head and body of the answer to a request.
pub fn request(address: &str, request: &str) -> (String, String) {
    exchange(address, &format!("{request} HTTP/1.1\r\nHost: {address}\r\n\r\n"))
}

/// Head and body of the answer to a request that is written out.
pub fn exchange(address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[cfg(unix)]
#[test]
fn a_run_logs_what_it_started_serves_metrics_and_stops_on_sigterm() {
    let listen = ["--listen", "127.0.0.1:0"];
    let mut run = Running::start(&[&["--metrics", "127.0.0.1:0"][..], &listen, &["document/entries"]].concat());
    // Before anything is compiled.
    let address = run.metrics_address();
    assert!(!run.log.contains("started"), "{}", run.log);
    run.wait_for("6 functions started");
    for part in [
        "function=myns:compute signature=\"func(a: s32, b: s32) -> s32\" pool=\"lazy, up to 4\"",
        "6 functions started",
    ] {
        assert!(run.log.contains(part), "{part}: {}", run.log);
    }

    let (head, body) = request(&address, "GET /metrics");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("text/plain; version=0.0.4"), "{head}");
    let scrape = Scrape::parse(body.lines().map(|line| Ok(line.to_owned()))).unwrap();
    assert!(scrape.docs.contains_key("greenroom_calls_total"), "{body}");
    let calls = scrape.samples.iter().filter(|sample| sample.metric == "greenroom_calls_total").collect::<Vec<_>>();
    assert!(calls.iter().any(|sample| sample.labels.get("function") == Some("myns:answer")), "{body}");

    assert!(request(&address, "GET /").0.starts_with("HTTP/1.1 404 "));
    let (head, _) = request(&address, "PUT /metrics");
    assert!(head.starts_with("HTTP/1.1 405 ") && head.to_lowercase().contains("\r\nallow: get"), "{head}");

    // A connection that says nothing does not keep the run.
    let _silent = TcpStream::connect(&address).unwrap();
    let (status, log) = run.end("TERM");
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("SIGTERM: no new calls") && log.contains("every call had finished"), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}

#[cfg(unix)]
#[test]
fn sigint_ends_a_run_without_metrics_too() {
    let mut run = Running::start(&["--metrics", "off", "answer"]);
    run.wait_for("2 functions started");
    let (status, log) = run.end("INT");
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("metrics on"), "{log}");
}

#[test]
fn a_run_that_cannot_start_says_why() {
    let nowhere = greenroom(&["run", "nowhere"]);
    assert_eq!(nowhere.code, 1);
    assert!(nowhere.stderr.contains("there is no registry at `nowhere`"), "{nowhere:?}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let busy = greenroom(&["run", "--metrics", &address, "answer"]);
    assert_eq!(busy.code, 1);
    assert!(busy.stderr.contains(&format!("address in use: {address}; choose another with --metrics")), "{busy:?}");

    let no_host = greenroom(&["run", "--metrics", "9464", "answer"]);
    assert_eq!(no_host.code, 2);
    assert!(no_host.stderr.contains("such as 127.0.0.1:9464 or [::1]:9464, or `off`"), "{no_host:?}");
    assert_eq!(greenroom(&["run", "--drain", "a while", "answer"]).code, 2);
}

#[cfg(unix)]
#[test]
fn a_run_serves_the_endpoints_of_its_registry() {
    let mut run = Running::start(&["--metrics", "off", "--listen", "127.0.0.1:0", "document/entries"]);
    let (address, line) = run.address();
    assert!(line.contains("(greet_endpoint)"), "{line}");
    let body = "World";
    let (head, body) = post(&address, "/api/greet", body);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(body.contains("World"), "{body}");
    let (status, log) = run.end("TERM");
    assert_eq!(status.code(), Some(0), "{log}");
}

fn post(address: &str, path: &str, body: &str) -> (String, String) {
    let length = body.len();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// A registry with a function that traps, and one that never ends, behind endpoints.
pub fn faulty() -> Root {
    Root::with(
        "entries:
  - {name: trap, kind: function.wat, source: '(module (func (export \"trap\") unreachable))', method: trap, transport: wasi-http}
  - {name: spin, kind: function.wat, source: '(module (func (export \"spin\") (loop $l br $l)))', method: spin, transport: wasi-http}
  - {name: trap_endpoint, kind: http.endpoint, method: GET, path: /trap, func: trap}
  - {name: spin_endpoint, kind: http.endpoint, method: GET, path: /spin, func: spin}
",
    )
}

#[cfg(unix)]
#[test]
fn backtraces_are_in_the_log_and_with_dev_in_the_response() {
    let root = faulty();
    for dev in [false, true] {
        let dev_option = dev.then_some("--dev");
        let listen = ["--metrics", "off", "--listen", "127.0.0.1:0"];
        let path = root.path();
        let args: Vec<_> = listen.into_iter().chain(dev_option).chain([path.to_str().unwrap()]).collect();
        let mut run = Running::start(&args);
        let (address, _) = run.address();
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(b"GET /trap HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert_eq!(answer.contains("backtrace"), dev, "{answer}");
        let line = run.wait_for("request failed");
        for part in ["kind=\"internal\"", "route=\"/trap\"", "status=500", "client=127.0.0.1"] {
            assert!(line.contains(part), "{part}: {line}");
        }
        let (_, log) = run.end("TERM");
        assert!(log.contains("backtrace"), "{log}");
    }
}

#[cfg(unix)]
#[test]
fn calls_of_requests_that_outlast_the_drain_are_cut_off_counted_and_answered() {
    let root = faulty();
    let path = root.path();
    let listen = ["--metrics", "127.0.0.1:0", "--listen", "127.0.0.1:0"];
    let mut run = Running::start(&[&listen[..], &["--drain", "50ms", path.to_str().unwrap()]].concat());
    let metrics = run.metrics_address();
    let (address, _) = run.address();
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(b"GET /spin HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let runs = "greenroom_workers{function=\"myns:spin\",state=\"running\"} 1";
    while !request(&metrics, "GET /metrics").1.contains(runs) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (status, log) = run.end("TERM");
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("stopped; 1 call cut off"), "{log}");
    // It hears so.
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"kind\":\"unavailable\""), "{answer}");
    assert!(TcpStream::connect(&address).is_err());
}

#[cfg(unix)]
#[test]
fn a_server_out_of_file_descriptors_waits_for_some() {
    let program = env!("CARGO_BIN_EXE_greenroom");
    let script =
        format!("ulimit -n 60; exec {program} run --no-cache --metrics off --listen 127.0.0.1:0 document/entries");
    let mut child =
        Command::new("sh").args(["-c", &script]).current_dir(EXAMPLES).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let mut run = Running { child, stderr, log: String::new() };
    let (address, _) = run.address();
    let many: Vec<_> = (0..100).map(|_| TcpStream::connect(&address).unwrap()).collect();
    run.wait_for("connections cannot be accepted");
    drop(many);
    let (head, _) = post(&address, "/api/greet", "World");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let (_, log) = run.end("TERM");
    // Said when it begins, and perhaps again when it goes back and forth.
    assert!(log.matches("connections cannot be accepted").count() < 50, "{log}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_may_open_as_many_files_as_the_system_allows() {
    let program = env!("CARGO_BIN_EXE_greenroom");
    let script = format!(
        "ulimit -Sn 64 && ulimit -Hn 512 && exec {program} run --no-cache --metrics off --listen 127.0.0.1:0 \
         document/entries"
    );
    let mut child =
        Command::new("sh").args(["-c", &script]).current_dir(EXAMPLES).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let mut run = Running { child, stderr, log: String::new() };
    run.address();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", run.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_whitespace().collect::<Vec<_>>()[3..5], ["512", "512"]);
}

#[test]
fn servers_that_cannot_listen_say_why() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let busy = greenroom(&["run", "--metrics", "off", "--listen", &address, "document/entries"]);
    assert_eq!(busy.code, 1);
    let message = format!("error: address in use: {address}; choose another with --listen HOST:PORT");
    assert!(busy.stderr.lines().any(|line| line == message), "{busy:?}");
    // An address that no machine has: the cause comes once, the advice last.
    let elsewhere = greenroom(&["run", "--metrics", "off", "--listen", "192.0.2.1:80", "document/entries"]).stderr;
    let message = elsewhere.lines().find(|line| line.starts_with("error: cannot listen on 192.0.2.1:80: ")).unwrap();
    assert!(message.ends_with("; choose another with --listen HOST:PORT"), "{message}");
    assert_eq!(message.matches("(os error").count(), 1, "{message}");

    let nothing = greenroom(&["run", "--metrics", "off", "--listen", "127.0.0.1:0", "answer"]);
    assert_eq!(nothing.code, 2);
    assert!(nothing.stderr.contains("there is no default server to listen on 127.0.0.1:0"), "{nothing:?}");
    let no_port = greenroom(&["run", "--listen", "foo", "document/entries"]);
    assert_eq!(no_port.code, 2);
    assert!(no_port.stderr.contains("write HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080"), "{no_port:?}");
    for option in [&["--listen", "127.0.0.1:0"][..], &["--dev"]] {
        assert_eq!(greenroom(&[&["run"], option, &["commands", "list"]].concat()).code, 2);
    }
}

#[test]
fn an_endpoint_whose_function_does_not_fit_is_shown_in_its_file() {
    let root = Root::with(
        r#"entries:
  - name: f
    kind: function.wat
    transport: wasi-http
    method: f
    wit: |
      record incoming { colour: u32 }
      f: func(request: incoming)
    source: '(module (func (export "f") (param i32)))'
  - name: get
    kind: http.endpoint
    method: GET
    path: /
    func: f
"#,
    );
    let done = greenroom(&["run", "--metrics", "off", "--listen", "127.0.0.1:0", root.path().to_str().unwrap()]);
    assert_eq!(done.code, 1);
    for part in ["_index.yaml:14:", "func: f", "colour"] {
        assert!(done.stderr.contains(part), "{part}: {done:?}");
    }
}

/// A way to end a run: at once, and so often.
fn stops(mut times: u32) -> impl AsyncFnMut() -> &'static str {
    async move || {
        if times == 0 {
            return pending().await;
        }
        times -= 1;
        "test"
    }
}

async fn spinning(name: &str) -> (Runtime, Root) {
    let root = Root::with(
        "entries:\n  - name: spin\n    kind: function.wat\n    source: (module (func (export \"spin\") (loop $l br \
         $l)))\n    method: spin\n",
    );
    (Runtime::builder().name(name).registry(root.path()).start().await.unwrap(), root)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_call_finishes_while_the_run_drains() {
    let registry = format!("{EXAMPLES}/sleep");
    let runtime = Runtime::builder().name("drains").registry(registry).start().await.unwrap();
    let call = runtime.call_json("sleep:sleep_ms", vec![json!(300)], CallOptions::default());
    // The call is polled first, so that it is in before the run ends.
    let (result, cut_off) =
        tokio::join!(biased; call, serve(&runtime, Servers::default(), None, Duration::from_secs(600), stops(1)));
    assert!(result.unwrap().as_u64().is_some_and(|slept| slept >= 300));
    assert_eq!(cut_off, 0);
    let late = runtime.call_json("sleep:sleep_ms", vec![json!(0)], CallOptions::default()).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Unavailable, "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_outlasts_the_drain_is_cut_off_and_counted() {
    let (runtime, _root) = spinning("cut-off").await;
    let call = runtime.call_json("myns:spin", Vec::new(), CallOptions::default());
    let (result, cut_off) =
        tokio::join!(biased; call, serve(&runtime, Servers::default(), None, Duration::from_millis(50), stops(1)));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(cut_off, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_drain_at_once() {
    let (runtime, _root) = spinning("second-signal").await;
    let call = runtime.call_json("myns:spin", Vec::new(), CallOptions::default());
    let (result, cut_off) =
        tokio::join!(biased; call, serve(&runtime, Servers::default(), None, Duration::from_secs(3600), stops(2)));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(cut_off, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_tells_of_the_calls_there_were() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let opened = Opened::new(listener, None, false).unwrap();
    let admin = opened.admin.clone();
    let answering = tokio::spawn(opened.serve());
    let runtime = Runtime::builder().name("scraped").registry(format!("{EXAMPLES}/pipeline")).start().await.unwrap();
    for users in [json!([]), json!("no list")] {
        drop(runtime.call_json("pipeline:filter_active", vec![users], CallOptions::default()).await);
    }
    let (end, ended) = tokio::sync::oneshot::channel::<()>();
    let mut ended = Some(ended);
    let stop = async || match ended.take() {
        Some(ended) => ended.await.map_or("test", |()| "test"),
        None => pending().await,
    };
    let scrape = async {
        let scraped = tokio::task::spawn_blocking(move || request(&address, "GET /metrics")).await;
        drop(end);
        scraped.unwrap().1
    };
    let (body, _) = tokio::join!(scrape, serve(&runtime, Servers::default(), Some(&admin), Duration::ZERO, stop));
    answering.abort();
    let scrape = Scrape::parse(body.lines().map(|line| Ok(line.to_owned()))).unwrap();
    let of_function = scrape.samples.iter().filter(|s| s.labels.get("function") == Some("pipeline:filter_active"));
    let of_function: Vec<_> = of_function.collect();
    let calls: HashMap<_, _> = of_function
        .iter()
        .filter(|sample| sample.metric == "greenroom_calls_total")
        .filter_map(|sample| match sample.value {
            Value::Counter(count) => Some((sample.labels.get("outcome")?, count)),
            _ => None,
        })
        .collect();
    assert_eq!((calls["ok"], calls["invalid"], calls["internal"]), (1.0, 1.0, 0.0));
    let duration = of_function.iter().find(|sample| sample.metric == "greenroom_call_duration_seconds").unwrap();
    let Value::Histogram(buckets) = &duration.value else { panic!("no histogram: {duration:?}") };
    assert!(buckets.len() > 10 && buckets.last().is_some_and(|bucket| bucket.count == 1.0), "{buckets:?}");
}
