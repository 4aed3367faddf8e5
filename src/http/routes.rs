//! The routes of one server, compiled: which endpoint a request is for, and what its path says. How it is answered is not
//! known here.
//!
//! The most specific path wins, then the method decides: a path whose methods are others is answered 405. Paths are matched
//! as they are sent, and parameters decoded afterwards, so that `%2F` is part of a parameter. A `/` at the end makes
//! another path. `{rest...}` is everything that is left, which may be nothing: `/files/{rest...}` takes `/files/`.
//! What no endpoint takes may be static files.

mod mounts;
mod pattern;

use std::collections::BTreeMap;

use greenroom_actors::spec::FunctionId;
use http::{HeaderValue, Method, StatusCode, header::ALLOW};
use percent_encoding::percent_decode_str;

use self::{
    mounts::{Mount, Mounts},
    pattern::Pattern,
};
use super::{
    endpoint::Endpoint,
    metrics::{NO_ROUTE, RouteMetrics},
    middleware::{Stack, stack},
    problem::Problem,
    server::BindError,
    static_files::StaticFiles,
};
use crate::{
    Runtime,
    registry::http::{EndpointSpec, ServerSpec},
};

/// Everything that requests of one server may be for.
pub(super) struct Routes {
    paths: matchit::Router<Node>,
    endpoints: Vec<Route>,
    /// Prefixes of routers with their place in the spec, the longest first.
    prefixes: Vec<(String, usize)>,
    /// The middleware of the routers, in the order of the spec.
    stacks: Vec<Option<Stack>>,
    mounts: Mounts,
    /// Of the endpoints, in their order; then of the static files; then of what no route took.
    metrics: Vec<RouteMetrics>,
}

/// One endpoint, as the routes know it.
pub(super) struct Route {
    pub(super) endpoint: Endpoint,
    pub(super) body_bytes_max: u64,
    id: FunctionId,
    method: Option<Method>,
    router: usize,
    /// The names of the parameters, in the order of the path.
    names: Vec<String>,
}

/// The endpoints of one path, by method.
#[derive(Default)]
struct Node {
    endpoints: Vec<usize>,
    allow: Option<HeaderValue>,
}

/// What a request is for.
pub(super) struct Found {
    /// The router that it belongs to; `None` when it belongs to none.
    pub(super) router: Option<usize>,
    /// Whose metrics it counts in.
    pub(super) route: usize,
    pub(super) target: Target,
}

/// Who answers a request.
#[derive(Clone)]
pub(super) enum Target {
    /// An endpoint, and the parameters of the path.
    Endpoint(usize, Vec<(String, String)>),
    /// Static files.
    Files(usize),
    /// Nobody: the methods of the path are the answer, where the path has some.
    Options(Option<HeaderValue>),
    /// Nobody.
    Refused(Problem),
}

impl Routes {
    pub(super) fn new(runtime: &Runtime, spec: &ServerSpec) -> Result<Self, BindError> {
        let mut endpoints = Vec::new();
        let mut metrics = Vec::new();
        let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
        let mut empty_rests = Vec::new();
        for (router, router_spec) in spec.routers.iter().enumerate() {
            for endpoint in &router_spec.endpoints {
                let path = format!("{}{}", router_spec.prefix, endpoint.path);
                let pattern = Pattern::read(&path).map_err(|message| at(endpoint, "path", message))?;
                let index = endpoints.len();
                endpoints.push(Route {
                    endpoint: Endpoint::new(runtime, endpoint).map_err(|message| at(endpoint, "func", message))?,
                    body_bytes_max: endpoint.max_body_bytes,
                    id: endpoint.id.clone(),
                    method: endpoint.method.clone(),
                    router,
                    names: pattern.names,
                });
                let node = nodes.entry(pattern.matched).or_default();
                if let Some(other) = node.endpoints.iter().find(|other| endpoints[**other].method == endpoint.method) {
                    let other = &endpoints[*other].id;
                    return Err(at(endpoint, "path", format!("{other} answers the same method of the same path")));
                }
                node.endpoints.push(index);
                metrics.push(RouteMetrics::new(path));
                empty_rests.extend(pattern.without_rest.map(|path| (path, index)));
            }
        }
        for (path, index) in empty_rests {
            let node = nodes.entry(path).or_default();
            // Endpoints of the path itself are more specific.
            let method = &endpoints[index].method;
            let taken = |other: &usize| endpoints[*other].method.is_none() || endpoints[*other].method == *method;
            if !node.endpoints.iter().any(taken) {
                node.endpoints.push(index);
            }
        }
        let mut paths = matchit::Router::new();
        for (path, mut node) in nodes {
            node.allow = allow(node.endpoints.iter().map(|index| endpoints[*index].method.as_ref()));
            let first = node.endpoints[0];
            paths.insert(path, node).map_err(|error| {
                let id = Some(endpoints[first].id.clone());
                BindError::Entry { id, field: "path", message: format!("the path conflicts with others: {error}") }
            })?;
        }
        let mut prefixes: Vec<_> =
            spec.routers.iter().enumerate().map(|(index, router)| (router.prefix.clone(), index)).collect();
        prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        let mounts = Mounts::new(&spec.statics);
        metrics.extend(mounts.labels().map(RouteMetrics::new));
        metrics.push(RouteMetrics::new(NO_ROUTE));
        let stacks = spec.routers.iter().map(stack).collect::<Result<_, _>>()?;
        Ok(Self { paths, endpoints, prefixes, stacks, mounts, metrics })
    }

    /// The largest body that some endpoint holds, in bytes.
    pub(super) fn held_bytes_max(&self) -> u64 {
        let holding = self.endpoints.iter().filter(|route| !route.endpoint.streams());
        holding.map(|route| route.body_bytes_max).max().unwrap_or_default()
    }

    pub(super) fn endpoint(&self, index: usize) -> &Route {
        &self.endpoints[index]
    }

    pub(super) fn files(&self, index: usize) -> &Mount {
        self.mounts.get(index)
    }

    /// The middleware of a router, where it has some.
    pub(super) fn stack(&self, router: usize) -> Option<&Stack> {
        self.stacks[router].as_ref()
    }

    pub(super) fn metrics(&self, index: usize) -> &RouteMetrics {
        &self.metrics[index]
    }

    /// The place of the metrics of what no route took.
    pub(super) fn no_route(&self) -> usize {
        self.metrics.len() - 1
    }

    /// What a request is for. `path` is as it was sent.
    pub(super) fn find(&self, method: &Method, path: &str) -> Found {
        match self.paths.at(path) {
            Ok(matched) => {
                let found = self.by_method(method, matched.value, || matched.params.iter().map(|(_, value)| value));
                // An endpoint that takes a POST does not hide the file of its path.
                let reads = matches!(*method, Method::GET | Method::HEAD);
                let file = (reads && found.route == self.no_route()).then(|| self.file(method, path)).flatten();
                file.unwrap_or(found)
            }
            Err(_) => {
                if let Some(file) = self.file(method, path) {
                    return file;
                }
                let target = match (path, method) {
                    ("*", &Method::OPTIONS) => Target::Options(None),
                    _ => Target::Refused(Problem::new(StatusCode::NOT_FOUND, format!("nothing is at {path}"))),
                };
                Found { router: self.router_of(path), ..self.nobody(target) }
            }
        }
    }

    /// The static files that a path is of.
    fn file(&self, method: &Method, path: &str) -> Option<Found> {
        let index = self.mounts.find(path)?;
        let target = match *method {
            Method::OPTIONS => Target::Options(Some(HeaderValue::from_static(StaticFiles::METHODS))),
            _ => Target::Files(index),
        };
        Some(Found { router: None, route: self.endpoints.len() + index, target })
    }

    fn by_method<'a, P>(&self, method: &Method, node: &Node, params: impl FnOnce() -> P) -> Found
    where
        P: Iterator<Item = &'a str>,
    {
        let with = |wanted: Option<&Method>| {
            node.endpoints.iter().copied().find(|index| self.endpoints[*index].method.as_ref() == wanted)
        };
        let chosen = with(Some(method))
            .or_else(|| if *method == Method::HEAD { with(Some(&Method::GET)) } else { None })
            .or_else(|| with(None));
        let router = node.endpoints.first().map(|index| self.endpoints[*index].router);
        let Some(index) = chosen else {
            let target = if *method == Method::OPTIONS {
                Target::Options(node.allow.clone())
            } else {
                let allow = node.allow.clone();
                let methods = allow.as_ref().and_then(|allow| allow.to_str().ok()).unwrap_or_default();
                let detail = format!("{method} is not answered here; allowed: {methods}");
                let mut problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail);
                problem.headers.extend(allow.map(|allow| (ALLOW, allow)));
                Target::Refused(problem)
            };
            return Found { router, ..self.nobody(target) };
        };
        let route = &self.endpoints[index];
        // What is left of a path that nothing is left of is nothing.
        let values = params().map(Some).chain([None]).take(route.names.len());
        let decoded: Result<Vec<_>, _> = route
            .names
            .iter()
            .zip(values)
            .map(|(name, value)| {
                let value = percent_decode_str(value.unwrap_or_default()).decode_utf8();
                value.map(|value| (name.clone(), value.into_owned())).map_err(|_| name)
            })
            .collect();
        let target = match decoded {
            Ok(params) => Target::Endpoint(index, params),
            Err(name) => {
                Target::Refused(Problem::new(StatusCode::BAD_REQUEST, format!("`{name}` of the path is not UTF-8")))
            }
        };
        Found { router: Some(route.router), route: index, target }
    }

    /// A request that no route takes.
    pub(super) fn nobody(&self, target: Target) -> Found {
        Found { router: None, route: self.no_route(), target }
    }

    /// The router whose prefix is nearest, for paths that none of its endpoints takes.
    fn router_of(&self, path: &str) -> Option<usize> {
        let below =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.prefixes.iter().find(|(prefix, _)| below(prefix)).map(|(_, router)| *router)
    }
}

fn at(endpoint: &EndpointSpec, field: &'static str, message: String) -> BindError {
    BindError::Entry { id: Some(endpoint.id.clone()), field, message }
}

/// The methods of a path, HEAD and OPTIONS included; `None` when every method is answered.
fn allow<'a>(methods: impl Iterator<Item = Option<&'a Method>>) -> Option<HeaderValue> {
    let mut methods: Vec<&str> = methods.map(|method| method.map(Method::as_str)).collect::<Option<_>>()?;
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    methods.sort_unstable();
    methods.dedup();
    HeaderValue::from_str(&methods.join(", ")).ok()
}
