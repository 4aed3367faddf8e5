//! The fields of what is served by HTTP.

use super::{
    super::{
        form,
        shape::{
            Field,
            Shape::{Choice, Duration, Flag, Form, Forms, List, Notes, Object, Reference, Text},
        },
    },
    DIRECTORIES, FUNCTIONS,
};

pub(in super::super) const SERVICE: &str = "http.service";
pub(in super::super) const ROUTER: &str = "http.router";
pub(in super::super) const ENDPOINT: &str = "http.endpoint";
pub(in super::super) const STATIC: &str = "http.static";

/// The middleware that routers may have.
pub(in super::super) const MIDDLEWARE: &[&str] = &["cors", "compress", "ratelimit", "real_ip"];

const TIMEOUTS: &[Field] = &[
    Field::new(
        "read",
        Duration,
        "How long a client may take to send a request's head, and between two pieces of its body.",
    )
    .default("\"30s\""),
    Field::new("write", Duration, "How long a client may take nothing of a response.").default("\"30s\""),
    Field::new("idle", Duration, "How long a connection without requests stays open.").default("\"60s\""),
];

const TLS: &[Field] = &[
    Field::new("mode", Form(&form::TLS_MODE), "Where certificates come from: from `cert` and `key`.")
        .default("\"manual\""),
    Field::new(
        "cert",
        Text,
        "The certificate and those that signed it: PEM, or `file://x.pem` relative to the YAML file.",
    )
    .required(),
    Field::new("key", Text, "The private key: PEM, or `file://x.pem` relative to the YAML file.").required(),
    Field::new("client_ca", Text, "Who signs the certificates of clients: PEM, or `file://x.pem`."),
    Field::new(
        "client_auth",
        Choice(&["none", "optional", "required"]),
        "Whether clients have certificates, which `client_ca` signed.",
    )
    .default("\"none\""),
];

const LIFECYCLE: &[Field] = &[
    Field::new("auto_start", Flag, "Whether the server listens. What belongs to one that does not is not served.")
        .default("true"),
    Field::new("start_timeout", Duration, "Accepted, and does nothing: servers listen at once, or fail."),
    Field::new("stop_timeout", Duration, "Accepted, and does nothing: all of the runtime drains within one time."),
];

pub(super) const SERVICE_FIELDS: &[Field] = &[
    Field::new("addr", Form(&form::ADDRESS), "Where it listens: `host:port`, or `:port` for all addresses.")
        .default("\"127.0.0.1:8080\""),
    Field::new("timeouts", Object(TIMEOUTS), "How long connections may take."),
    Field::new("tls", Object(TLS), "Certificates. Default is plain HTTP."),
    Field::new("lifecycle", Object(LIFECYCLE), "When the server runs."),
];

const SERVER: Field =
    Field::new("server", Reference(&[SERVICE]), "The `http.service` it belongs to. Default is the only one.");

const OPTIONS: &[Field] = &[
    Field::new("cors.allow.origins", Forms(&form::ORIGIN), "Whose pages may call: origins, or `*`.").default("\"*\""),
    Field::new("cors.allow.methods", Forms(&form::CORS_METHOD), "Which methods pages may use.")
        .default("\"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\""),
    Field::new("cors.allow.headers", Forms(&form::CORS_HEADER), "Which headers pages may send: names, or `*`.")
        .default("\"Accept, Authorization, Content-Type, Origin, X-Requested-With\""),
    Field::new("cors.expose.headers", Forms(&form::HEADER), "Which headers of responses pages may read.")
        .default("\"\""),
    Field::new("cors.allow.credentials", Form(&form::FLAG), "Whether pages send cookies and the like.")
        .default("false"),
    Field::new("cors.max.age", Form(&form::MAX_AGE), "How long browsers keep what they were told, in seconds.")
        .default("86400"),
    Field::new("compress.level", Choice(&["fastest", "default", "best"]), "How hard to compress.")
        .default("\"default\""),
    Field::new("compress.min.length", Form(&form::LENGTH), "Responses known to be shorter stay as they are, in bytes.")
        .default("1024"),
    Field::new("ratelimit.requests", Form(&form::REQUESTS), "How many requests a client may make in each window.")
        .default("100"),
    Field::new("ratelimit.window", Duration, "The window.").default("\"1m\""),
    Field::new("ratelimit.interval", Duration, "Another name of `ratelimit.window`."),
    Field::new("ratelimit.burst", Form(&form::REQUESTS), "How many at once. Default is `ratelimit.requests`."),
    Field::new("ratelimit.key", Form(&form::RATE_KEY), "What tells clients apart: `ip`, or `header:NAME`.")
        .default("\"ip\""),
    Field::new("real_ip.trusted.subnets", Forms(&form::NETWORK), "The networks of the proxies that are believed.")
        .default("\"127.0.0.0/8, ::1/128, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7\""),
];

pub(super) const ROUTER_FIELDS: &[Field] = &[
    Field::new("meta", Notes(&[SERVER]), "`server` is the `http.service` it belongs to; the rest is yours."),
    Field::new("prefix", Form(&form::PREFIX), "What the paths of its endpoints begin with.").default("\"/\""),
    Field::new("middleware", List(&Choice(MIDDLEWARE)), "What requests pass on their way in; the first is outermost.")
        .default("[]"),
    Field::new("options", Object(OPTIONS), "What its middleware does."),
];

pub(super) const ENDPOINT_FIELDS: &[Field] = &[
    Field::new(
        "meta",
        Notes(&[Field::new(
            "router",
            Reference(&[ROUTER]),
            "The `http.router` it belongs to. Default is the only one.",
        )]),
        "`router` is the `http.router` it belongs to; the rest is yours.",
    ),
    Field::new("method", Form(&form::METHOD), "The HTTP method; `ANY` or `*` is any.").required(),
    Field::new("path", Form(&form::PATH), "The path below the router's prefix, with `{name}` and `{rest...}`.")
        .required(),
    Field::new("func", Reference(FUNCTIONS), "The function that answers.").required(),
];

const STATIC_OPTIONS: &[Field] = &[
    Field::new("index", Form(&form::INDEX), "The file that stands for a directory, or `false`.")
        .default("\"index.html\""),
    Field::new("spa", Flag, "Whether paths without a file give the index.").default("false"),
    Field::new("cache", Form(&form::CACHE), "The `Cache-Control` of the files. Default is none."),
];

pub(super) const STATIC_FIELDS: &[Field] = &[
    Field::new("meta", Notes(&[SERVER]), "`server` is the `http.service` it belongs to; the rest is yours."),
    Field::new("path", Form(&form::MOUNT), "What the paths of the files begin with.").required(),
    Field::new("fs", Reference(DIRECTORIES), "The `fs.directory` entry that holds the files.").required(),
    Field::new("directory", Text, "A folder of it. Default is all of it."),
    Field::new("static_options", Object(STATIC_OPTIONS), "How files are served."),
];
