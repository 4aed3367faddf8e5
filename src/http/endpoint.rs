//! One endpoint: a request becomes a call of its function, and the result a response.

mod content;
mod mapped;
pub(super) mod payload;
pub(super) mod query;
mod request;
pub(super) mod response;

use std::{fmt, sync::Arc};

use greenroom_actors::{
    Context,
    spec::{FunctionId, Transport},
    wasm::{Signature, WitType, host_bytes},
};
use http::{Request, Response, StatusCode, uri::Scheme};
use http_body_util::BodyExt;

use self::mapped::Mapped;
use super::{Body, Client, problem::Problem, room::Place};
use crate::{CallError, CallOptions, ErrorKind, Runtime, registry::http::EndpointSpec};

/// One endpoint, ready to answer.
pub(super) struct Endpoint {
    runtime: greenroom_actors::Runtime,
    function: FunctionId,
    way: Way,
}

/// How requests become calls.
enum Way {
    /// The function is given the request, and makes the response.
    Native,
    /// Parameters are found by their names.
    Mapped { params: Mapped, result: Option<WitType> },
    /// The body is a JSON array of arguments.
    Payload,
}

/// The parameters of an endpoint's path, decoded: an extension of requests that functions handle themselves.
#[derive(Debug, Clone)]
pub(crate) struct PathParams(pub(crate) Arc<[(String, String)]>);

/// What a function takes.
pub(crate) enum Takes {
    /// Requests, as they are.
    Requests,
    /// Values of WIT.
    Values(Signature),
    /// JSON: it is of another language.
    Json,
}

/// Whether requests can become calls of a function.
///
/// # Errors
/// Why not: what to say at `func` of the endpoint's entry.
pub(crate) fn check(spec: &EndpointSpec, takes: Takes) -> Result<(), String> {
    Way::of(spec, takes).map(drop)
}

impl Way {
    fn of(spec: &EndpointSpec, takes: Takes) -> Result<Self, String> {
        match (spec.transport, takes) {
            (_, Takes::Requests) => Ok(Self::Native),
            (Transport::Payload, _) => Ok(Self::Payload),
            (Transport::WasiHttp, Takes::Values(signature)) => {
                let named = |why: String| format!("`{}` is func{signature}: {why}", spec.function);
                let params = Mapped::new(&signature).map_err(named)?;
                signature.result.as_ref().map_or(Ok(()), response::check).map_err(named)?;
                Ok(Self::Mapped { params, result: signature.result })
            }
            (Transport::WasiHttp, Takes::Json) => {
                Err(format!("`{}` is no WebAssembly function, and cannot have `wasi-http`", spec.function))
            }
        }
    }
}

impl Endpoint {
    /// Looks at the function once, so that requests need not.
    ///
    /// # Errors
    /// Why requests cannot become calls of this function: what to say at `func` of the endpoint's entry.
    pub(super) fn new(runtime: &Runtime, spec: &EndpointSpec) -> Result<Self, String> {
        let id = spec.function.as_str();
        let known = |error: CallError| error.to_string();
        let takes = match runtime.handles_http(id).map_err(known)? {
            true => Takes::Requests,
            false => runtime.signature(id).map_err(known)?.map_or(Takes::Json, Takes::Values),
        };
        let way = Way::of(spec, takes)?;
        Ok(Self { runtime: (**runtime).clone(), function: spec.function.clone(), way })
    }

    /// Whether bodies go through it, and are held by nobody.
    pub(super) fn streams(&self) -> bool {
        matches!(self.way, Way::Native)
    }

    /// Answers a request that the routes gave to this endpoint. `params` are those of the path, decoded, in its order. The
    /// body ends with an error of type `http_body_util::LengthLimitError` when it is larger than allowed.
    pub(super) async fn answer(
        &self,
        mut request: Request<Body>,
        params: Vec<(String, String)>,
        context: Context,
    ) -> Result<Response<Body>, Problem> {
        let id = self.function.as_str();
        let place = request.extensions().get::<Arc<Place>>().cloned();
        let hold = |bytes: u64| place.as_ref().map_or(Ok(()), |place| place.grow(bytes));
        let options = CallOptions::default().with_context(context);
        match &self.way {
            Way::Native => {
                if !params.is_empty() {
                    request.extensions_mut().insert(PathParams(params.into()));
                }
                let response = self.runtime.handle(id, scheme(&request), request, options).await?;
                Ok(response.map(BodyExt::boxed_unsync))
            }
            Way::Mapped { params: mapped, result: ty } => {
                let args = mapped.arguments(request, &params).await?;
                hold(args.iter().map(host_bytes).sum())?;
                let result = self.runtime.call_vals(id, args, options).await?;
                response::response(result.as_ref(), ty.as_ref()).unwrap_or_else(|error| {
                    let detail = format!("`{id}`: the result is no response: {error}");
                    Err(CallError::new(ErrorKind::Internal, detail).into())
                })
            }
            Way::Payload => {
                let (head, body) = request.into_parts();
                let args = payload::arguments(&head.headers, body).await?;
                hold(args.iter().map(payload::host_bytes).sum())?;
                let result = self.runtime.call_json(id, args, options).await?;
                Ok(payload::response(&result))
            }
        }
    }
}

/// How a request came: what the connection is, whatever the client says.
fn scheme(request: &Request<Body>) -> Scheme {
    let is_tls = request.extensions().get::<Client>().is_some_and(|client| client.tls);
    if is_tls { Scheme::HTTPS } else { Scheme::HTTP }
}

/// A request that does not fit.
fn invalid(detail: impl fmt::Display) -> Problem {
    let mut problem = Problem::new(StatusCode::BAD_REQUEST, detail.to_string());
    problem.kind = Some(ErrorKind::Invalid);
    problem
}
