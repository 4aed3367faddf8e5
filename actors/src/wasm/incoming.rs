//! Components that handle HTTP requests themselves, by `wasi:http/incoming-handler` of WASI 0.2 or `wasi:http/handler` of
//! 0.3: a request in, and its response out while the guest runs.
//!
//! How callers meet the response is `exchange`'s business; what guests see of requests is wasmtime's.

mod p3;

use std::{future::poll_fn, pin::pin, sync::Arc};

use http::{HeaderValue, Request, Response, header::HOST, uri::Scheme as UriScheme};
use http_body_util::{BodyExt, LengthLimitError};
use tokio::sync::oneshot;
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
use crate::call::{Answer, BodyError, CallError, Context, ErrorKind, HttpBody, HttpRequest};

/// The `handle` of an instance.
#[derive(Clone, Copy)]
pub(super) enum Handler {
    P2(TypedFunc<(Resource<HostIncomingRequest>, Resource<HostResponseOutparam>), ()>),
    P3(p3::Handler),
}

/// Whether an export handles requests.
pub(super) fn is_handler(export: &Export) -> bool {
    export.name == "handle"
        && export.interface.as_deref().is_some_and(|name| {
            let (package, interface, version) = names::interface_parts(name);
            let versions = match interface {
                "incoming-handler" => "0.2.",
                "handler" => "0.3.",
                _ => return false,
            };
            package == Some("wasi:http")
                && version.is_some_and(|version| version.starts_with(versions) && !version.contains('-'))
        })
}

/// The handler of a new instance.
pub(super) fn handler(
    instance: &Instance,
    store: &mut Store,
    export: ComponentExportIndex,
) -> wasmtime::Result<Handler> {
    let of_p2 = instance.get_typed_func(&mut *store, export).map(Handler::P2);
    of_p2.or_else(|_| instance.get_typed_func(store, export).map(Handler::P3))
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
        let mut outcome = None;
        let respond = |result: Result<Response<HttpBody>, String>| {
            // A caller that has gone away needs no response.
            outcome = Some(result.map(|head| drop(response.send(head))));
        };
        let result = async {
            self.begin(context)?;
            let store = self.store();
            let request = with_authority(request).map(incoming);
            match handler {
                Handler::P2(handler) => {
                    let mut http = store.data_mut().http();
                    let request = http.new_incoming_request(wasi_scheme(&scheme), request)?;
                    let (set, mut given) = oneshot::channel();
                    let outparam = http.new_response_outparam_from_callback(|result| drop(set.send(result)))?;
                    let mut call = pin!(handler.call_async(store, (request, outparam)));
                    let mut respond = Some(respond);
                    poll_fn(|cx| {
                        let polled = call.as_mut().poll(cx);
                        // Not before the guest lets others go on: what it has written of the body by then goes out with
                        // the head, and its caller is woken once.
                        if let Ok(result) = given.try_recv()
                            && let Some(respond) = respond.take()
                        {
                            let in_words = |code: ErrorCode| format!("{code:?}");
                            respond(result.map(|head: Response<_>| head.map(outgoing)).map_err(in_words));
                        }
                        polled
                    })
                    .await
                }
                Handler::P3(handler) => {
                    progress.pass_on();
                    p3::call(store, handler, scheme, request, respond).await
                }
            }
        };
        let result = result.await.map_err(|error| self.call_error(&error)).and_then(|()| {
            match outcome {
                Some(Ok(())) => Ok(()),
                Some(Err(code)) => Err(format!("`{}` answered with an error instead of a response: {code}", self.id())),
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

fn incoming(body: HttpBody) -> impl http_body::Body<Data = bytes::Bytes, Error = Error> + Send {
    body.map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(error) => Error::Hyper(*error),
        Err(error) if error.is::<LengthLimitError>() => Error::HttpRequestBodySize(None),
        Err(error) => Error::InternalError(Some(error.to_string())),
    })
}

fn outgoing(body: wasmtime_wasi_http::WasiBody) -> HttpBody {
    body.map_err(|error| BodyError::from(error.to_string())).boxed_unsync()
}
