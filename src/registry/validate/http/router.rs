//! Routers: their prefix, their middleware, and the options that it has.

use http::{HeaderName, HeaderValue, Method, header};

use super::{
    super::{
        super::{
            check::{self, words},
            diagnostic::Diagnostic,
            document::{Node, Pair, Value},
            form,
            http::{
                CompressLevel, CompressSpec, CorsSpec, Middleware, RateLimitKey, RateLimitSpec, RealIpSpec, RouterSpec,
            },
            kinds::http as kinds,
            path::FieldPath,
        },
        Reader,
    },
    Router, read,
};

const CORS_METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

const CORS_HEADERS: [HeaderName; 5] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::ORIGIN,
    HeaderName::from_static("x-requested-with"),
];

/// The loopback and private networks.
const TRUSTED: [&str; 6] = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

impl Reader<'_> {
    pub(super) fn router(&mut self, number: usize) -> Option<Router> {
        let middleware = self.middleware();
        let server = self.named_server();
        let prefix = match self.node.get("prefix") {
            Some(_) => read(self.node, "prefix", form::prefix)?,
            None => String::new(),
        };
        let written = self.node.get("prefix").and_then(|prefix| prefix.scalar()?.written.as_ref());
        let shown = written.map_or_else(|| prefix.clone(), |_| self.shown("prefix"));
        let spec =
            RouterSpec { id: Some(self.entry.id.clone()), prefix, middleware: middleware?, endpoints: Vec::new() };
        Some(Router { number, server: server?, spec, shown })
    }

    fn middleware(&mut self) -> Option<Vec<Middleware>> {
        let items = self.node.get("middleware").map(|list| list.items()).unwrap_or_default();
        let mut names: Vec<&str> = Vec::new();
        for (position, item) in items.iter().enumerate() {
            let name = item.text()?;
            if names.contains(&name) {
                let field = FieldPath::Field(&FieldPath::Root, "middleware");
                let path = FieldPath::Item(&field, position);
                self.scope.error(item.span.clone(), path, format!("`{name}` is listed twice")).label("again here");
                continue;
            }
            names.push(name);
        }
        let place = |wanted: &str| items.iter().position(|item| item.text() == Some(wanted));
        if let (Some(limit), Some(real_ip)) = (place("ratelimit"), place("real_ip"))
            && limit < real_ip
        {
            let field = FieldPath::Field(&FieldPath::Root, "middleware");
            self.scope
                .warning(
                    items[limit].span.clone(),
                    FieldPath::Item(&field, limit),
                    "`ratelimit` comes before `real_ip`, so it counts proxies",
                )
                .label("clients are not told apart yet")
                .help("list `real_ip` first");
        }
        let options = self.node.get("options");
        for pair in options.iter().flat_map(|options| options.pairs()) {
            let owner = pair.key.split('.').next().unwrap_or_default();
            if kinds::MIDDLEWARE.contains(&owner) && !names.contains(&owner) {
                self.option_error(pair, format!("`{}` does nothing here", pair.key))
                    .label(format!("`{owner}` is not in `middleware`"))
                    .help(format!("add it: `middleware: [{owner}]`, or remove the option"));
            }
        }
        let made = names.into_iter().map(|name| match name {
            "cors" => self.cors().map(Middleware::Cors),
            "compress" => Some(Middleware::Compress(self.compress())),
            "ratelimit" => self.rate_limit().map(Middleware::RateLimit),
            "real_ip" => self.real_ip().map(Middleware::RealIp),
            _ => None,
        });
        // All of them are made before any is missed.
        made.collect::<Vec<_>>().into_iter().collect()
    }

    fn option(&self, name: &str) -> Option<&Pair> {
        self.node.get("options")?.pair(name)
    }

    fn option_of<T>(&self, name: &str, parse: fn(&str) -> Result<T, String>) -> Option<T> {
        read(self.node.get("options")?, name, parse)
    }

    fn options_of<T>(&self, name: &str, parse: fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        texts(&self.option(name)?.value).into_iter().map(|text| parse(text).ok()).collect()
    }

    fn option_error(&mut self, pair: &Pair, message: String) -> &mut Diagnostic {
        let options = FieldPath::Field(&FieldPath::Root, "options");
        self.scope.error(pair.key_span.clone(), FieldPath::Field(&options, &pair.key), message)
    }

    fn cors(&mut self) -> Option<CorsSpec> {
        // `*` among others is still everybody.
        let origins: Option<Vec<HeaderValue>> =
            self.options_of("cors.allow.origins", form::origin).and_then(|origins| origins.into_iter().collect());
        let header = |text: &str| if text == "*" { Ok(None) } else { form::header(text).map(Some) };
        let headers: Option<Vec<HeaderName>> = match self.options_of("cors.allow.headers", header) {
            Some(headers) => headers.into_iter().collect(),
            None => Some(CORS_HEADERS.to_vec()),
        };
        let methods: Option<Vec<Method>> =
            self.options_of("cors.allow.methods", form::method).and_then(|methods| methods.into_iter().collect());
        let credentials = self.option_of("cors.allow.credentials", form::flag).unwrap_or(false);
        let everybody = match (&origins, &headers) {
            (None, _) => Some(("cors.allow.origins", "origins")),
            (_, None) => Some(("cors.allow.headers", "headers")),
            _ => None,
        };
        let node = self.node;
        let pair = node.get("options").and_then(|options| options.pair("cors.allow.credentials"));
        if let (true, Some(pair), Some((field, what))) = (credentials, pair, everybody) {
            self.option_error(pair, format!("browsers send no credentials where `{field}` is `*`"))
                .label(format!("needs a list of {what}"))
                .help(format!("list them in `{field}`"));
            return None;
        }
        Some(CorsSpec {
            origins,
            methods: methods.unwrap_or_else(|| CORS_METHODS.to_vec()),
            headers,
            expose: self.options_of("cors.expose.headers", form::header).unwrap_or_default(),
            credentials,
            max_age: self.option_of("cors.max.age", form::max_age).unwrap_or(CorsSpec::MAX_AGE),
        })
    }

    fn compress(&self) -> CompressSpec {
        let level = self.option("compress.level").and_then(|pair| pair.value.text());
        CompressSpec {
            level: match level {
                Some("fastest") => CompressLevel::Fastest,
                Some("best") => CompressLevel::Best,
                _ => CompressLevel::Default,
            },
            min_bytes: self.option_of("compress.min.length", form::length).unwrap_or(CompressSpec::MIN_BYTES),
        }
    }

    fn rate_limit(&mut self) -> Option<RateLimitSpec> {
        let node = self.node;
        let pair = |name: &str| node.get("options").and_then(|options| options.pair(name));
        let (window, interval) = (pair("ratelimit.window"), pair("ratelimit.interval"));
        if let (Some(_), Some(interval)) = (window, interval) {
            self.option_error(interval, "the window is given twice".to_owned())
                .label("`ratelimit.window` says the same")
                .help("keep one of the two");
        }
        let window = match window.or(interval) {
            Some(pair) => {
                let found = check::duration(&pair.value).ok()?;
                if found.is_zero() {
                    self.option_error(pair, format!("`{}` cannot be 0", pair.key)).label("a window lasts");
                }
                found
            }
            None => RateLimitSpec::WINDOW,
        };
        let requests = self.option_of("ratelimit.requests", form::requests).unwrap_or(RateLimitSpec::REQUESTS);
        Some(RateLimitSpec {
            requests,
            window,
            burst: self.option_of("ratelimit.burst", form::requests).unwrap_or(requests),
            key: self.option_of("ratelimit.key", form::rate_key).unwrap_or(RateLimitKey::Ip),
        })
    }

    fn real_ip(&self) -> Option<RealIpSpec> {
        let trusted = match self.option("real_ip.trusted.subnets") {
            Some(_) => self.options_of("real_ip.trusted.subnets", form::network)?,
            None => TRUSTED.iter().filter_map(|network| form::network(network).ok()).collect(),
        };
        Some(RealIpSpec { trusted })
    }
}

/// The texts of a list, or of a string with commas between them.
fn texts(node: &Node) -> Vec<&str> {
    match &node.value {
        Value::List(items) => items.iter().filter_map(|item| item.text()).collect(),
        _ => node.text().map(|text| words(text).collect()).unwrap_or_default(),
    }
}
