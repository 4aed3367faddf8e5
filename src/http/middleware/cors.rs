//! `cors`: who may call from pages of other origins, by tower-http. It answers preflights itself, whether the path is
//! known or not; other OPTIONS requests are as everywhere.

use http::{Method, Request, header::ACCESS_CONTROL_REQUEST_METHOD};
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};
use tower_http::cors::{AllowHeaders, AllowOrigin, Any, CorsLayer};

use super::{BadOption, Stack};
use crate::{http::service::Routed, registry::http::CorsSpec};

pub(super) fn around(inside: Stack, spec: &CorsSpec) -> Result<Stack, BadOption> {
    let origins = match &spec.origins {
        // Browsers refuse it, and tower-http panics.
        None if spec.credentials => {
            let message = "every origin is allowed; list those that may send credentials in `cors.allow.origins`";
            return Err(BadOption { field: "options.cors.allow.credentials", message });
        }
        None => AllowOrigin::from(Any),
        Some(origins) if origins.iter().any(|origin| origin.as_bytes() == b"*") => {
            let message = "`*` is every origin, and stands alone";
            return Err(BadOption { field: "options.cors.allow.origins", message });
        }
        Some(origins) => AllowOrigin::list(origins.iter().cloned()),
    };
    let headers = match &spec.headers {
        // What is asked for is given: `*` does not hold for all headers, nor with credentials.
        None => AllowHeaders::mirror_request(),
        Some(headers) => AllowHeaders::list(headers.iter().cloned()),
    };
    let cors = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods(spec.methods.clone())
        .allow_headers(headers)
        .expose_headers(spec.expose.clone())
        .allow_credentials(spec.credentials)
        .max_age(spec.max_age);
    let with_cors: Stack = BoxCloneSyncService::new(cors.layer(inside.clone()));
    // tower-http takes every OPTIONS request for a preflight.
    Ok(BoxCloneSyncService::new(service_fn(move |request: Request<Routed>| {
        let is_preflight = request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let next = if request.method() == Method::OPTIONS && !is_preflight { &inside } else { &with_cors };
        next.clone().oneshot(request)
    })))
}
