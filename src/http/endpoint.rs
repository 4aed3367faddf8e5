//! One endpoint: a request becomes a call of its function, and the result a response.

use greenroom_actors::Context;
use http::{Request, Response};

use super::{Body, problem::Problem};
use crate::{Runtime, registry::http::EndpointSpec};

/// One endpoint, ready to answer.
pub(super) struct Endpoint {}

impl Endpoint {
    /// Looks at the function once, so that requests need not.
    ///
    /// # Errors
    /// Why requests cannot become calls of this function: what to say at `func` of the endpoint's entry.
    pub(super) fn new(_runtime: &Runtime, _spec: &EndpointSpec) -> Result<Self, String> {
        todo!()
    }

    /// Answers a request that the routes gave to this endpoint. `params` are those of the path, decoded, in its order. The
    /// body ends with an error of type `http_body_util::LengthLimitError` when it is larger than allowed.
    pub(super) async fn answer(
        &self,
        _request: Request<Body>,
        _params: Vec<(String, String)>,
        _context: Context,
    ) -> Result<Response<Body>, Problem> {
        todo!()
    }
}
