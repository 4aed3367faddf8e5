//! `compress`: what clients accept compressed, by tower-http. What is compressed already, such as images, is left as it
//! is, and so are streams of events, parts, and what nobody may transform.

use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_ENCODING, ETAG},
};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, util::BoxCloneSyncService};
use tower_http::{
    CompressionLevel,
    compression::{
        CompressionLayer,
        predicate::{NotForContentType, Predicate, SizeAbove},
    },
};

use super::Stack;
use crate::registry::http::{CompressLevel, CompressSpec};

pub(super) fn around(inside: Stack, spec: CompressSpec) -> Stack {
    let level = match spec.level {
        CompressLevel::Fastest => CompressionLevel::Fastest,
        CompressLevel::Default => CompressionLevel::Default,
        CompressLevel::Best => CompressionLevel::Best,
    };
    let worth_it = SizeAbove::new(spec.min_bytes.into())
        .and(NotForContentType::GRPC)
        .and(NotForContentType::IMAGES)
        .and(NotForContentType::SSE)
        .and(|status, _, headers: &HeaderMap, _: &_| is_whole(status) && may_be_transformed(headers));
    let compress = CompressionLayer::new().quality(level).compress_when(worth_it);
    let compressed = compress.layer(inside.map_response(Before::remember));
    BoxCloneSyncService::new(compressed.map_response(|response| Before::compare(response.map(BodyExt::boxed_unsync))))
}

/// Whether the body is all of what is asked for: some statuses have none, and a part is a part of what is not compressed.
fn is_whole(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED)
}

fn may_be_transformed(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CACHE_CONTROL).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    !values.into_iter().any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}

/// How a response was before it was compressed: an extension of it.
#[derive(Debug, Clone, Copy)]
struct Before {
    status: StatusCode,
    encoded: bool,
}

impl Before {
    fn remember<B>(mut response: Response<B>) -> Response<B> {
        let encoded = response.headers().contains_key(CONTENT_ENCODING);
        let before = Self { status: response.status(), encoded };
        response.extensions_mut().insert(before);
        response
    }

    fn compare<B>(mut response: Response<B>) -> Response<B> {
        let Some(before) = response.extensions_mut().remove::<Self>() else { return response };
        // Who accepts nothing would have a 406 for what the function has done already: RFC 9110, 12.5.3 lets it be sent as
        // it is.
        *response.status_mut() = before.status;
        let headers = response.headers_mut();
        // A strong tag stands for these bytes, which are others now.
        if !before.encoded
            && headers.contains_key(CONTENT_ENCODING)
            && let Some(tag) = headers.get_mut(ETAG)
            && tag.as_bytes().starts_with(b"\"")
            && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
        {
            *tag = weak;
        }
        response
    }
}
