//! What is left of requests: metrics and lines in the log. These tests have one thread, on which connections are served, so
//! that what is recorded and logged is theirs alone.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use greenroom::{
    http::Options,
    registry::http::{Middleware, RealIpSpec, RouterSpec, ServerSpec},
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::fmt::MakeWriter;

use super::{Stage, client, clients, endpoint, plain, router, serve_with, server};

/// Serves on the thread of the test.
async fn serve(name: &str, spec: ServerSpec) -> Stage {
    serve_with(name, spec, &Options { beside_functions: false, ..Options::default() }).await
}

/// Waits until so many requests of this kind have been counted: a client may have its response before.
async fn counted(metrics: &PrometheusHandle, route: &str, method: &str, status: &str, count: u32) {
    let labels = format!("route=\"{route}\",method=\"{method}\",status=\"{status}\"");
    let line = format!("\ngreenroom_http_requests_total{{{labels}}} {count}\n");
    let all = async {
        while !metrics.render().contains(&line) {
            tokio::task::yield_now().await;
        }
    };
    let done = tokio::time::timeout(super::PATIENCE, all).await;
    assert!(done.is_ok(), "{line} is not in {}", metrics.render());
}

#[tokio::test]
async fn requests_are_counted_by_route_method_and_status() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    greenroom::describe_metrics();
    let api = router("/api", vec![endpoint("GET", "/users/{id}", "user"), endpoint("*", "/any", "any")]);
    let stage = serve("http-metrics", server(vec![api])).await;
    for client in clients() {
        let ask = async |method: &str, path: &str| {
            client.request(method.parse().unwrap(), stage.url(path)).send().await.unwrap().bytes().await.unwrap();
        };
        for path in ["/api/users/1", "/api/users/2", "/api/users/%ff"] {
            ask("GET", path).await;
        }
        ask("HEAD", "/api/users/1").await;
        ask("DELETE", "/api/users/1").await;
        ask("GET", "/a/path/that/somebody/made/up").await;
        ask("MADEUP", "/api/any").await;
    }
    counted(&metrics, "/api/users/{id}", "GET", "200", 4).await;
    counted(&metrics, "/api/users/{id}", "GET", "400", 2).await;
    counted(&metrics, "/api/users/{id}", "HEAD", "200", 2).await;
    counted(&metrics, "none", "DELETE", "405", 2).await;
    counted(&metrics, "none", "GET", "404", 2).await;
    counted(&metrics, "/api/any", "other", "200", 2).await;
    let text = metrics.render();
    assert!(!text.contains("MADEUP") && !text.contains("somebody"), "{text}");
    let times = "greenroom_http_request_duration_seconds_count{route=\"/api/users/{id}\",method=\"GET\"} 6\n";
    assert!(text.contains(times), "{text}");
    for name in ["requests_total", "request_duration_seconds"] {
        assert!(text.contains(&format!("# HELP greenroom_http_{name} ")), "{text}");
    }
}

#[tokio::test]
async fn clients_that_go_away_are_counted_as_499() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let stage = serve("http-metrics-gone", plain()).await;
    for client in clients() {
        let call = tokio::spawn(client.get(stage.url("/wait")).send());
        stage.backstage.began(1).await;
        call.abort();
    }
    counted(&metrics, "/wait", "GET", "499", 2).await;
}

#[tokio::test]
async fn clients_that_go_away_before_the_end_of_their_body_are_counted_as_499() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let (log, _second, _log_guard) = Log::start();
    let stage = serve("http-metrics-gone-early", plain()).await;
    for body in ["content-length: 9\r\n\r\n[1,", "transfer-encoding: chunked\r\n\r\n3\r\n[1,\r\n"] {
        let mut raw = stage.connect().await;
        raw.send(format!("POST /echo HTTP/1.1\r\nhost: x\r\nx-request-id: early\r\n{body}")).await;
    }
    counted(&metrics, "/echo", "POST", "499", 2).await;
    let line = log.line("request_id=\"early\"").await;
    for part in ["DEBUG", "status=499", "kind=\"canceled\"", "the client went away"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let [_, http2] = clients();
    let (sent, mut is_sent) = tokio::sync::mpsc::unbounded_channel();
    let pieces = futures::stream::poll_fn(move |_| {
        sent.send(()).unwrap();
        std::task::Poll::<Option<Result<Vec<u8>, std::io::Error>>>::Pending
    });
    let call = tokio::spawn(http2.post(stage.url("/echo")).body(reqwest::Body::wrap_stream(pieces)).send());
    is_sent.recv().await.unwrap();
    // What comes later on the connection shows that the request has come.
    http2.get(stage.url("/hello")).send().await.unwrap();
    call.abort();
    counted(&metrics, "/echo", "POST", "499", 3).await;
    // Who sends what is no body is still there to hear it.
    let answer = stage.raw("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nx\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

/// The lines of a log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn start() -> (Self, tracing::Dispatch, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        // Where there is one subscriber alone, what another test logs first is for ever as that test's thread has it.
        let second = tracing::Dispatch::new(tracing_subscriber::registry());
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter("greenroom::http=debug")
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        (log, second, tracing::subscriber::set_default(subscriber))
    }

    /// The line that has this text.
    async fn line(&self, text: &str) -> String {
        let line = async {
            loop {
                let all = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
                if let Some(line) = all.lines().find(|line| line.contains(text)) {
                    return line.to_owned();
                }
                tokio::task::yield_now().await;
            }
        };
        let line = tokio::time::timeout(super::PATIENCE, line).await;
        line.unwrap_or_else(|_| panic!("no `{text}` in the log: {}", String::from_utf8_lossy(&self.0.lock().unwrap())))
    }
}

#[tokio::test]
async fn every_request_has_a_line_in_the_log_which_is_a_warning_when_we_failed() {
    let (log, _second, _guard) = Log::start();
    let api = router(
        "/api",
        vec![
            endpoint("GET", "/users/{id}", "user"),
            endpoint("GET", "/fail", "fail"),
            endpoint("GET", "/wait", "wait"),
        ],
    );
    let proxies = Middleware::RealIp(RealIpSpec { trusted: vec!["127.0.0.0/8".parse().unwrap()] });
    let stage: Stage = serve("http-log", server(vec![RouterSpec { middleware: vec![proxies], ..api }])).await;
    let ask = async |path: &str, id: &str| {
        let request = client().get(stage.url(path)).header("x-request-id", id).header("x-forwarded-for", "1.2.3.4");
        request.send().await.unwrap().bytes().await.unwrap();
    };
    ask("/api/users/1?secret", "first").await;
    let line = log.line("request_id=\"first\"").await;
    for part in [
        "DEBUG",
        "method=\"GET\"",
        "path=\"/api/users/1\"",
        "route=\"/api/users/{id}\"",
        "status=200",
        "took_ms=",
        "client=1.2.3.4",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!line.contains("secret"), "{line}");
    ask("/api/nowhere", "second").await;
    let line = log.line("request_id=\"second\"").await;
    for part in ["DEBUG", "route=\"none\"", "status=404", "detail=\"nothing is at /api/nowhere\""] {
        assert!(line.contains(part), "{part}: {line}");
    }
    ask("/api/fail", "third").await;
    let line = log.line("request failed").await;
    for part in [" WARN", "request_id=\"third\"", "status=500", "kind=\"internal\"", "detail=\"it failed\""] {
        assert!(line.contains(part), "{part}: {line}");
    }

    let request = client().get(stage.url("/api/wait")).header("x-request-id", "fourth");
    let call = tokio::spawn(request.send());
    stage.backstage.began(1).await;
    call.abort();
    let line = log.line("request_id=\"fourth\"").await;
    assert!(line.contains("DEBUG") && line.contains("status=499") && line.contains("the client went away"), "{line}");
}
