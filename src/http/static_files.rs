//! Files of a directory, as `http.static` entries describe them. Files are found and read on blocking threads, piece by
//! piece as the client takes them; nothing outside the directory is ever opened. Files whose names begin with a dot are
//! served like all others. What a request must fulfil is in `static_files/conditions.rs`.

mod body;
mod conditions;
mod find;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc};

use conditions::{Outcome, Validators};
use find::{Found, Target};
use headers::HeaderMapExt;
use http::{HeaderValue, Method, Response, StatusCode, header, request};
use http_body_util::BodyExt;
use percent_encoding::percent_decode_str;
use tokio::runtime::Handle;

use super::{Body, problem::Problem};
use crate::registry::http::StaticSpec;

/// The static files of one entry.
#[derive(Debug, Clone)]
pub(super) struct StaticFiles(Arc<Files>);

#[derive(Debug)]
struct Files {
    directory: PathBuf,
    index: Option<String>,
    spa: bool,
    cache: Option<HeaderValue>,
    /// Where files are read: not where guests read theirs, who might leave no thread for it.
    readers: Handle,
}

impl StaticFiles {
    /// What is answered, as `Allow` has it. OPTIONS is the business of the routes.
    pub(super) const METHODS: &str = "GET, HEAD, OPTIONS";

    /// Takes what an entry says. The directory is opened for each request, so that it may be replaced by another. Files are
    /// read on the blocking threads of the tokio runtime that this is called on.
    pub(super) fn new(spec: &StaticSpec) -> Self {
        let StaticSpec { id: _, path: _, directory, index, spa, cache } = spec.clone();
        Self(Arc::new(Files { directory, index, spa, cache, readers: Handle::current() }))
    }

    /// Answers a request. `below` is its path below that of the entry, as it came, with or without a `/` before it.
    ///
    /// # Errors
    /// 404 when there is no such file, and for paths that could name none: encoded slashes, backslashes, `..`; 405, 412 and
    /// 416; 500 when the system cannot open it, which the log tells more of.
    pub(super) async fn answer(&self, request: &request::Parts, below: &str) -> Result<Response<Body>, Problem> {
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let mut problem = Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("{} is not answered here; allowed: {}", request.method, Self::METHODS),
            );
            problem.headers.push((header::ALLOW, HeaderValue::from_static(Self::METHODS)));
            return Err(problem);
        }
        let target = Target::of(request.uri.path(), below).ok_or_else(not_found)?;
        let files = Arc::clone(&self.0);
        let wanted = conditions::Wanted::of(request);
        let found = self.0.readers.spawn_blocking(move || find::find(&files, &target, &wanted)).await;
        match found {
            Ok(Ok(Some(Found::File(file)))) => self.file(request, file),
            Ok(Ok(Some(Found::Directory))) => redirect(request),
            Ok(Ok(None)) => Err(not_found()),
            Ok(Err(error)) => {
                tracing::warn!(
                    target: "greenroom::http",
                    directory = %self.0.directory.display(),
                    path = request.uri.path(),
                    %error,
                    "a file cannot be served"
                );
                Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read"))
            }
            Err(_) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping")),
        }
    }

    fn file(&self, request: &request::Parts, file: find::File) -> Result<Response<Body>, Problem> {
        let find::File { name, length, validators, outcome, first, rest } = file;
        let mut response = Response::new(Body::default());
        let headers = response.headers_mut();
        let (status, bytes) = match outcome {
            Outcome::Whole => (StatusCode::OK, Some(0..length)),
            Outcome::Part(range) => {
                // A part is never empty.
                let text = format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1));
                headers.extend(HeaderValue::try_from(text).ok().map(|value| (header::CONTENT_RANGE, value)));
                (StatusCode::PARTIAL_CONTENT, Some(range))
            }
            Outcome::NotModified => (StatusCode::NOT_MODIFIED, None),
            Outcome::Failed => {
                return Err(Problem::new(StatusCode::PRECONDITION_FAILED, "the file is another one by now"));
            }
            Outcome::Unsatisfiable => {
                let mut problem =
                    Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, format!("the file has {length} bytes"));
                let all = HeaderValue::try_from(format!("bytes */{length}"));
                problem.headers.extend(all.ok().map(|value| (header::CONTENT_RANGE, value)));
                return Err(problem);
            }
        };
        let Validators { etag, modified } = validators;
        if let Some(etag) = etag {
            headers.typed_insert(etag);
        }
        if let Some(modified) = modified {
            headers.typed_insert(headers::LastModified::from(modified));
        }
        if let Some(cache) = &self.0.cache {
            headers.insert(header::CACHE_CONTROL, cache.clone());
        }
        if let Some(bytes) = bytes {
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            headers.insert(header::CONTENT_TYPE, content_type(&name));
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.end - bytes.start));
            if request.method != Method::HEAD {
                *response.body_mut() =
                    body::FileBody::new(first, rest, bytes.end - bytes.start, self.0.readers.clone()).boxed_unsync();
            }
        }
        *response.status_mut() = status;
        Ok(response)
    }
}

/// Sends a client that asks for a directory without a `/` to the same with one, as links in its index would go astray. The
/// way there is relative: proxies may have taken a part of the path.
fn redirect(request: &request::Parts) -> Result<Response<Body>, Problem> {
    let uri = &request.uri;
    let name = uri.path().rsplit('/').next().unwrap_or_default();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = HeaderValue::try_from(format!("./{name}/{query}")).map_err(|_| not_found())?;
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no such file")
}

/// By the ending of a file's name.
fn content_type(name: &str) -> HeaderValue {
    let Some(mime) = mime_guess::from_path(name).first_raw() else {
        return HeaderValue::from_static("application/octet-stream");
    };
    match mime.starts_with("text/") {
        true => HeaderValue::try_from(format!("{mime}; charset=utf-8")).unwrap_or(HeaderValue::from_static(mime)),
        false => HeaderValue::from_static(mime),
    }
}

impl Target {
    /// What a request asks for, or `None` when no file can be called so.
    fn of(path: &str, below: &str) -> Option<Self> {
        let below = below.strip_prefix('/').unwrap_or(below);
        let is_directory = path.ends_with('/');
        let below = below.strip_suffix('/').unwrap_or(below);
        let mut inside = String::new();
        for segment in below.split('/').filter(|_| !below.is_empty()) {
            let segment = percent_decode_str(segment).decode_utf8().ok()?;
            if matches!(&*segment, "" | "." | "..") || segment.contains(['/', '\\', '\0']) {
                return None;
            }
            if !inside.is_empty() {
                inside.push('/');
            }
            inside.push_str(&segment);
        }
        Some(Self { inside, is_directory })
    }
}
