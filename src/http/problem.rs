//! What clients hear of errors: `application/problem+json`, after RFC 9457.

use greenroom_actors::{CallError, ErrorKind};
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;
use serde_json::Value;

use super::{Body, full};

/// What clients of an overloaded or degraded function wait before they try again, in seconds, where nobody knows better.
const RETRY_AFTER_DEFAULT: u64 = 1;

/// An error on its way to a client.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    /// The kind of the call's error; `None` for errors that HTTP alone knows, such as 405 or 413, and for those that a
    /// function returns.
    pub(super) kind: Option<ErrorKind>,
    pub(super) detail: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// The error that a function returned.
    pub(super) error: Option<Box<Value>>,
    /// Where a guest was when it trapped: for those who develop it.
    pub(super) backtrace: Option<String>,
}

/// The members of the document.
#[derive(Serialize)]
struct Document<'p> {
    r#type: &'static str,
    title: &'p str,
    status: u16,
    detail: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'p Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backtrace: Option<&'p str>,
}

impl Problem {
    /// An error that HTTP alone knows.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, kind: None, detail: detail.into(), headers: Vec::new(), error: None, backtrace: None }
    }

    /// The response. `dev` shows the client what is otherwise in the log alone.
    pub(super) fn into_response(self, dev: bool) -> Response<Body> {
        let document = Document {
            // A problem without a page of its own: its status says what it is, and `kind` says it more exactly.
            r#type: "about:blank",
            title: title(self.status),
            status: self.status.as_u16(),
            detail: &self.detail,
            kind: self.kind.map(ErrorKind::name),
            retryable: self.kind.map(ErrorKind::retryable),
            error: self.error.as_deref(),
            backtrace: self.backtrace.as_deref().filter(|_| dev),
        };
        // Names are strings and nothing refuses to serialise, which is all that could fail.
        let mut response = Response::new(full(serde_json::to_vec(&document).unwrap_or_default()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}

/// The phrase of a status; functions may answer with any.
fn title(status: StatusCode) -> &'static str {
    match (status.canonical_reason(), status.as_u16()) {
        (Some(reason), _) => reason,
        (None, 499) => "Client Closed Request",
        (None, 400..=499) => "Client Error",
        (None, _) => "Server Error",
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        let status = match error.kind() {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
            ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::RateLimited | ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            // No client is there to read it: the name that logs and metrics have for it since nginx.
            ErrorKind::Canceled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut problem = Self::new(status, error.message());
        problem.kind = Some(error.kind());
        problem.backtrace = error.backtrace().map(str::to_owned);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            // Whole seconds, and never sooner than what was asked for.
            let seconds = error
                .retry_after()
                .map_or(RETRY_AFTER_DEFAULT, |after| after.as_secs() + u64::from(after.subsec_nanos() > 0));
            problem.headers.push((RETRY_AFTER, seconds.max(1).into()));
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;
    use serde_json::json;

    use super::*;

    async fn read(response: Response<Body>) -> (StatusCode, http::HeaderMap, Value) {
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status, head.headers, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn every_kind_of_error_has_its_status() {
        let table = [
            (ErrorKind::NotFound, 404, "Not Found", false),
            (ErrorKind::Invalid, 400, "Bad Request", false),
            (ErrorKind::PermissionDenied, 403, "Forbidden", false),
            (ErrorKind::Timeout, 504, "Gateway Timeout", true),
            (ErrorKind::RateLimited, 503, "Service Unavailable", true),
            (ErrorKind::Unavailable, 503, "Service Unavailable", true),
            (ErrorKind::Canceled, 499, "Client Closed Request", true),
            (ErrorKind::Internal, 500, "Internal Server Error", false),
        ];
        assert_eq!(table.map(|(kind, ..)| kind), ErrorKind::ALL);
        for (kind, status, title, retryable) in table {
            let problem = Problem::from(CallError::new(kind, "what happened"));
            let (found, headers, body) = read(problem.into_response(false)).await;
            assert_eq!(found.as_u16(), status);
            assert_eq!(headers[CONTENT_TYPE], "application/problem+json");
            assert_eq!(headers.contains_key(RETRY_AFTER), status == 503);
            let expected = json!({
                "type": "about:blank", "title": title, "status": status, "detail": "what happened",
                "kind": kind.name(), "retryable": retryable,
            });
            assert_eq!(body, expected);
        }
    }

    #[test]
    fn a_hint_of_when_to_try_again_is_rounded_up_to_seconds() {
        for (millis, seconds) in [(0, "1"), (10, "1"), (1000, "1"), (1001, "2"), (30_000, "30")] {
            let error = CallError::new(ErrorKind::RateLimited, "").with_retry_after(Duration::from_millis(millis));
            assert_eq!(Problem::from(error).headers, [(RETRY_AFTER, HeaderValue::from_static(seconds))]);
        }
    }

    #[tokio::test]
    async fn a_backtrace_is_for_developers() {
        let problem = Problem::from(CallError::new(ErrorKind::Internal, "it trapped").with_backtrace("0: f"));
        let (.., body) = read(problem.clone().into_response(false)).await;
        assert_eq!(body.get("backtrace"), None);
        let (.., body) = read(problem.into_response(true)).await;
        assert_eq!(body["backtrace"], "0: f");
    }

    #[tokio::test]
    async fn what_http_alone_knows_has_no_kind() {
        let mut problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "only GET");
        problem.headers.push((http::header::ALLOW, HeaderValue::from_static("GET")));
        let (_, headers, body) = read(problem.into_response(true)).await;
        assert_eq!(headers[http::header::ALLOW], "GET");
        let expected = json!({
            "type": "about:blank", "title": "Method Not Allowed", "status": 405, "detail": "only GET",
        });
        assert_eq!(body, expected);
    }
}
