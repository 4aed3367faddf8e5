//! What the requests of a router pass on their way in, and its responses on their way out. A router without middleware has
//! no stack, and its requests pay for none.

mod compress;
mod cors;
mod ratelimit;
mod real_ip;

use std::convert::Infallible;

use greenroom_actors::spec::FunctionId;
use http::{Request, Response};
use tower::{service_fn, util::BoxCloneSyncService};

pub use self::ratelimit::KEYS_MAX as RATE_LIMIT_KEYS_MAX;
use super::{
    Body,
    server::BindError,
    service::{Routed, dispatch},
};
use crate::registry::http::{Middleware, RouterSpec};

/// The middleware of a router, around what its requests are for.
pub(super) type Stack = BoxCloneSyncService<Request<Routed>, Response<Body>, Infallible>;

/// Why a middleware cannot be as its options say.
#[derive(Debug)]
struct BadOption {
    /// Its dotted key.
    field: &'static str,
    message: &'static str,
}

/// Puts the middleware of a router together; `None` when it has none.
pub(super) fn stack(router: &RouterSpec) -> Result<Option<Stack>, BindError> {
    if router.middleware.is_empty() {
        return Ok(None);
    }
    let inside = BoxCloneSyncService::new(service_fn(async |request| Ok(dispatch(request).await)));
    // The first is the outermost.
    let stack = router.middleware.iter().rev().try_fold(inside, |inside, middleware| match middleware {
        Middleware::Cors(spec) => cors::around(inside, spec),
        Middleware::Compress(spec) => Ok(compress::around(inside, *spec)),
        Middleware::RateLimit(spec) => ratelimit::around(inside, spec),
        Middleware::RealIp(spec) => Ok(real_ip::around(inside, spec)),
    });
    stack.map(Some).map_err(|bad| at(router.id.as_ref(), bad))
}

fn at(id: Option<&FunctionId>, bad: BadOption) -> BindError {
    BindError::Entry { id: id.cloned(), field: bad.field, message: bad.message.to_owned() }
}
