//! The metrics of a run, for Prometheus to scrape: the recorder, and the small server of `GET /metrics`. Which metrics
//! there are is not known here.

use std::{convert::Infallible, io, time::Duration};

use anyhow::Context;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Bytes,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

/// Scrapes that are answered at once. More wait to be accepted.
const CONNECTIONS_MAX: usize = 16;

/// From the first byte of a scrape to the last of its answer.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);

/// How often what was recorded is folded into the histograms, so that it takes no more memory than they do.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// How long to leave a system alone that has no connection to give.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Buckets of everything in seconds: from what a warm call takes to what a patient caller waits.
const SECONDS: [f64; 18] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
    0.5, 1.0, 2.5, 10.0,
];

/// Records the metrics of this process from now on. What reads them is given back.
///
/// # Errors
/// When something else records them already.
pub fn record() -> anyhow::Result<PrometheusHandle> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .context("the buckets of the metrics")?;
    let handle = builder.install_recorder().context("metrics cannot be recorded")?;
    crate::describe_metrics();
    Ok(handle)
}

/// Listens where scrapes will come.
///
/// # Errors
/// Why it cannot, and what to do.
pub async fn listen(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "address in use: {address}; choose another with --metrics HOST:PORT, or have no metrics with --metrics off"
        ),
        _ => anyhow::anyhow!("metrics cannot be served on {address}: {error}; choose another with --metrics HOST:PORT"),
    })
}

/// Answers scrapes until it is dropped.
pub async fn serve(listener: TcpListener, metrics: PrometheusHandle) -> Infallible {
    let mut connections = JoinSet::new();
    let mut upkeep = interval(UPKEEP_EVERY);
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, metrics.clone()));
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection to the metrics failed");
                    sleep(ACCEPT_AGAIN_AFTER).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = upkeep.tick() => metrics.run_upkeep(),
        }
    }
}

async fn connection(stream: TcpStream, metrics: PrometheusHandle) {
    let service = service_fn(|request: Request<_>| {
        let response = respond(&request, &metrics);
        async { Ok::<_, Infallible>(response) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(CONNECTION_TIME_MAX).keep_alive(false);
    match timeout(CONNECTION_TIME_MAX, server.serve_connection(TokioIo::new(stream), service)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a scrape failed"),
        Err(_) => tracing::debug!("a scrape took too long"),
    }
}

fn respond<B>(request: &Request<B>, metrics: &PrometheusHandle) -> Response<Full<Bytes>> {
    let text = |status, kind: &'static str, body: Bytes| {
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    };
    const PLAIN: &str = "text/plain; charset=utf-8";
    match (request.uri().path(), request.method()) {
        ("/metrics", &Method::GET) => {
            text(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics.render().into())
        }
        ("/metrics", _) => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, PLAIN, Bytes::from_static(b"only GET\n"));
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            response
        }
        _ => text(StatusCode::NOT_FOUND, PLAIN, Bytes::from_static(b"the metrics are at /metrics\n")),
    }
}
