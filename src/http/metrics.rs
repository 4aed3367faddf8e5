//! The metrics of requests: their names and labels. Labels are of bounded sets: routes as the registry writes them, methods
//! that HTTP knows, numbers of statuses.
//!
//! Handles are taken when they are first needed, and kept: a recorder must be installed before the first request.

use std::{sync::OnceLock, time::Duration};

use http::{Method, StatusCode};
use metrics::{Counter, Histogram, Unit::Seconds, counter, describe_counter, describe_histogram, histogram};

const REQUESTS: &str = "greenroom_http_requests_total";
const DURATION: &str = "greenroom_http_request_duration_seconds";

/// The label of requests that no route took.
pub(super) const NO_ROUTE: &str = "none";

/// Labels of methods. Clients make up others.
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "other"];

/// A client that went away before it had a response: what nginx made of that, and others took up.
const CLIENT_GONE: u16 = 499;

/// Statuses, from 100 on, that a label tells apart.
const STATUSES: usize = 500;

/// The metrics of one route.
pub(super) struct RouteMetrics {
    route: String,
    methods: [OnceLock<MethodMetrics>; METHODS.len()],
}

struct MethodMetrics {
    duration: Histogram,
    statuses: Box<[OnceLock<Counter>]>,
}

impl RouteMetrics {
    /// A route, as it is called in labels.
    pub(super) fn new(route: impl Into<String>) -> Self {
        Self { route: route.into(), methods: Default::default() }
    }

    pub(super) fn route(&self) -> &str {
        &self.route
    }

    /// A request is over; without a status when the client went away before it had one. `method` is its label.
    pub(super) fn answered(&self, method: &'static str, status: Option<StatusCode>, took: Duration) {
        let index = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len() - 1);
        let metrics = self.methods[index].get_or_init(|| MethodMetrics {
            duration: histogram!(DURATION, "route" => self.route.clone(), "method" => method),
            statuses: (0..STATUSES).map(|_| OnceLock::new()).collect(),
        });
        metrics.duration.record(took.as_secs_f64());
        let status = status.map_or(CLIENT_GONE, |status| status.as_u16());
        let count =
            |status: String| counter!(REQUESTS, "route" => self.route.clone(), "method" => method, "status" => status);
        match metrics.statuses.get(usize::from(status).wrapping_sub(100)) {
            Some(counter) => counter.get_or_init(|| count(status.to_string())).increment(1),
            None => count("other".to_owned()).increment(1),
        }
    }
}

/// The label of a method.
pub(super) fn method_label(method: &Method) -> &'static str {
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or(METHODS[METHODS.len() - 1])
}

/// Gives the metrics their help texts and units.
pub(crate) fn describe() {
    describe_counter!(
        REQUESTS,
        "Requests over, by route, method and status; 499 for clients that went away before they had a response."
    );
    describe_histogram!(DURATION, Seconds, "From the head of a request to the end of its response.");
}
