//! `wasi:http/handler` of WASI 0.3: a request in, a response back, and a guest that works on.

use std::{convert::Infallible, future::poll_fn};

use bytes::Bytes;
use http::{
    Request, Response,
    header::HOST,
    uri::{Authority, Scheme},
};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::oneshot;
use wasmtime::component::{Resource, TypedFunc};
use wasmtime_wasi_http::{
    Error, WasiHttpView as _,
    p3::{self, bindings::http::types::ErrorCode},
};

use crate::call::{BodyError, HttpBody};
use crate::wasm::instance::Store;

/// The `handle` of an instance.
pub(super) type Handler = TypedFunc<(Resource<p3::Request>,), (Result<Resource<p3::Response>, ErrorCode>,)>;

/// Gives a request to the guest, and runs all that it does to its end.
pub(super) async fn call<B>(
    store: &mut Store,
    handler: Handler,
    scheme: Scheme,
    request: Request<B>,
    respond: impl FnOnce(Result<Response<HttpBody>, String>) + Send,
) -> wasmtime::Result<()>
where
    B: Body<Data = Bytes, Error = Error> + Send + 'static,
{
    let host = request.headers().get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    // Told when nothing holds the response's body any more.
    let (held, released) = oneshot::channel::<Infallible>();
    let handling = store.run_concurrent(async move |accessor| {
        let request = accessor.with(|mut access| {
            let http = access.data_mut().http();
            // What guests say of the request is of no use to who sent it: they have a response for that.
            let (mut request, _) = p3::Request::from_http(http.hooks, request);
            request.scheme = Some(scheme);
            request.authority = request.authority.or(host);
            http.table.push(request)
        })?;
        match handler.call_concurrent(accessor, (request,)).await?.0 {
            Ok(response) => {
                let response = accessor.with(|mut access| {
                    let response = access.data_mut().http().table.delete(response)?;
                    let sent = async {
                        drop(released.await);
                        Ok(())
                    };
                    response.into_http(&mut access, sent)
                })?;
                respond(Ok(response.map(|body| outgoing(body, held))));
            }
            Err(code) => respond(Err(format!("{code:?}"))),
        }
        // What it writes of the body, and whatever it does afterwards.
        poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
        Ok(())
    });
    handling.await?
}

/// The body, which drops what is held when it is dropped.
fn outgoing(body: wasmtime_wasi_http::WasiBody, held: oneshot::Sender<Infallible>) -> HttpBody {
    let in_words = move |error: Error| {
        let _held = &held;
        BodyError::from(error.to_string())
    };
    body.map_err(in_words).boxed_unsync()
}
