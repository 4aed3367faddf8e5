//! Outgoing HTTP of functions in other languages: the same policy, look-ups, certificates and limits as `wasi:http` has, with
//! requests and responses that are whole.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response,
    header::{CONTENT_LENGTH, HOST},
    uri::Scheme,
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use wasmtime_wasi_http::{DEFAULT_FORBIDDEN_HEADERS, Error, RequestOptions};

use super::{
    FunctionNetwork, SharedNetwork, StoreNetwork,
    http::{Failure, send, trace},
};
use crate::{
    call::{CallError, Context, ErrorKind},
    spec::{FunctionId, Network},
};

/// The body of a response, in bytes, when nobody says.
pub const RESPONSE_BYTES_MAX: usize = 8 << 20;

/// Sends the requests of one function. Cheap to clone; clones share the limit of [`REQUESTS_MAX`](super::REQUESTS_MAX)
/// requests at once.
#[derive(Clone)]
pub struct HttpClient(Arc<StoreNetwork>);

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

impl HttpClient {
    pub(in super::super) fn new(function: &FunctionId, network: &Network, shared: Arc<SharedNetwork>) -> Self {
        let function = Arc::new(FunctionNetwork::new(function, network, shared, "network.allow"));
        Self(Arc::new(StoreNetwork::new(&function)))
    }

    /// A client for another instance of the function, whose requests are counted for themselves.
    #[must_use]
    pub fn for_instance(&self) -> Self {
        Self(Arc::new(StoreNetwork::new(&self.0.function)))
    }

    /// Sends a request to an absolute URI of `http` or `https`, and reads the whole response. Follows no redirect. The
    /// request carries the trace of the context, unless it has one. Dropping the future ends the connection.
    ///
    /// # Errors
    /// `permission_denied` for what is not listed, with what to add; `invalid` for what is no request; `timeout` when it
    /// takes longer than this, which is for ever by default; `unavailable` when there is no response, or one with a body of
    /// more than `body_bytes_max`.
    pub async fn send(
        &self,
        mut request: Request<Bytes>,
        context: &Context,
        timeout: Option<Duration>,
        body_bytes_max: usize,
    ) -> Result<Response<Bytes>, CallError> {
        complete(&mut request)?;
        trace(request.headers_mut(), context);
        let to = request.uri().authority().map(ToString::to_string).unwrap_or_default();
        let exchange = self.exchange(request, body_bytes_max);
        let answered = match timeout {
            Some(timeout) => match tokio::time::timeout(timeout, exchange).await {
                Ok(answered) => answered,
                Err(_) => {
                    let message = format!("`{to}` gave no whole response in {} ms", timeout.as_millis());
                    return Err(CallError::new(ErrorKind::Timeout, message));
                }
            },
            None => exchange.await,
        };
        answered.map_err(|failure| match failure {
            Fault::TooLarge => {
                let message =
                    format!("the response of `{to}` has more than {body_bytes_max} bytes; raise `max_body_bytes`");
                CallError::new(ErrorKind::Unavailable, message)
            }
            Fault::Exchange(Failure::Refused(refusal)) => {
                CallError::new(ErrorKind::PermissionDenied, self.0.function.log.words(&refusal))
            }
            Fault::Exchange(Failure::Failed(error)) => failed(&to, &error),
        })
    }

    async fn exchange(&self, request: Request<Bytes>, body_bytes_max: usize) -> Result<Response<Bytes>, Fault> {
        let permit = self.0.requests().try_acquire_owned().map_err(|_| Failure::from(Error::ConnectionLimitReached))?;
        let request = request.map(|body| Full::new(body).map_err(|never| match never {}).boxed_unsync());
        let (response, done) = send(&self.0, request, RequestOptions::default(), permit).await?;
        let (head, body) = response.into_parts();
        let mut body = std::pin::pin!(Limited::new(body, body_bytes_max).collect());
        // The connection brings the body, and may be at its end before all of that was taken.
        let collected = tokio::select! {
            biased;
            collected = &mut body => collected,
            _ = Box::into_pin(done) => body.await,
        };
        match collected {
            Ok(collected) => Ok(Response::from_parts(head, collected.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(Fault::TooLarge),
            Err(error) => {
                let error = error.downcast::<Error>().map_or(Error::HttpResponseIncomplete, |error| *error);
                Err(Failure::from(error).into())
            }
        }
    }
}

/// Why there is no whole response.
enum Fault {
    TooLarge,
    Exchange(Failure),
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Exchange(failure)
    }
}

/// Refuses what is no request of a function, and adds what every request has.
fn complete(request: &mut Request<Bytes>) -> Result<(), CallError> {
    let invalid = |message: String| Err(CallError::new(ErrorKind::Invalid, message));
    let uri = request.uri();
    if ![Some(&Scheme::HTTP), Some(&Scheme::HTTPS)].contains(&uri.scheme()) {
        return invalid(format!("`{uri}` is no URL to send requests to; write `https://…` or `http://…`"));
    }
    let host = match uri.authority() {
        Some(authority) if !authority.as_str().contains('@') => HeaderValue::from_str(authority.as_str()),
        _ => return invalid(format!("`{uri}` has a user in it; send an `authorization` header")),
    };
    let own = |name: &&http::HeaderName| DEFAULT_FORBIDDEN_HEADERS.contains(name) || **name == CONTENT_LENGTH;
    if let Some(name) = request.headers().keys().find(own) {
        return invalid(format!("the header `{name}` is about the connection, which is not the function's business"));
    }
    let Ok(host) = host else { return invalid(format!("`{uri}` names no host")) };
    request.headers_mut().insert(HOST, host);
    Ok(())
}

fn failed(to: &str, error: &Error) -> CallError {
    let kind = match error {
        Error::ConnectionTimeout | Error::ConnectionReadTimeout | Error::DnsTimeout | Error::HttpResponseTimeout => {
            ErrorKind::Timeout
        }
        Error::HttpRequestUriInvalid => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    CallError::new(kind, format!("no response of `{to}`: {error}"))
}
