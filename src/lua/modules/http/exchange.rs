//! One request and its response while a call works on them.
//!
//! The head of the response goes out when it is flushed, or when more was written than is held; from then on its body
//! streams, and who writes waits for who reads.

use std::{
    io, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, stream};
use greenroom_actors::{BodyError, CallError, ErrorKind, HttpBody, HttpRequest, Responder};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body::Frame;
use http_body_util::{BodyExt, LengthLimitError, StreamBody};
use mlua::{Lua, Value};
use tokio::sync::mpsc;

use super::result::Made;
use crate::http::{InvalidResponse, has_no_content, whole};

/// What is held of a body before it begins to stream, in bytes, and the size of its pieces then.
const HELD_BYTES_MAX: usize = 64 << 10;

/// Pieces on the way to who reads them.
const PIECES_MAX: usize = 2;

/// A request and its response.
pub(in crate::lua) struct Exchange {
    pub(super) head: Parts,
    body: tokio::sync::Mutex<Incoming>,
    outgoing: Mutex<Outgoing>,
}

/// The body of the request.
enum Incoming {
    Coming(HttpBody),
    Read(Result<Bytes, CallError>),
}

/// The response.
struct Outgoing {
    /// Gone when the call has ended. Before the body, so that one that broke off is known to have.
    responder: Option<Responder>,
    status: Option<StatusCode>,
    headers: HeaderMap,
    /// The media type of what was written, once something was.
    kind: Option<&'static str>,
    held: BytesMut,
    /// The body, while it streams.
    sender: Option<mpsc::Sender<Bytes>>,
}

impl Exchange {
    /// The call begins.
    pub(in crate::lua) fn open(request: HttpRequest) -> Arc<Self> {
        let (request, _, responder) = request.open();
        let (head, body) = request.into_parts();
        let outgoing = Outgoing {
            responder: Some(responder),
            status: None,
            headers: HeaderMap::new(),
            kind: None,
            held: BytesMut::new(),
            sender: None,
        };
        Arc::new(Self { head, body: Incoming::Coming(body).into(), outgoing: outgoing.into() })
    }

    /// The whole body of the request.
    pub(super) async fn body(&self) -> Result<Bytes, CallError> {
        let mut incoming = self.body.lock().await;
        let unread = Incoming::Read(Err(CallError::new(ErrorKind::Canceled, "nobody waited for the request's body")));
        let read = match mem::replace(&mut *incoming, unread) {
            Incoming::Coming(body) => body.collect().await.map(|body| body.to_bytes()).map_err(broken),
            Incoming::Read(read) => read,
        };
        *incoming = Incoming::Read(read.clone());
        read
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_status(&self, status: StatusCode) -> Result<(), CallError> {
        self.outgoing().unsent()?.status = Some(status);
        Ok(())
    }

    /// Instead of those of its name, or besides them.
    pub(super) fn set_header(&self, (name, value): (HeaderName, HeaderValue), is_more: bool) -> Result<(), CallError> {
        let mut outgoing = self.outgoing();
        let headers = &mut outgoing.unsent()?.headers;
        let fits =
            if is_more { headers.try_append(name, value).map(drop) } else { headers.try_insert(name, value).map(drop) };
        fits.map_err(|_| CallError::new(ErrorKind::Invalid, "the response has too many headers"))
    }

    /// Writes a piece of the body. What is held goes out when there is too much of it.
    pub(super) async fn write(&self, text: &[u8], kind: &'static str) -> Result<(), CallError> {
        {
            let mut outgoing = self.outgoing();
            outgoing.ongoing()?;
            outgoing.kind.get_or_insert(kind);
            outgoing.held.extend_from_slice(text);
            if outgoing.held.len() <= HELD_BYTES_MAX {
                return Ok(());
            }
        }
        self.flush().await
    }

    /// Sends what was written, after the head.
    pub(super) async fn flush(&self) -> Result<(), CallError> {
        loop {
            let (sender, piece) = {
                let mut outgoing = self.outgoing();
                outgoing.begin()?;
                let length = outgoing.held.len().min(HELD_BYTES_MAX);
                let piece = outgoing.held.split_to(length).freeze();
                if piece.is_empty() {
                    return Ok(());
                }
                (outgoing.sender.clone(), piece)
            };
            let Some(sender) = sender else { return Err(unread()) };
            sender.send(piece).await.map_err(|_| unread())?;
        }
    }

    /// The function has returned: what it wrote goes out, or what its result makes.
    ///
    /// # Errors
    /// When there is no such response.
    pub(in crate::lua) async fn finish(&self, lua: &Lua, result: &Value, bytes_max: u64) -> Result<(), CallError> {
        let streams = {
            let mut outgoing = self.outgoing();
            let streams = outgoing.responder.as_ref().is_some_and(Responder::has_responded);
            if !streams {
                let response = outgoing.whole(lua, result, bytes_max)?;
                outgoing.respond(response);
            }
            streams
        };
        match streams {
            true => self.flush().await.or_else(|error| match error.kind() {
                // Whoever has the head alone is served.
                ErrorKind::Canceled => Ok(()),
                _ => Err(error),
            }),
            false => Ok(()),
        }
    }

    /// The call is over, and the response whole if it came to its end.
    pub(in crate::lua) fn close(&self, is_whole: bool) {
        let mut outgoing = self.outgoing();
        if let Some(responder) = outgoing.responder.take()
            && is_whole
        {
            responder.ended();
        }
        outgoing.sender = None;
        // An instance may serve more calls, and its file may have kept the request.
        if let Ok(mut incoming) = self.body.try_lock() {
            *incoming = Incoming::Read(Err(ended()));
        }
    }
}

impl Outgoing {
    fn ongoing(&mut self) -> Result<&mut Responder, CallError> {
        self.responder.as_mut().ok_or_else(ended)
    }

    /// The response, whose head can still be changed.
    fn unsent(&mut self) -> Result<&mut Self, CallError> {
        if self.ongoing()?.has_responded() {
            let message = "the head of the response has been sent; set status and headers before the first `flush`, and \
                           before more than 64 KiB are written";
            return Err(CallError::new(ErrorKind::Invalid, message));
        }
        Ok(self)
    }

    /// Sends the head, once.
    fn begin(&mut self) -> Result<(), CallError> {
        if self.ongoing()?.has_responded() {
            return Ok(());
        }
        let mut response = Response::new(HttpBody::default());
        *response.status_mut() = self.status.unwrap_or_default();
        *response.headers_mut() = mem::take(&mut self.headers);
        if let Some(kind) = self.kind {
            response.headers_mut().entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
        }
        if !has_no_content(response.status()) {
            let (sender, mut receiver) = mpsc::channel(PIECES_MAX);
            let pieces = stream::poll_fn(move |cx| receiver.poll_recv(cx));
            *response.body_mut() =
                StreamBody::new(pieces.map(|piece| Ok::<_, BodyError>(Frame::data(piece)))).boxed_unsync();
            self.sender = Some(sender);
        }
        self.respond(response);
        Ok(())
    }

    fn respond(&mut self, response: Response<HttpBody>) {
        if let Some(responder) = &mut self.responder {
            responder.respond(response);
        }
    }

    /// The response of a call that flushed nothing. What was written is all of it; else the result is, with the status and
    /// the headers that were set.
    fn whole(&mut self, lua: &Lua, result: &Value, bytes_max: u64) -> Result<Response<HttpBody>, CallError> {
        let made = match self.kind {
            Some(kind) => {
                let content = Some((kind, mem::take(&mut self.held).freeze()));
                Made { status: None, headers: HeaderMap::new(), content }
            }
            None => Made::new(lua, result, bytes_max)?,
        };
        let usual = if made.content.is_some() { StatusCode::OK } else { StatusCode::NO_CONTENT };
        let mut headers = made.headers;
        // Gives several of one name in their order, and replaces those of the result.
        headers.extend(mem::take(&mut self.headers));
        let status = made.status.or(self.status).unwrap_or(usual);
        whole(status, headers, made.content).map_err(no_response)
    }
}

/// A result that looks like a response and is none.
pub(super) fn no_response(error: InvalidResponse) -> CallError {
    CallError::new(ErrorKind::Internal, format!("the result is no response: {error}"))
}

fn ended() -> CallError {
    CallError::new(ErrorKind::Invalid, "the call that this request was of has ended")
}

fn unread() -> CallError {
    CallError::new(ErrorKind::Canceled, "nobody reads the response's body")
}

/// Why there is no more of a request's body.
fn broken(error: BodyError) -> CallError {
    let is_late = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
    if error.is::<LengthLimitError>() {
        let message = "the request's body is larger than the endpoint's limits.max_body_bytes";
        return CallError::new(ErrorKind::Invalid, message);
    }
    let kind = if error.downcast_ref().is_some_and(is_late) { ErrorKind::Timeout } else { ErrorKind::Canceled };
    CallError::new(kind, format!("the request's body broke off: {error}"))
}
