//! What operators ask a running process: its metrics, its health, its tree, and calls of functions for whoever has the token.
//! Answers only: connections are the business of `listener`, and requests may come from a server of the embedder's own.

mod listener;
mod token;

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use greenroom_actors::Context;
use http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE},
    request::Parts,
};
use http_body_util::{BodyExt, Limited};
use percent_encoding::percent_decode_str;
use serde_json::json;
use tokio::sync::Semaphore;

pub use self::{
    listener::ADMIN_CONNECTIONS_MAX,
    token::{AdminToken, InvalidToken},
};
use super::{
    Body,
    endpoint::payload,
    full,
    identity::{REQUEST_ID, request_id, traceparent},
    problem::Problem,
};
use crate::{CallError, CallOptions, ErrorKind, Runtime};

/// The body of a call, in bytes.
pub const ADMIN_BODY_BYTES_MAX: usize = 8 << 20;

/// Calls that the admin listener makes at once. More are refused, so that they leave connections for its other answers.
pub const ADMIN_CALLS_MAX: usize = 32;

/// What the admin listener knows and allows.
#[derive(Default)]
pub struct AdminOptions {
    /// Renders the metrics in Prometheus' text format. Default is none: `/metrics` is 404.
    pub metrics: Option<Box<dyn Fn() -> String + Send + Sync>>,
    /// Whoever has it may call functions. Default is none: nobody may.
    pub token: Option<AdminToken>,
    /// Whether problems show what is otherwise in the log alone, such as backtraces. Default is false.
    pub dev: bool,
}

impl fmt::Debug for AdminOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metrics = self.metrics.is_some();
        f.debug_struct("AdminOptions").field("metrics", &metrics).field("token", &self.token).finish_non_exhaustive()
    }
}

/// Answers to operators:
///
/// | request | answer |
/// | --- | --- |
/// | `GET /metrics` | metrics, for Prometheus |
/// | `GET /healthz` | 200 while the process lives |
/// | `GET /readyz` | 200 when calls are taken, with the functions that are degraded; 503 before and after |
/// | `GET /tree` | the [tree](greenroom_actors::tree::Tree) as JSON |
/// | `POST /call/{id}` | calls a function with a JSON array of arguments; needs the token, as `Authorization: Bearer …` |
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use greenroom::{Runtime, http::{Admin, AdminOptions}};
///
/// let admin = std::sync::Arc::new(Admin::new(AdminOptions::default()));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:9464").await?;
/// let serving = tokio::spawn({ let admin = admin.clone(); async move { admin.serve(listener).await } });
/// let runtime = Runtime::builder().registry("registry-examples/compute").start().await?;
/// admin.ready(&runtime);
/// // …
/// admin.draining();
/// runtime.shutdown(std::time::Duration::from_secs(10)).await;
/// serving.abort();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Admin {
    options: AdminOptions,
    phase: Mutex<Phase>,
    calls: Semaphore,
}

/// Where the process is in its life.
#[derive(Debug, Clone)]
enum Phase {
    Loading,
    Ready(greenroom_actors::Runtime),
    Draining(greenroom_actors::Runtime),
}

impl Admin {
    /// Answers for a runtime that is still to come.
    pub fn new(options: AdminOptions) -> Self {
        Self { options, phase: Mutex::new(Phase::Loading), calls: Semaphore::new(ADMIN_CALLS_MAX) }
    }

    /// The runtime takes calls from now on. It is kept, and does not stop while this has it: shut it down.
    pub fn ready(&self, runtime: &Runtime) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = Phase::Ready((**runtime).clone());
    }

    /// The runtime takes no more calls from now on, or is about to. Without one, nothing changes.
    pub fn draining(&self) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if let Phase::Ready(runtime) = &*phase {
            *phase = Phase::Draining(runtime.clone());
        }
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let (id, id_text) = request_id(&head.headers);
        let answered = self.route(&head, body, id_text).await;
        let mut response = answered.unwrap_or_else(|problem| problem.into_response(self.options.dev));
        response.headers_mut().insert(REQUEST_ID, id);
        // All of it is about this moment.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    async fn route(&self, head: &Parts, body: Body, request_id: String) -> Result<Response<Body>, Problem> {
        // Whatever is there, or will be: who may not change anything learns nothing more.
        if head.method == Method::POST {
            self.authorize(head)?;
        }
        if let Some(id) = head.uri.path().strip_prefix("/call/") {
            only(&[Method::POST], head)?;
            return self.call(id, head, body, request_id).await;
        }
        let path = head.uri.path();
        if ["/metrics", "/healthz", "/readyz", "/tree"].contains(&path) {
            only(&[Method::GET, Method::HEAD], head)?;
        }
        match path {
            "/metrics" => self.metrics(),
            "/healthz" => Ok(text("text/plain; charset=utf-8", "ok\n".to_owned())),
            "/readyz" => self.readiness().await,
            "/tree" => self.tree().await,
            path => {
                let detail = format!("nothing is at {path}; there are /metrics, /healthz, /readyz, /tree and /call/ID");
                Err(Problem::new(StatusCode::NOT_FOUND, detail))
            }
        }
    }

    fn phase(&self) -> Phase {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The runtime, while there is one, whether it takes calls or not.
    fn runtime(&self) -> Result<greenroom_actors::Runtime, Problem> {
        match self.phase() {
            Phase::Loading => Err(unavailable("the functions are not started yet")),
            Phase::Ready(runtime) | Phase::Draining(runtime) => Ok(runtime),
        }
    }

    fn metrics(&self) -> Result<Response<Body>, Problem> {
        match &self.options.metrics {
            Some(render) => Ok(text("text/plain; version=0.0.4; charset=utf-8", render())),
            None => Err(Problem::new(StatusCode::NOT_FOUND, "no metrics are recorded in this process")),
        }
    }

    async fn readiness(&self) -> Result<Response<Body>, Problem> {
        let runtime = self.runtime()?;
        if let Phase::Draining(_) = self.phase() {
            return Err(unavailable("the runtime is shutting down"));
        }
        let tree = runtime.tree().await;
        let degraded: Vec<_> = tree.degraded().map(|function| &function.id).collect();
        Ok(payload::response(&json!({ "status": "ready", "degraded": degraded })))
    }

    async fn tree(&self) -> Result<Response<Body>, Problem> {
        let tree = self.runtime()?.tree().await;
        // Keys are strings and nothing refuses to serialise, which is all that could fail.
        Ok(text("application/json", serde_json::to_string(&tree).unwrap_or_default()))
    }

    async fn call(&self, id: &str, head: &Parts, body: Body, request_id: String) -> Result<Response<Body>, Problem> {
        let runtime = self.runtime()?;
        let Ok(_room) = self.calls.try_acquire() else {
            let error = CallError::new(ErrorKind::RateLimited, format!("{ADMIN_CALLS_MAX} calls run here already"));
            return Err(error.into());
        };
        let id = percent_decode_str(id).decode_utf8();
        let id = id.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the id in the path is not UTF-8"))?;
        let body = Limited::new(body, ADMIN_BODY_BYTES_MAX).boxed_unsync();
        let args = payload::arguments(&head.headers, body).await?;
        let traceparent = traceparent(&head.headers);
        let context = Context {
            request_id: Some(request_id),
            traceparent: traceparent.map(|trace| trace.to_string()),
            ..Context::default()
        };
        let result = runtime.call_json(&id, args, CallOptions::default().with_context(context)).await?;
        Ok(payload::response(&result))
    }

    /// Refuses whoever may not change anything.
    fn authorize(&self, head: &Parts) -> Result<(), Problem> {
        let Some(token) = &self.options.token else {
            let detail = "nobody may call functions here: there is no token (see --admin-token-file)";
            return Err(Problem::new(StatusCode::FORBIDDEN, detail));
        };
        let given = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.split_once(' '));
        let is_right =
            given.is_some_and(|(scheme, given)| scheme.eq_ignore_ascii_case("bearer") && token.is(given.trim_start()));
        if is_right {
            return Ok(());
        }
        let mut problem =
            Problem::new(StatusCode::UNAUTHORIZED, "calls need the token, as `Authorization: Bearer TOKEN`");
        let challenge: (HeaderName, _) = (WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        problem.headers.push(challenge);
        Err(problem)
    }
}

/// Refuses other methods than these.
fn only(methods: &[Method], head: &Parts) -> Result<(), Problem> {
    if methods.contains(&head.method) {
        return Ok(());
    }
    let names = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    let mut problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{} is not answered here", head.method));
    problem.headers.extend(HeaderValue::from_str(&names).ok().map(|allow| (ALLOW, allow)));
    Err(problem)
}

fn unavailable(detail: &str) -> Problem {
    CallError::new(ErrorKind::Unavailable, detail).into()
}

fn text(kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(full(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
