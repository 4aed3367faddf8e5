//! What a load makes of `http.*` entries: each field, and what belongs to what.

use std::time::Duration;

use greenroom::{
    registry::{
        Registry,
        http::{
            ClientAuth, CompressLevel, CompressSpec, CorsSpec, EndpointSpec, Middleware, RateLimitKey, RateLimitSpec,
            RouterSpec, ServerSpec, StaticSpec, Timeouts,
        },
        schema,
    },
    spec::Transport,
};
use http::{HeaderName, HeaderValue, Method};

use crate::registry::{Root, WAT, id};

/// A registry with the function `f` and these entries.
fn load(entries: &str) -> Registry {
    let root = Root::with(&format!("{WAT}{entries}"));
    let (registry, diagnostics) = root.read();
    assert!(diagnostics.is_empty(), "{diagnostics}");
    registry
}

fn server(fields: &str) -> ServerSpec {
    load(&format!("  - {{name: s, kind: http.service, {fields}}}\n")).servers()[0].clone()
}

fn router(fields: &str) -> RouterSpec {
    load(&format!("  - {{name: r, kind: http.router, {fields}}}\n")).servers()[0].routers[0].clone()
}

fn endpoint(fields: &str) -> EndpointSpec {
    let registry = load(&format!("  - {{name: e, kind: http.endpoint, func: f, {fields}}}\n"));
    registry.servers()[0].routers[0].endpoints[0].clone()
}

fn files(fields: &str) -> StaticSpec {
    let entries = format!(
        "  - {{name: d, kind: fs.directory, directory: ./public, auto_init: true}}
  - {{name: s, kind: http.static, path: /, fs: d{fields}}}\n"
    );
    let root = Root::with(&format!("{WAT}{entries}"));
    root.write("public/dist/a.txt", "");
    let (registry, diagnostics) = root.read();
    assert!(diagnostics.is_empty(), "{diagnostics}");
    let spec = &registry.servers()[0].statics[0];
    assert!(spec.directory.starts_with(root.path().join("public").canonicalize().unwrap()), "{spec:?}");
    spec.clone()
}

/// The messages of the errors of these entries.
fn errors(entries: &str) -> Vec<String> {
    let (_, diagnostics) = Root::with(&format!("{WAT}{entries}")).read();
    diagnostics.errors().map(|error| error.message().to_owned()).collect()
}

/// The paths of the endpoints of a registry, below the addresses of their servers.
fn routes(registry: &Registry) -> Vec<String> {
    let of_router = |server: &ServerSpec, router: &RouterSpec| {
        let addr = server.addr.clone();
        let prefix = router.prefix.clone();
        router.endpoints.iter().map(move |endpoint| format!("{addr}{prefix}{}", endpoint.path)).collect::<Vec<_>>()
    };
    let of_server =
        |server: &ServerSpec| server.routers.iter().flat_map(|router| of_router(server, router)).collect::<Vec<_>>();
    registry.servers().iter().flat_map(of_server).collect()
}

#[test]
fn a_registry_without_http_entries_has_no_server() {
    assert!(load("").servers().is_empty());
}

#[test]
fn a_server_says_where_it_listens() {
    assert_eq!(server("addr: ':8080'").addr, "0.0.0.0:8080");
    assert_eq!(server("addr: 'localhost:0'").addr, "localhost:0");
    assert_eq!(server("addr: '[::1]:443'").addr, "[::1]:443");
    let plain = server("meta: {a: b}");
    assert_eq!((plain.id, plain.addr.as_str()), (Some(id("myns:s")), ServerSpec::ADDRESS));
    assert_eq!((plain.timeouts, plain.tls), (Timeouts::default(), None));
}

#[test]
fn a_server_s_address_may_come_from_the_environment() {
    let registry = load(
        "  - {name: st, kind: env.storage.static, values: {A: '127.0.0.1:7070'}}
  - {name: A, kind: env.variable, storage: st}
  - {name: s, kind: http.service, addr: '${env:A}'}
",
    );
    assert_eq!(registry.servers()[0].addr, "127.0.0.1:7070");
    let entry = registry.entries().iter().find(|entry| entry.kind == "http.service").unwrap();
    assert_eq!(entry.summary, "http://${env:A}");
}

#[test]
fn timeouts_land_in_the_server() {
    let timeouts = server("timeouts: {read: 5s, write: 1m, idle: 250}").timeouts;
    assert_eq!(timeouts.read, Duration::from_secs(5));
    assert_eq!(timeouts.write, Duration::from_secs(60));
    assert_eq!(timeouts.idle, Duration::from_millis(250));
    assert_eq!(server("timeouts: {idle: 5s}").timeouts.read, Timeouts::default().read);
}

#[test]
fn a_server_that_does_not_start_is_left_out_with_what_belongs_to_it() {
    let entries = |flag: &str| {
        format!(
            "  - {{name: s, kind: http.service, lifecycle: {{auto_start: {flag}}}}}
  - {{name: t, kind: http.service, addr: ':1'}}
  - {{name: r, kind: http.router, meta: {{server: s}}}}
  - {{name: e, kind: http.endpoint, method: GET, path: /, func: f, meta: {{router: r}}}}\n"
        )
    };
    assert_eq!(load(&entries("true")).servers().len(), 2);
    let (registry, diagnostics) = Root::with(&format!("{WAT}{}", entries("false"))).read();
    let warnings: Vec<_> = diagnostics.iter().map(|one| (one.message(), one.field().unwrap())).collect();
    assert_eq!(warnings, [("this server does not start", "lifecycle.auto_start")]);
    let ids: Vec<_> = registry.servers().iter().map(|server| server.id.clone().unwrap()).collect();
    assert_eq!(ids, [id("myns:t")]);
    assert!(routes(&registry).is_empty());
}

#[test]
fn timeouts_of_a_lifecycle_do_nothing_and_say_so() {
    let root =
        Root::with("entries:\n  - {name: s, kind: http.service, lifecycle: {start_timeout: 5s, stop_timeout: 5s}}\n");
    let (registry, diagnostics) = root.read();
    assert_eq!(registry.servers().len(), 1);
    let warnings: Vec<_> = diagnostics.warnings().map(|warning| warning.field().unwrap()).collect();
    assert_eq!(warnings, ["lifecycle.start_timeout", "lifecycle.stop_timeout"]);
}

#[test]
fn certificates_come_inline_from_files_or_from_the_environment() {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (pair.cert.pem(), pair.signing_key.serialize_pem());
    let indented = |text: &str| text.lines().map(|line| format!("        {line}\n")).collect::<String>();
    let root = Root::with(&format!(
        "entries:
  - name: inline
    kind: http.service
    tls:
      cert: |
{}      key: |
{}  - name: files
    kind: http.service
    addr: ':1'
    tls: {{mode: manual, cert: file://tls/cert.pem, key: 'file://tls/key.pem', client_ca: file://tls/cert.pem, client_auth: required}}
  - {{name: st, kind: env.storage.file, file_path: secrets.env}}
  - {{name: KEY, kind: env.variable, storage: st}}
  - name: hidden
    kind: http.service
    addr: ':2'
    tls: {{cert: file://tls/cert.pem, key: '${{env:KEY}}', client_ca: file://tls/cert.pem, client_auth: optional}}
",
        indented(&cert),
        indented(&key)
    ));
    root.write("tls/cert.pem", &cert);
    root.write("tls/key.pem", &key);
    root.write("secrets.env", format!("KEY=\"{}\"\n", key.replace('\r', "").replace('\n', "\\n")));
    let registry = root.sound();
    let auth: Vec<_> = registry.servers().iter().map(|server| server.tls.clone().unwrap().client_auth).collect();
    assert_eq!(auth, [ClientAuth::Required, ClientAuth::Optional, ClientAuth::None]);
    for server in registry.servers() {
        let tls = server.tls.clone().unwrap();
        assert_eq!(tls.cert.replace('\r', ""), cert.replace('\r', ""));
        assert_eq!(tls.key.replace('\r', "").trim(), key.replace('\r', "").trim());
        assert_eq!(tls.client_ca.is_some(), tls.client_auth != ClientAuth::None);
        assert!(!format!("{server:?}").contains("PRIVATE KEY"));
    }
}

#[test]
fn no_diagnostic_shows_a_private_key() {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = other.signing_key.serialize_pem();
    let secret: Vec<_> = key.lines().filter(|line| !line.starts_with('-')).collect();
    let escaped = key.replace('\r', "").replace('\n', "\\n");
    let indented = key.lines().map(|line| format!("          {line}\n")).collect::<String>();
    for fields in [
        format!("tls: {{cert: file://cert.pem, key: \"{escaped}\"}}"),
        format!("tls: {{cert: \"{escaped}\", key: file://key.pem}}"),
        format!("tls: {{crt: x, cert: file://cert.pem, key: \"{escaped}\"}}"),
        format!("tls: \"{escaped}\""),
        format!("\"{escaped}\": 5"),
        format!("addr: \"{escaped}\""),
        format!("tls:\n      cert: file://cert.pem\n      key: |\n{indented}"),
        format!("tls:\n      cert: file://cert.pem\n      key: |\n{indented}        \t- [\n"),
    ] {
        let root = Root::with(&format!("entries:\n  - name: s\n    kind: http.service\n    {fields}\n"));
        root.write("cert.pem", pair.cert.pem());
        root.write("key.pem", pair.signing_key.serialize_pem());
        let (_, diagnostics) = root.read();
        assert!(diagnostics.has_errors(), "{fields}");
        let shown = diagnostics.render(false) + &serde_json::to_string(&diagnostics).unwrap();
        assert!(!secret.iter().any(|line| shown.contains(&line[..20])), "{shown}");
    }
}

#[test]
fn the_default_server_and_router_are_there_when_something_belongs_to_them() {
    let registry = load("  - {name: e, kind: http.endpoint, method: GET, path: /a, func: f}\n");
    let [server] = registry.servers() else { panic!() };
    assert_eq!((&server.id, server.addr.as_str()), (&None, "127.0.0.1:8080"));
    assert_eq!((&server.routers[0].id, server.routers[0].prefix.as_str()), (&None, ""));
    assert_eq!(routes(&registry), ["127.0.0.1:8080/a"]);
}

#[test]
fn what_names_no_router_or_server_belongs_to_the_only_one() {
    let registry = load(
        "  - {name: s, kind: http.service, addr: ':1'}
  - {name: r, kind: http.router, prefix: /api/}
  - {name: e, kind: http.endpoint, method: GET, path: /a, func: f}
  - {name: d, kind: fs.directory, directory: .}
  - {name: w, kind: http.static, path: /web/, fs: d}
",
    );
    assert_eq!(routes(&registry), ["0.0.0.0:1/api/a"]);
    assert_eq!(registry.servers()[0].statics[0].path, "/web");
}

#[test]
fn routers_and_servers_are_named_from_other_namespaces() {
    let root = Root::with(&format!("{WAT}  - {{name: one, kind: http.service, addr: ':1'}}\n"));
    root.write(
        "other/_index.yaml",
        "entries:
  - {name: two, kind: http.service, addr: ':2'}
  - {name: a, kind: http.router, meta: {server: 'myns:one'}, prefix: /a}
  - {name: b, kind: http.router, meta: {server: two, comment: hello}, prefix: /b}
  - {name: c, kind: http.endpoint, method: GET, path: /x, func: 'myns:f', meta: {router: a}}
  - {name: d, kind: http.endpoint, method: GET, path: /x, func: 'myns:f', meta: {router: 'other:b'}}
  - {name: dir, kind: fs.directory, directory: .}
  - {name: w, kind: http.static, path: /, fs: dir, meta: {server: 'myns:one'}}
",
    );
    let registry = root.sound();
    assert_eq!(routes(&registry), ["0.0.0.0:1/a/x", "0.0.0.0:2/b/x"]);
    assert_eq!(registry.servers()[0].statics.len(), 1);
}

#[test]
fn an_endpoint_takes_its_method_path_and_function() {
    let spec = endpoint("method: post, path: '/users/{id}/{rest...}'");
    assert_eq!((spec.id, spec.function), (id("myns:e"), id("myns:f")));
    assert_eq!((spec.method, spec.path.as_str()), (Some(Method::POST), "/users/{id}/{rest...}"));
    assert_eq!(endpoint("method: '*', path: /").method, None);
    assert_eq!(endpoint("method: ANY, path: /").method, None);
    assert_eq!(endpoint("method: GET, path: /é").path, "/%C3%A9");
}

#[test]
fn an_endpoint_takes_transport_and_size_of_bodies_from_its_function() {
    let plain = endpoint("method: GET, path: /");
    assert_eq!((plain.transport, plain.max_body_bytes), (Transport::Payload, EndpointSpec::BODY_BYTES_MAX));
    let registry = load(
        "    transport: wasi-http
    limits: {max_body_bytes: 9}
  - {name: e, kind: http.endpoint, method: GET, path: /, func: f}
",
    );
    let spec = &registry.servers()[0].routers[0].endpoints[0];
    assert_eq!((spec.transport, spec.max_body_bytes), (Transport::WasiHttp, 9));
}

#[test]
fn what_only_http_asks_for_is_fine_without_an_endpoint() {
    load("    transport: wasi-http\n    limits: {max_body_bytes: 9}\n");
}

#[test]
fn an_endpoint_of_a_function_that_is_at_fault_is_left_out() {
    let root = Root::with(
        "entries:
  - {name: broken, kind: function.wat, source: (module)}
  - {name: lua, kind: function.lua}
  - {name: a, kind: http.endpoint, method: GET, path: /a, func: broken}
  - {name: b, kind: http.endpoint, method: GET, path: /b, func: lua}
",
    );
    let (registry, diagnostics) = root.read();
    assert!(routes(&registry).is_empty());
    let entries: Vec<_> = diagnostics.errors().map(|error| error.entry().unwrap().to_string()).collect();
    assert_eq!(entries, ["myns:broken", "myns:lua"]);
}

#[test]
fn endpoints_clash_only_with_those_of_their_server() {
    let entries = |server: &str| {
        format!(
            "  - {{name: s, kind: http.service, addr: ':1'}}
  - {{name: t, kind: http.service, addr: ':2'}}
  - {{name: a, kind: http.router, meta: {{server: s}}, prefix: /api}}
  - {{name: b, kind: http.router, meta: {{server: {server}}}}}
  - {{name: c, kind: http.endpoint, method: GET, path: '/{{id}}', func: f, meta: {{router: a}}}}
  - {{name: d, kind: http.endpoint, method: GET, path: '/api/{{name}}', func: f, meta: {{router: b}}}}
  - {{name: e, kind: http.endpoint, method: PUT, path: '/api/{{any}}', func: f, meta: {{router: b}}}}\n"
        )
    };
    assert_eq!(errors(&entries("t")), Vec::<String>::new());
    assert_eq!(errors(&entries("s")), ["`myns:c` answers `GET /api/{name}`, too"]);
}

#[test]
fn middleware_keeps_its_order() {
    let names = |router: &RouterSpec| router.middleware.iter().map(Middleware::name).collect::<Vec<_>>();
    assert_eq!(
        names(&router("middleware: [real_ip, ratelimit, cors, compress]")),
        ["real_ip", "ratelimit", "cors", "compress"]
    );
    assert_eq!(names(&router("middleware: [compress, real_ip]")), ["compress", "real_ip"]);
    assert!(router("prefix: /").middleware.is_empty());
}

#[test]
fn the_options_of_a_middleware_that_is_listed_twice_are_looked_at_once() {
    let router = "{name: r, kind: http.router, middleware: [cors, cors], options: {cors.allow.credentials: true}}";
    let expected = ["`cors` is listed twice", "browsers send no credentials where `cors.allow.origins` is `*`"];
    assert_eq!(errors(&format!("  - {router}\n")), expected);
}

#[test]
fn a_limit_that_would_count_proxies_is_warned_of() {
    let warnings = |middleware: &str| {
        let root = Root::with(&format!("entries:\n  - {{name: r, kind: http.router, middleware: [{middleware}]}}\n"));
        let (_, diagnostics) = root.read();
        diagnostics.iter().map(|warning| warning.field().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(warnings("ratelimit, cors, real_ip"), ["middleware[0]"]);
    assert!(warnings("real_ip, ratelimit").is_empty() && warnings("ratelimit").is_empty());
}

/// The only middleware of a router with these options.
fn only(name: &str, options: &str) -> Middleware {
    router(&format!("middleware: [{name}], options: {{{options}}}")).middleware[0].clone()
}

fn cors(options: &str) -> CorsSpec {
    let Middleware::Cors(spec) = only("cors", options) else { panic!() };
    spec
}

#[test]
fn cors_takes_lists_and_strings_with_commas() {
    let a = HeaderValue::from_static("https://a.example");
    let b = HeaderValue::from_static("http://b.example:81");
    let both = Some(vec![a, b]);
    assert_eq!(cors("cors.allow.origins: 'https://a.example, http://b.example:81'").origins, both);
    assert_eq!(cors("cors.allow.origins: ['https://a.example', 'http://b.example:81']").origins, both);
    assert_eq!(cors("cors.allow.origins: '*'").origins, None);
    assert_eq!(cors("cors.allow.methods: 'get,POST'").methods, [Method::GET, Method::POST]);
    assert_eq!(cors("cors.allow.methods: '*'").methods, cors("").methods);
    let names = |text: &[&'static str]| text.iter().copied().map(HeaderName::from_static).collect::<Vec<_>>();
    assert_eq!(cors("cors.allow.headers: [X-A, x-b]").headers, Some(names(&["x-a", "x-b"])));
    assert_eq!(cors("cors.allow.headers: '*'").headers, None);
    assert_eq!(cors("cors.expose.headers: 'X-A,X-B'").expose, names(&["x-a", "x-b"]));
    assert_eq!(cors("cors.max.age: 600").max_age, Duration::from_secs(600));
    assert_eq!(cors("cors.max.age: '600'").max_age, Duration::from_secs(600));
    assert_eq!(cors("cors.max.age: 10m").max_age, Duration::from_secs(600));
    assert!(cors("cors.allow.credentials: 'true', cors.allow.origins: 'https://a.example'").credentials);
    assert!(cors("cors.allow.credentials: true, cors.allow.origins: 'https://a.example'").credentials);
    assert!(!cors("cors.allow.credentials: false").credentials);
}

#[test]
fn compression_has_a_level_and_a_length() {
    let compress = |options: &str| {
        let Middleware::Compress(spec) = only("compress", options) else { panic!() };
        spec
    };
    assert_eq!(compress(""), CompressSpec { level: CompressLevel::Default, min_bytes: CompressSpec::MIN_BYTES });
    assert_eq!(compress("compress.level: fastest").level, CompressLevel::Fastest);
    assert_eq!(compress("compress.level: best").level, CompressLevel::Best);
    assert_eq!(compress("compress.min.length: 7").min_bytes, 7);
    assert_eq!(compress("compress.min.length: '0'").min_bytes, 0);
}

#[test]
fn rate_limits_have_requests_a_window_a_burst_and_a_key() {
    let limit = |options: &str| {
        let Middleware::RateLimit(spec) = only("ratelimit", options) else { panic!() };
        spec
    };
    let (requests, window) = (RateLimitSpec::REQUESTS, RateLimitSpec::WINDOW);
    assert_eq!(limit(""), RateLimitSpec { requests, window, burst: requests, key: RateLimitKey::Ip });
    let full = "ratelimit.requests: 5, ratelimit.window: 2s, ratelimit.burst: '9', ratelimit.key: 'header:X-Api-Key'";
    let key = RateLimitKey::Header(HeaderName::from_static("x-api-key"));
    assert_eq!(limit(full), RateLimitSpec { requests: 5, window: Duration::from_secs(2), burst: 9, key });
    assert_eq!(limit("ratelimit.interval: 1h").window, Duration::from_secs(3600));
    assert_eq!(limit("ratelimit.requests: '5'").burst, 5);
    assert_eq!(limit("ratelimit.key: ip").key, RateLimitKey::Ip);
}

#[test]
fn proxies_are_believed_by_their_networks() {
    let trusted = |options: &str| {
        let Middleware::RealIp(spec) = only("real_ip", options) else { panic!() };
        spec.trusted.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(trusted("real_ip.trusted.subnets: '10.1.2.3/8, ::1'"), "10.0.0.0/8, ::1/128");
    assert_eq!(trusted("real_ip.trusted.subnets: [192.0.2.7]"), "192.0.2.7/32");
    assert_eq!(trusted(""), default_of("http.router", "options/properties/real_ip.trusted.subnets"));
}

#[test]
fn static_files_have_a_folder_and_options() {
    let spec = files("");
    assert_eq!(
        (spec.path.as_str(), spec.index.as_deref(), spec.spa, spec.cache),
        ("/", Some("index.html"), false, None)
    );
    assert!(spec.directory.ends_with("public"));
    assert!(files(", directory: /dist").directory.ends_with("public/dist"));
    assert!(files(", directory: dist/").directory.ends_with("public/dist"));
    let spec = files(", static_options: {index: home.htm, spa: true, cache: 'public, max-age=60'}");
    assert_eq!((spec.index.as_deref(), spec.spa), (Some("home.htm"), true));
    assert_eq!(spec.cache, Some(HeaderValue::from_static("public, max-age=60")));
    assert_eq!(files(", static_options: {index: false}").index, None);
}

/// What the schema says is the default of a field.
fn default_of(kind: &str, path: &str) -> String {
    let schema = schema();
    let found = schema.pointer(&format!("/$defs/{kind}/properties/{path}/default"));
    match found.unwrap_or_else(|| panic!("{kind} {path}")) {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[test]
fn the_schema_tells_the_defaults_that_a_load_gives() {
    let option = |name: &str| default_of("http.router", &format!("options/properties/{name}"));
    let spec = cors("");
    assert_eq!(spec.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", "), option("cors.allow.methods"));
    let headers = spec.headers.unwrap();
    let headers = headers.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ");
    assert_eq!(headers, option("cors.allow.headers").to_lowercase());
    assert_eq!((spec.origins, option("cors.allow.origins").as_str()), (None, "*"));
    assert_eq!(spec.max_age.as_secs().to_string(), option("cors.max.age"));
    assert_eq!(CompressSpec::MIN_BYTES.to_string(), option("compress.min.length"));
    assert_eq!(RateLimitSpec::REQUESTS.to_string(), option("ratelimit.requests"));
    assert_eq!((RateLimitSpec::WINDOW, option("ratelimit.window").as_str()), (Duration::from_secs(60), "1m"));
    assert_eq!(default_of("http.service", "addr"), ServerSpec::ADDRESS);
    let body = default_of("function.wasm", "limits/properties/max_body_bytes");
    assert_eq!(body, EndpointSpec::BODY_BYTES_MAX.to_string());
    let seconds = |name: &str| default_of("http.service", &format!("timeouts/properties/{name}"));
    let Timeouts { read, write, idle } = Timeouts::default();
    for (name, value) in [("read", read), ("write", write), ("idle", idle)] {
        assert_eq!(seconds(name), format!("{}s", value.as_secs()));
    }
    assert_eq!(default_of("http.static", "static_options/properties/index"), StaticSpec::INDEX);
}

#[test]
fn entries_say_what_they_serve_and_where() {
    let root = Root::with(&format!(
        "{WAT}  - {{name: s, kind: http.service, addr: ':8443'}}
  - {{name: off, kind: http.service, lifecycle: {{auto_start: false}}}}
  - {{name: r, kind: http.router, meta: {{server: s}}, prefix: /api, middleware: [cors, compress]}}
  - {{name: e, kind: http.endpoint, method: get, path: '/{{id}}', func: f}}
  - {{name: d, kind: fs.directory, directory: .}}
  - {{name: w, kind: http.static, path: /web, fs: d, meta: {{server: s}}}}
"
    ));
    let registry = root.sound();
    let lines: Vec<_> = registry
        .entries()
        .iter()
        .filter(|entry| entry.kind.starts_with("http."))
        .map(|entry| format!("{}: {}", entry.id.name(), entry.summary))
        .collect();
    assert_eq!(
        lines,
        [
            "e: GET /api/{id} → f, on 0.0.0.0:8443",
            "off: http://127.0.0.1:8080, does not start",
            "r: /api, cors, compress, on 0.0.0.0:8443",
            "s: http://0.0.0.0:8443",
            "w: /web → d, on 0.0.0.0:8443",
        ]
    );
    assert!(registry.entries().iter().all(|entry| !entry.inert));
}

#[test]
fn files_that_an_endpoint_hides_are_warned_of() {
    let warnings = |method: &str, path: &str, mount: &str, server: &str| {
        let entries = format!(
            "  - {{name: one, kind: http.service, addr: ':1'}}
  - {{name: two, kind: http.service, addr: ':2'}}
  - {{name: r, kind: http.router, meta: {{server: one}}, prefix: /api}}
  - {{name: root, kind: http.router, meta: {{server: one}}}}
  - {{name: in_api, kind: http.endpoint, method: GET, path: '/x/{{rest...}}', func: f, meta: {{router: r}}}}
  - {{name: relay, kind: http.endpoint, method: {method}, path: '{path}', func: f, meta: {{router: root}}}}
  - {{name: d, kind: fs.directory, directory: .}}
  - {{name: pages, kind: http.static, path: {mount}, fs: d, meta: {{server: {server}}}}}\n"
        );
        let (registry, diagnostics) = Root::with(&format!("{WAT}{entries}")).read();
        assert!(!diagnostics.has_errors(), "{diagnostics}");
        assert_eq!(registry.servers().iter().map(|server| server.statics.len()).sum::<usize>(), 1);
        diagnostics.iter().map(|one| format!("{}: {}", one.field().unwrap(), one.message())).collect::<Vec<_>>()
    };
    let relay = |mount: &str| vec![format!("path: `pages` is never reached: `relay` takes every path below `{mount}`")];
    assert_eq!(warnings("GET", "/{rest...}", "/", "one"), relay("/"));
    assert_eq!(warnings("ANY", "/{rest...}", "/", "one"), relay("/"));
    assert_eq!(warnings("GET", "/{rest...}", "/assets", "one"), relay("/assets"));
    assert_eq!(warnings("GET", "/assets/{rest...}", "/assets", "one"), relay("/assets"));
    let in_api = "path: `pages` is never reached: `in_api` takes every path below `/api/x`";
    assert_eq!(warnings("GET", "/{rest...}", "/api/x", "one"), [in_api]);
    for (method, path, mount, server) in [
        ("POST", "/{rest...}", "/", "one"),
        ("GET", "/assets/{rest...}", "/", "one"),
        ("GET", "/{name}", "/", "one"),
        ("GET", "/{rest...}", "/", "two"),
    ] {
        assert_eq!(warnings(method, path, mount, server), Vec::<String>::new(), "{method} {path} {mount} {server}");
    }
}
