//! What the `http.*` entries of a registry say, once they are checked and every reference between them is resolved:
//! servers, with the routers, endpoints and static files that belong to them. Serving them is `crate::http`'s business.

use std::{path::PathBuf, time::Duration};

use greenroom_actors::spec::{FunctionId, Transport};
use http::{HeaderName, HeaderValue, Method};
use ipnet::IpNet;

/// One listener: an `http.service` entry, or the default one that routes without a server belong to.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSpec {
    /// The entry; `None` for the default server.
    pub id: Option<FunctionId>,
    /// Where it listens: `host:port`. An `addr` of `:8080` is `0.0.0.0:8080`. Default is [`ServerSpec::ADDRESS`].
    pub addr: String,
    /// How long connections may take.
    pub timeouts: Timeouts,
    /// Certificates; `None` is plain HTTP.
    pub tls: Option<TlsSpec>,
    /// Routers, in the order of ids. The default router, which has no id, is first.
    pub routers: Vec<RouterSpec>,
    /// Static files, in the order of ids.
    pub statics: Vec<StaticSpec>,
}

impl ServerSpec {
    /// Where the default server listens.
    pub const ADDRESS: &str = "127.0.0.1:8080";
}

/// How long the connections of a server may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From a connection's start to the end of its first head; from the first byte of a later head to its end, on HTTP/1.1;
    /// and between two pieces of a request's body. Default is 30 s.
    pub read: Duration,
    /// Between two pieces of a response that the client takes. Default is 30 s.
    pub write: Duration,
    /// From the end of a response to the next request. Default is 60 s.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { read: Duration::from_secs(30), write: Duration::from_secs(30), idle: Duration::from_secs(60) }
    }
}

/// Certificates of a server, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsSpec {
    /// The server's certificate, followed by those that signed it.
    pub cert: String,
    /// Its private key.
    pub key: String,
    /// Whom clients' certificates must be signed by; `None` asks clients for none.
    pub client_ca: Option<String>,
    /// Whether clients may come without a certificate.
    pub client_auth: ClientAuth,
}

impl std::fmt::Debug for TlsSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Keys are secrets.
        f.debug_struct("TlsSpec").field("client_auth", &self.client_auth).finish_non_exhaustive()
    }
}

/// What a server asks of the certificates of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// None is asked for.
    #[default]
    None,
    /// One that is sent must be good.
    Optional,
    /// Every client must have one.
    Required,
}

/// A group of endpoints below a prefix.
#[derive(Debug, Clone, PartialEq)]
pub struct RouterSpec {
    /// The entry; `None` for the default router at `/`.
    pub id: Option<FunctionId>,
    /// What the paths of its endpoints begin with: empty, or `/` and more, without a `/` at the end.
    pub prefix: String,
    /// What its requests pass on their way in, and its responses on their way out; the first is the outermost.
    pub middleware: Vec<Middleware>,
    /// Its endpoints, in the order of ids.
    pub endpoints: Vec<EndpointSpec>,
}

/// A route that calls a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSpec {
    /// The entry.
    pub id: FunctionId,
    /// The method it answers; `None` is any.
    pub method: Option<Method>,
    /// The path below the prefix of its router, with `{name}` and `{rest...}`; begins with `/`.
    pub path: String,
    /// The function that answers.
    pub function: FunctionId,
    /// How requests become its arguments.
    pub transport: Transport,
    /// The size of a request's body, in bytes. Default is [`EndpointSpec::BODY_BYTES_MAX`].
    pub max_body_bytes: u64,
}

impl EndpointSpec {
    /// The size of a request's body at most, where a function says nothing else.
    pub const BODY_BYTES_MAX: u64 = 8 << 20;
}

/// Files of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticSpec {
    /// The entry.
    pub id: FunctionId,
    /// What the paths of its files begin with; begins with `/`.
    pub path: String,
    /// The directory.
    pub directory: PathBuf,
    /// The file that stands for a directory; `None` serves none. Default is `index.html`.
    pub index: Option<String>,
    /// Whether paths without a file give the index of the directory, as applications of one page want.
    pub spa: bool,
    /// The `Cache-Control` of its files. Default is none.
    pub cache: Option<HeaderValue>,
}

impl StaticSpec {
    /// The file that stands for a directory, where an entry says nothing else.
    pub const INDEX: &str = "index.html";
}

/// One middleware of a router, with its options.
#[derive(Debug, Clone, PartialEq)]
pub enum Middleware {
    /// Cross-origin requests of browsers.
    Cors(CorsSpec),
    /// Compression of responses, by what the client accepts: gzip, br, zstd.
    Compress(CompressSpec),
    /// How many requests each client may make.
    RateLimit(RateLimitSpec),
    /// Who the client is behind proxies: `X-Forwarded-For`, `X-Real-IP`.
    RealIp(RealIpSpec),
}

impl Middleware {
    /// Its name in `middleware`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cors(_) => "cors",
            Self::Compress(_) => "compress",
            Self::RateLimit(_) => "ratelimit",
            Self::RealIp(_) => "real_ip",
        }
    }
}

/// Who may call from pages of other origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsSpec {
    /// Origins; `None` is every one.
    pub origins: Option<Vec<HeaderValue>>,
    /// Methods.
    pub methods: Vec<Method>,
    /// Headers of requests; `None` is every one.
    pub headers: Option<Vec<HeaderName>>,
    /// Headers of responses that pages may read.
    pub expose: Vec<HeaderName>,
    /// Whether cookies and the like are sent. Needs origins.
    pub credentials: bool,
    /// How long browsers may keep what they were told. Default is [`CorsSpec::MAX_AGE`].
    pub max_age: Duration,
}

impl CorsSpec {
    /// How long browsers may keep what they were told, where a router says nothing else.
    pub const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
}

/// How responses are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompressSpec {
    /// How hard.
    pub level: CompressLevel,
    /// Responses that are known to be shorter are left as they are, in bytes. Default is [`CompressSpec::MIN_BYTES`].
    pub min_bytes: u16,
}

impl CompressSpec {
    /// The length from which responses are compressed, where a router says nothing else.
    pub const MIN_BYTES: u16 = 1024;
}

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CompressLevel {
    /// Quickly.
    Fastest,
    /// As the format's own default is.
    #[default]
    Default,
    /// As well as it goes.
    Best,
}

/// How many requests each client may make. The algorithm is GCRA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitSpec {
    /// Requests in each window, spread evenly. Default is [`RateLimitSpec::REQUESTS`].
    pub requests: u32,
    /// The window. Default is [`RateLimitSpec::WINDOW`].
    pub window: Duration,
    /// Requests at once, at most. Default is `requests`.
    pub burst: u32,
    /// What tells clients apart.
    pub key: RateLimitKey,
}

impl RateLimitSpec {
    /// Requests in each window, where a router says nothing else.
    pub const REQUESTS: u32 = 100;
    /// The window, where a router says nothing else.
    pub const WINDOW: Duration = Duration::from_secs(60);
}

/// What tells clients apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RateLimitKey {
    /// Their address, which `real_ip` sees through proxies.
    Ip,
    /// A header. Requests without it are told apart by their address.
    Header(HeaderName),
}

/// Which proxies are believed when they say who the client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealIpSpec {
    /// The networks of the proxies. Default are the loopback and private ones.
    pub trusted: Vec<IpNet>,
}
