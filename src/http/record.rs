//! What is left of a request when it is over, one way or another: its metrics, its line in the log.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use greenroom_actors::{ErrorKind, call::trace::TraceParent};
use http::{HeaderValue, Method, StatusCode, Uri};

use tracing::Span;

use super::{
    BodyError, Client, connection::Site, identity, metrics::method_label, problem::Problem, room::Place,
    timeouts::Activity,
};

/// Why a response is an error, for the log: an extension of the response.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    kind: Option<ErrorKind>,
    detail: String,
    /// Where the guest was.
    backtrace: Option<String>,
}

impl From<&Problem> for Failure {
    fn from(problem: &Problem) -> Self {
        Self { kind: problem.kind, detail: problem.detail.clone(), backtrace: problem.backtrace.clone() }
    }
}

/// One request, from its head to the end of its response. Dropping it is the end.
pub(super) struct Record {
    pub(super) site: Arc<Site>,
    activity: Arc<Activity>,
    started: Instant,
    method: &'static str,
    uri: Uri,
    /// Which of the site's routes took it.
    pub(super) route: usize,
    pub(super) request_id: HeaderValue,
    client: Client,
    status: Option<StatusCode>,
    failure: Option<Failure>,
    span: Span,
    /// What its body takes of the server's room, until the end.
    pub(super) place: Option<Arc<Place>>,
    /// Whether the whole response was given away.
    whole: bool,
}

impl Record {
    pub(super) fn new(
        site: Arc<Site>,
        activity: Arc<Activity>,
        peer: SocketAddr,
        method: &Method,
        uri: &Uri,
        request_id: HeaderValue,
    ) -> Self {
        let route = site.routes.no_route();
        let client = Client::direct(peer, site.is_tls());
        Self {
            site,
            activity,
            started: Instant::now(),
            method: method_label(method),
            uri: uri.clone(),
            route,
            request_id,
            client,
            status: None,
            failure: None,
            span: Span::none(),
            place: None,
            whole: false,
        }
    }

    /// Makes it a span of the trace that the client says it is in, where spans are recorded. Gives back where in a trace
    /// its calls are.
    pub(super) fn begin(&mut self, request_id: &str, parent: Option<TraceParent>) -> Option<TraceParent> {
        let (span, own) = identity::span(self.method, self.uri.path(), request_id, parent);
        self.span = span;
        own
    }

    /// Who sent it, as far as the connection tells.
    pub(super) fn client(&self) -> Client {
        self.client
    }

    /// There is a response.
    pub(super) fn responded(&mut self, status: StatusCode, failure: Option<Failure>, client: Option<Client>) {
        self.status = Some(status);
        self.failure = failure;
        self.client = client.unwrap_or(self.client);
    }

    /// The last of the response was given away.
    pub(super) fn ended(&mut self) {
        self.whole = true;
    }

    /// The response broke off.
    pub(super) fn broke_off(&mut self, error: &BodyError) {
        self.failure =
            Some(Failure { kind: None, detail: format!("the response broke off: {error}"), backtrace: None });
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.activity.request_ended();
        let took = self.started.elapsed();
        let metrics = self.site.routes.metrics(self.route);
        metrics.answered(self.method, self.status, took);
        if !self.span.is_none() {
            self.span.record("http.route", metrics.route());
            self.span.record("http.response.status_code", self.status.map_or(499, |status| status.as_u16()));
        }
        macro_rules! log {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    target: "greenroom::http",
                    request_id = self.request_id.to_str().unwrap_or_default(),
                    method = self.method,
                    path = self.uri.path(),
                    route = metrics.route(),
                    status = self.status.map_or(499, |status| status.as_u16()),
                    took_ms = took.as_secs_f64() * 1000.0,
                    client = %self.client.ip,
                    kind = self.failure.as_ref().and_then(|failure| failure.kind).map(ErrorKind::name),
                    detail = self.failure.as_ref().map(|failure| failure.detail.as_str()),
                    backtrace = self.failure.as_ref().and_then(|failure| failure.backtrace.as_deref()),
                    $message
                )
            };
        }
        let failed = self.status.is_some_and(|status| status.is_server_error());
        // Who is told to come again is counted, and not reported: under load there are as many of them as clients like.
        let kind = self.failure.as_ref().and_then(|failure| failure.kind);
        let refused = matches!(kind, Some(ErrorKind::RateLimited | ErrorKind::Unavailable));
        match (self.status, &self.failure) {
            _ if refused => log!(debug, "request refused"),
            (_, Some(_)) if kind == Some(ErrorKind::Canceled) => log!(debug, "request; the client went away"),
            (Some(_), Some(_)) if failed || !self.whole => log!(warn, "request failed"),
            (Some(_), _) if failed => log!(warn, "request failed"),
            (Some(_), _) if self.whole => log!(debug, "request"),
            _ => log!(debug, "request; the client went away"),
        }
    }
}
