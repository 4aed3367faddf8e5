//! Components that handle HTTP requests themselves, by `wasi:http/incoming-handler`: a request in, and its response out
//! while the guest runs.
//!
//! How callers meet the response is `exchange`'s business; what guests see of requests is wasmtime's.

use std::sync::{Arc, OnceLock};

use http::{HeaderValue, Request, Response, header::HOST, uri::Scheme as UriScheme};
use http_body_util::{BodyExt, LengthLimitError};
use wasmtime::component::{ComponentExportIndex, Instance, Resource, TypedFunc};
use wasmtime_wasi_http::{
    Error, WasiHttpView as _,
    p2::{
        bindings::http::types::{ErrorCode, Scheme},
        types::{HostIncomingRequest, HostResponseOutparam},
    },
};

use super::{
    instance::{Store, WasmInstance},
    method::Export,
    names,
};
use crate::call::{Answer, BodyError, CallError, Context, ErrorKind, HttpRequest};

/// The `handle` of an instance.
pub(super) type Handler = TypedFunc<(Resource<HostIncomingRequest>, Resource<HostResponseOutparam>), ()>;

/// Whether an export handles requests.
pub(super) fn is_handler(export: &Export) -> bool {
    export.name == "handle"
        && export.interface.as_deref().is_some_and(|name| {
            let (package, interface, version) = names::interface_parts(name);
            (package, interface) == (Some("wasi:http"), "incoming-handler")
                && version.is_some_and(|version| version.starts_with("0.2.") && !version.contains('-'))
        })
}

/// The handler of a new instance.
pub(super) fn handler(
    instance: &Instance,
    store: &mut Store,
    export: ComponentExportIndex,
) -> wasmtime::Result<Handler> {
    instance.get_typed_func(store, export)
}

impl WasmInstance {
    /// Gives a request to the guest, and runs it to its end.
    pub(super) async fn handle(
        &mut self,
        handler: Handler,
        call: HttpRequest,
        context: &Arc<Context>,
    ) -> Result<Answer, CallError> {
        let HttpRequest { request, scheme, response, progress } = call;
        let ongoing = progress.begin();
        let given = Arc::new(OnceLock::new());
        let outcome = given.clone();
        let respond = move |result: Result<Response<_>, ErrorCode>| {
            // The guest can respond once, and a caller that has gone away needs no response.
            drop(given.set(result.map(|head| drop(response.send(head.map(outgoing))))));
        };
        let result = async {
            self.begin(context)?;
            let (store, _running) = self.running();
            let mut http = store.data_mut().http();
            let request = http.new_incoming_request(wasi_scheme(&scheme), with_authority(request).map(incoming))?;
            let respond = http.new_response_outparam_from_callback(respond)?;
            handler.call_async(store, (request, respond)).await
        };
        let result = result.await.map_err(|error| self.call_error(&error)).and_then(|()| {
            match outcome.get() {
                Some(Ok(())) => Ok(()),
                Some(Err(code)) => {
                    Err(format!("`{}` answered with an error instead of a response: {code:?}", self.id()))
                }
                None => Err(format!("`{}` ended without a response: it never set the `response-outparam`", self.id())),
            }
            .map_err(|message| CallError::new(ErrorKind::Internal, message))
        });
        match result {
            Ok(()) => {
                ongoing.ended();
                self.ended_well();
                Ok(Answer::Http)
            }
            Err(error) => {
                if progress.is_left() {
                    let (function, backtrace) = (self.id(), error.backtrace());
                    tracing::warn!(%function, %error, backtrace, "a guest failed after its response was complete");
                }
                Err(error)
            }
        }
    }
}

fn wasi_scheme(scheme: &UriScheme) -> Scheme {
    match scheme.as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    }
}

/// Requests of HTTP/1.0 may lack what guests are promised.
fn with_authority<B>(mut request: Request<B>) -> Request<B> {
    if request.uri().authority().is_none() && !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
    }
    request
}

fn incoming(body: crate::call::HttpBody) -> impl http_body::Body<Data = bytes::Bytes, Error = Error> + Send {
    body.map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(error) => Error::Hyper(*error),
        Err(error) if error.is::<LengthLimitError>() => Error::HttpRequestBodySize(None),
        Err(error) => Error::InternalError(Some(error.to_string())),
    })
}

fn outgoing(body: wasmtime_wasi_http::WasiBody) -> crate::call::HttpBody {
    body.map_err(|error| BodyError::from(error.to_string())).boxed_unsync()
}
