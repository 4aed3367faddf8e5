//! `compress`: what clients accept compressed, by tower-http. What is compressed already, such as images, is left as it
//! is, and so are streams of events, which would be held back.

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
        .and(NotForContentType::SSE);
    let compress = CompressionLayer::new().quality(level).compress_when(worth_it);
    let compressed = compress.layer(inside).map_response(|response| response.map(BodyExt::boxed_unsync));
    BoxCloneSyncService::new(compressed)
}
