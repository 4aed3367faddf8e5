//! Outgoing `wasi:http`: one connection for each request, to an address that was checked, and never looked up again.
//!
//! The types of requests and bodies are wasmtime's; which hosts may be reached is `policy`'s business.

use std::{error::Error as _, io, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, uri::Scheme};
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout, timeout_at},
};
use url::Host;
use wasmtime::{
    StoreContextMut,
    component::{Linker, Resource},
};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpHooks, p2::bindings::http::types::ErrorCode,
    p3::bindings::http::types::ErrorCode as P3ErrorCode,
};

use super::{
    super::host::GuestState,
    NoAddress, StoreNetwork,
    policy::{Answers, Refusal},
};
use crate::call::Context;

mod body;

/// Outgoing requests of one instance that may be under way at once. The next one fails with `connection-limit-reached`.
pub const REQUESTS_MAX: usize = 128;

/// How long a connection may take to be made, with its TLS handshake, when the guest does not say.
const CONNECT_MAX: Duration = Duration::from_secs(30);

/// How long a response may take to begin, or to go on, when the guest does not say.
const RESPONSE_MAX: Duration = Duration::from_secs(600);

/// Size of a response's header section, in bytes; also what is read of its body before the guest takes it.
const HEADERS_BYTES_MAX: usize = 128 << 10;

/// What a guest may write of a body at once, in bytes.
const CHUNK_BYTES_MAX: usize = 64 << 10;

/// How often a guest of WASI 0.2 may write to a body before the connection has taken some of it. Many write a body of a few
/// words in as many pieces, and would wait for the connection at each.
const CHUNKS_MAX: usize = 7;

/// Sends the requests of one store.
pub(in super::super) struct Outgoing {
    pub(in super::super) network: Arc<StoreNetwork>,
    /// That of the call that runs: requests carry its trace, unless the guest gives them one.
    pub(in super::super) context: Option<Arc<Context>>,
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

pub(super) type Done = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(Response<WasiBody>, Done), Error>;

/// Gives a request the trace of the call that makes it, unless it has one.
pub(super) fn trace(headers: &mut HeaderMap, context: &Context) {
    let traceparent: Option<HeaderValue> = context.traceparent.as_deref().and_then(|text| text.parse().ok());
    if let Some(traceparent) = traceparent {
        headers.entry(TRACEPARENT).or_insert(traceparent);
    }
}

/// Why there is no response.
pub(super) enum Failure {
    /// Nothing was sent: the destination is not listed.
    Refused(Refusal),
    Failed(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<hyper::Error> for Failure {
    fn from(error: hyper::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(Refusal::Name { .. }) => Self::HttpRequestDenied,
            Failure::Refused(_) => Self::DestinationIpProhibited,
            Failure::Failed(error) => error,
        }
    }
}

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Done,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        if let Some(context) = &self.context {
            trace(request.headers_mut(), context);
        }
        let network = Arc::clone(&self.network);
        let permit = network.requests().try_acquire_owned();
        Box::new(async move {
            let permit = permit.map_err(|_| Error::ConnectionLimitReached)?;
            Ok(send(&network, request, options.unwrap_or_default(), permit).await?)
        })
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        CHUNKS_MAX
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES_MAX
    }

    fn p2_error_from_hyper(&mut self, error: &hyper::Error) -> ErrorCode {
        code(error)
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        CHUNK_BYTES_MAX
    }

    fn p3_error_from_hyper(&mut self, error: &hyper::Error) -> P3ErrorCode {
        match code(error) {
            ErrorCode::HttpRequestBodySize(size) => P3ErrorCode::HttpRequestBodySize(size),
            ErrorCode::HttpResponseTimeout => P3ErrorCode::HttpResponseTimeout,
            ErrorCode::HttpResponseHeaderSectionSize(size) => P3ErrorCode::HttpResponseHeaderSectionSize(size),
            ErrorCode::HttpResponseIncomplete => P3ErrorCode::HttpResponseIncomplete,
            ErrorCode::ConnectionTerminated => P3ErrorCode::ConnectionTerminated,
            _ => P3ErrorCode::HttpProtocolError,
        }
    }
}

/// What went wrong with a connection, as `wasi:http` names it.
fn code(error: &hyper::Error) -> ErrorCode {
    tracing::debug!("an outgoing request failed: {error:?}");
    let cause = error.source();
    if let Some(Error::HttpRequestBodySize(size)) = cause.and_then(|cause| cause.downcast_ref()) {
        return ErrorCode::HttpRequestBodySize(*size);
    }
    let system = cause.and_then(|cause| cause.downcast_ref::<io::Error>());
    match error {
        _ if error.is_timeout() => ErrorCode::HttpResponseTimeout,
        _ if error.is_parse_too_large() => ErrorCode::HttpResponseHeaderSectionSize(None),
        _ if error.is_incomplete_message() => ErrorCode::HttpResponseIncomplete,
        _ if error.is_parse() => ErrorCode::HttpProtocolError,
        _ if system.is_some_and(|system| system.kind() == io::ErrorKind::UnexpectedEof) => {
            ErrorCode::HttpResponseIncomplete
        }
        _ if system.is_some() => ErrorCode::ConnectionTerminated,
        _ => ErrorCode::HttpProtocolError,
    }
}

/// Links `http-error-code` anew: wasmtime's knows the errors of its own functions, and not those of the bodies that it
/// is given.
pub(in super::super) fn link_error_codes(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance("wasi:http/types@0.2.12")?.func_wrap(
        "http-error-code",
        |mut store: StoreContextMut<'_, GuestState>, (error,): (Resource<wasmtime::Error>,)| {
            let error = store.data_mut().table().get(&error)?;
            let of_body = error.downcast_ref::<Error>().map(|error| match error {
                Error::Hyper(error) => code(error),
                Error::ConnectionReadTimeout => ErrorCode::ConnectionReadTimeout,
                Error::HttpRequestBodySize(size) => ErrorCode::HttpRequestBodySize(*size),
                other => ErrorCode::InternalError(Some(other.to_string())),
            });
            Ok((of_body.or_else(|| error.downcast_ref::<ErrorCode>().cloned()),))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

pub(super) async fn send(
    network: &Arc<StoreNetwork>,
    mut request: Request<WasiBody>,
    options: RequestOptions,
    permit: OwnedSemaphorePermit,
) -> Result<(Response<WasiBody>, Done), Failure> {
    let (host, port, tls) = destination(request.uri())?;
    let connect_max = options.connect_timeout.unwrap_or(CONNECT_MAX);
    let connecting = async {
        let stream = connect(network, &host, port, connect_max).await?;
        // Small requests are common, and waiting for more to send makes them slow. Failing to say so harms nobody.
        drop(stream.set_nodelay(true));
        let stream: Box<dyn Stream> = match tls {
            true => Box::new(network.function.shared.tls.connect(&host, stream).await?),
            false => Box::new(stream),
        };
        let handshake = http1::Builder::new().max_buf_size(HEADERS_BYTES_MAX).handshake(TokioIo::new(stream));
        handshake.await.map_err(Failure::from)
    };
    let (mut sender, mut connection) =
        timeout(connect_max, connecting).await.map_err(|_| Error::ConnectionTimeout)??;

    // Only proxies want scheme and authority in the request's first line.
    let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    *request.uri_mut() = Uri::builder().path_and_query(path).build().map_err(|_| Error::HttpRequestUriInvalid)?;

    let first_byte_max = options.first_byte_timeout.unwrap_or(RESPONSE_MAX);
    let mut is_over = false;
    let response = {
        let mut response = std::pin::pin!(timeout(first_byte_max, sender.send_request(request)));
        // The connection does the sending, and ends first when it breaks.
        let response = tokio::select! {
            biased;
            response = &mut response => response,
            ended = &mut connection => {
                is_over = true;
                ended?;
                response.await
            }
        };
        response.map_err(|_| Error::ConnectionReadTimeout)??
    };
    let between_max = options.between_bytes_timeout.unwrap_or(RESPONSE_MAX);
    let response = response.map(|body| body::Timed::new(body, between_max).boxed_unsync());
    let done = async move {
        let _permit = permit;
        if !is_over && let Err(error) = connection.await {
            // The body has told the guest.
            tracing::debug!("a connection of an outgoing request failed: {error}");
        }
        Ok(())
    };
    Ok((response, Box::new(done)))
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Host and port that a request goes to, and whether by TLS.
fn destination(uri: &Uri) -> Result<(Host, u16, bool), Error> {
    let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
    let tls = uri.scheme() == Some(&Scheme::HTTPS);
    let invalid = || Error::HttpRequestUriInvalid;
    // What is before an `@` would get into the `Host` header.
    let rest = authority.as_str().strip_prefix(authority.host()).ok_or_else(invalid)?;
    let port = match (authority.port_u16(), rest) {
        (Some(port), _) if port != 0 => port,
        (None, "") if tls => 443,
        (None, "") => 80,
        _ => return Err(invalid()),
    };
    let host = Host::parse(authority.host()).map_err(|_| invalid())?;
    Ok((host, port, tls))
}

/// Connects to the first address of the host that may be reached and answers.
async fn connect(network: &StoreNetwork, host: &Host, port: u16, within: Duration) -> Result<TcpStream, Failure> {
    let literal = |address: IpAddr| {
        network.function.policy.address(address, port, &Answers::default()).map(|()| vec![address]).map_err(|refusal| {
            network.function.log.refused(&refusal);
            Failure::Refused(refusal)
        })
    };
    let begun = Instant::now();
    let addresses = match host {
        Host::Ipv4(address) => literal((*address).into())?,
        Host::Ipv6(address) => literal(IpAddr::from(*address).to_canonical())?,
        Host::Domain(name) => network.resolve(name, Some(port)).await.map_err(|reason| match reason {
            NoAddress::Refused(refusal) => Failure::Refused(refusal),
            NoAddress::Unresolvable(error) => {
                tracing::debug!("{name} cannot be resolved: {error}");
                Failure::Failed(Error::DnsError { rcode: Some("name unresolvable".to_owned()), info_code: None })
            }
        })?,
    };
    let mut failure = Error::DestinationUnavailable;
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        // So that one that never answers leaves time for the others.
        let share = within.saturating_sub(begun.elapsed()) / left.max(1);
        left = left.saturating_sub(1);
        match timeout_at(Instant::now() + share, TcpStream::connect((address, port))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = unconnected(&error),
            Err(_) => failure = Error::ConnectionTimeout,
        }
    }
    Err(failure.into())
}

fn unconnected(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
        io::ErrorKind::TimedOut => Error::ConnectionTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Error::DestinationIpUnroutable,
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Error::ConnectionTerminated,
        _ => Error::DestinationUnavailable,
    }
}
