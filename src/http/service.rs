//! One request, from its head to its response: what every request has in common, whatever its route.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use greenroom_actors::Context;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONTENT_LENGTH, COOKIE, HOST},
    uri::Authority,
};
use http_body::Body as _;
use hyper::body::Incoming;
use tower::ServiceExt;

use super::{
    Body,
    body::{Outbound, inbound},
    connection::{HEADERS_MAX, Site},
    identity::{REQUEST_ID, request_id, traceparent},
    problem::Problem,
    record::{Failure, Record},
    routes::{Found, Target},
    timeouts::Activity,
};

/// The path and query of a request, in bytes. Longer ones are answered 414.
pub const URI_BYTES_MAX: usize = 8 << 10;

/// The body of a request, and what is known of the request besides what it says: in the place of its body, for the way
/// through the middleware of its router.
pub(super) struct Routed {
    pub(super) site: Arc<Site>,
    pub(super) body: Body,
    pub(super) target: Target,
    pub(super) context: Context,
}

/// Answers a request.
pub(super) async fn respond(
    site: Arc<Site>,
    activity: Arc<Activity>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response<Outbound>, Infallible> {
    activity.request_came(request.version() == Version::HTTP_2);
    let (mut head, incoming) = request.into_parts();
    let (id, id_text) = request_id(&head.headers);
    let mut record = Record::new(site.clone(), activity, peer, &head.method, &head.uri, id.clone());
    let is_head = head.method == Method::HEAD;

    let found = match unacceptable(&head) {
        Some(problem) => site.routes.nobody(Target::Refused(problem)),
        None => site.routes.find(&head.method, head.uri.path()),
    };
    let Found { router, route, mut target } = found;
    record.route = route;
    let mut body = Body::default();
    if let Target::Endpoint(endpoint, _) = &target {
        let bytes_max = site.routes.endpoint(*endpoint).body_bytes_max;
        // A length that is told is not waited for.
        if incoming.size_hint().lower() > bytes_max {
            target = Target::Refused(body_too_large(bytes_max));
        } else {
            let is_held = !incoming.is_end_stream() && !site.routes.endpoint(*endpoint).endpoint.streams();
            record.place = is_held.then(|| site.room.place());
            body = inbound(incoming, bytes_max, site.timeouts.read, record.place.clone());
            if let Some(place) = &record.place {
                head.extensions.insert(place.clone());
            }
        }
    }
    let traceparent = record.begin(&id_text, traceparent(&head.headers));
    let context = Context {
        request_id: Some(id_text),
        traceparent: traceparent.map(|trace| trace.to_string()),
        ..Context::default()
    };
    head.extensions.insert(record.client());
    // The function has the id that the log has, whatever the client said.
    head.headers.insert(REQUEST_ID, id.clone());
    join_cookies(&mut head.headers);
    let request = Request::from_parts(head, Routed { site: site.clone(), body, target, context });
    let mut response = match router.and_then(|router| site.routes.stack(router)) {
        None => dispatch(request).await,
        Some(stack) => match stack.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
    };

    let failure = response.extensions_mut().remove::<Failure>();
    record.responded(response.status(), failure, response.extensions_mut().remove());
    response.headers_mut().insert(REQUEST_ID, id);
    let (mut head, body) = response.into_parts();
    let body = if is_head {
        // The headers are those that GET has, and hyper knows no length of what it never sees.
        let has_length = !matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if let (Some(length), true) = (body.size_hint().exact(), has_length) {
            head.headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
        }
        None
    } else {
        Some(body)
    };
    Ok(Response::from_parts(head, Outbound::new(body, record)))
}

/// Gives a request to what it is for.
pub(super) async fn dispatch(request: Request<Routed>) -> Response<Body> {
    let (head, Routed { site, body, target, context }) = request.into_parts();
    let answered = match target {
        Target::Endpoint(endpoint, params) => {
            let request = Request::from_parts(head, body);
            site.routes.endpoint(endpoint).endpoint.answer(request, params, context).await
        }
        Target::Files(index) => site.routes.files(index).answer(&head).await,
        Target::Options(allow) => {
            let mut response = Response::new(Body::default());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response.headers_mut().extend(allow.map(|allow| (http::header::ALLOW, allow)));
            Ok(response)
        }
        Target::Refused(problem) => Err(problem),
    };
    match answered {
        Ok(response) if response.status().is_informational() => {
            let detail = format!("the status of a response cannot be {}", response.status().as_u16());
            refusal(&site, Problem::new(StatusCode::INTERNAL_SERVER_ERROR, detail))
        }
        Ok(response) => response,
        Err(problem) => refusal(&site, problem),
    }
}

/// The response of an error, which remembers why for the log.
pub(super) fn refusal(site: &Site, problem: Problem) -> Response<Body> {
    let failure = Failure::from(&problem);
    let mut response = problem.into_response(site.dev);
    response.extensions_mut().insert(failure);
    response
}

/// Why a request is none, whatever it is for.
fn unacceptable(head: &http::request::Parts) -> Option<Problem> {
    let uri = head.uri.path_and_query().map_or(0, |text| text.as_str().len());
    if uri > URI_BYTES_MAX {
        let detail = format!("path and query have {uri} bytes; {URI_BYTES_MAX} is the most");
        return Some(Problem::new(StatusCode::URI_TOO_LONG, detail));
    }
    // What caches and proxies in front of us take for the host is what we take for it, or there is none.
    if head.version == Version::HTTP_11 && head.headers.get_all(HOST).iter().count() != 1 {
        return Some(Problem::new(StatusCode::BAD_REQUEST, "a request of HTTP/1.1 has one `Host` header"));
    }
    let host = head.headers.get(HOST).map(HeaderValue::as_bytes);
    let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes());
    let is_host = |text: &[u8]| text.is_empty() || !text.contains(&b'@') && Authority::try_from(text).is_ok();
    if ![host, authority].into_iter().flatten().all(is_host) {
        return Some(Problem::new(StatusCode::BAD_REQUEST, "the `Host` of the request is no host with a port"));
    }
    // hyper counts those of HTTP/1.1 alone.
    let headers = head.headers.len();
    (headers > HEADERS_MAX).then(|| {
        let detail = format!("there are {headers} headers; {HEADERS_MAX} is the most");
        Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
    })
}

/// Clients of HTTP/2 may send a header for each cookie; whoever reads headers knows them as one (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    if let (Some(_), Some(_)) = (cookies.next(), cookies.next()) {
        let all: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        // Values joined by what may be in a value are one.
        if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
            headers.insert(COOKIE, joined);
        }
    }
}

fn body_too_large(bytes_max: u64) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the request's body is larger than {bytes_max} bytes"))
}
