//! What requests pass on their way in, and responses on their way out: every option, by what clients see of it. Those of
//! `compress` are in `compress`.

use std::time::Duration;

use greenroom::{
    http::Servers,
    registry::http::{CorsSpec, Middleware, RateLimitKey, RateLimitSpec, RealIpSpec, RouterSpec},
};
use reqwest::{Client, Method, Response, header::HeaderMap};

use super::{Backstage, Stage, body, clients, endpoint, router, runtime, serve, server};

/// The functions of the tests below `/api`, behind these.
pub async fn behind(name: &str, middleware: Vec<Middleware>) -> Stage {
    let endpoints = vec![
        endpoint("GET", "/hello", "hello"),
        endpoint("POST", "/large", "large"),
        endpoint("GET", "/large", "large"),
    ];
    let other = router("/other", vec![endpoint("GET", "/hello", "hello")]);
    serve(name, server(vec![RouterSpec { middleware, ..router("/api", endpoints) }, other])).await
}

/// A header.
pub fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

fn cors() -> CorsSpec {
    CorsSpec {
        origins: Some(vec!["https://a.example".parse().unwrap(), "https://b.example".parse().unwrap()]),
        methods: vec![Method::GET, Method::PUT],
        headers: Some(vec!["x-one".parse().unwrap(), "x-two".parse().unwrap()]),
        expose: vec!["x-shown".parse().unwrap()],
        credentials: true,
        max_age: Duration::from_secs(77),
    }
}

async fn get(client: &Client, stage: &Stage, path: &str, origin: &str) -> Response {
    client.get(stage.url(path)).header("origin", origin).send().await.unwrap()
}

async fn preflight(client: &Client, stage: &Stage, path: &str, origin: &str) -> Response {
    client
        .request(Method::OPTIONS, stage.url(path))
        .header("origin", origin)
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "x-three")
        .send()
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_origins_that_are_listed_may_call() {
    let stage = behind("http-cors", vec![Middleware::Cors(cors())]).await;
    for client in clients() {
        // Errors have the headers too, or pages could not read them.
        for (path, status) in [("/api/hello", 200), ("/api/nowhere", 404), ("/api", 404)] {
            let response = get(&client, &stage, path, "https://b.example").await;
            assert_eq!(response.status(), status);
            let headers = response.headers();
            assert_eq!(text(headers, "access-control-allow-origin"), Some("https://b.example"), "{path}");
            assert_eq!(text(headers, "access-control-allow-credentials"), Some("true"));
            assert_eq!(text(headers, "access-control-expose-headers"), Some("x-shown"));
            assert!(text(headers, "vary").unwrap().contains("origin"));
        }
        let refused = client.post(stage.url("/api/hello")).header("origin", "https://a.example").send().await.unwrap();
        assert_eq!(refused.status(), 405);
        assert_eq!(text(refused.headers(), "access-control-allow-origin"), Some("https://a.example"));

        let stranger = get(&client, &stage, "/api/hello", "https://c.example").await;
        assert_eq!(text(stranger.headers(), "access-control-allow-origin"), None);
        for path in ["/other/hello", "/apis", "/nowhere"] {
            let other = get(&client, &stage, path, "https://a.example").await;
            assert_eq!(text(other.headers(), "access-control-allow-origin"), None, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_say_what_pages_may_do() {
    let stage = behind("http-preflight", vec![Middleware::Cors(cors())]).await;
    for client in clients() {
        for path in ["/api/hello", "/api/nowhere"] {
            let response = preflight(&client, &stage, path, "https://a.example").await;
            assert_eq!(response.status(), 200);
            let headers = response.headers();
            assert_eq!(text(headers, "access-control-allow-origin"), Some("https://a.example"));
            assert_eq!(text(headers, "access-control-allow-methods"), Some("GET,PUT"));
            assert_eq!(text(headers, "access-control-allow-headers"), Some("x-one,x-two"));
            assert_eq!(text(headers, "access-control-allow-credentials"), Some("true"));
            assert_eq!(text(headers, "access-control-max-age"), Some("77"));
            assert!(headers.contains_key("x-request-id"));
        }
        let stranger = preflight(&client, &stage, "/api/hello", "https://c.example").await;
        assert_eq!(text(stranger.headers(), "access-control-allow-origin"), None);
        // Without the question of a preflight it is about the path.
        let asked = client.request(Method::OPTIONS, stage.url("/api/hello")).send().await.unwrap();
        assert_eq!((asked.status().as_u16(), text(asked.headers(), "allow")), (204, Some("GET, HEAD, OPTIONS")));
        let other = preflight(&client, &stage, "/other/hello", "https://a.example").await;
        assert_eq!(text(other.headers(), "access-control-allow-origin"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_origin_and_every_header_may_be_allowed() {
    let open = CorsSpec { origins: None, headers: None, credentials: false, ..cors() };
    let stage = behind("http-cors-open", vec![Middleware::Cors(open)]).await;
    for client in clients() {
        let response = preflight(&client, &stage, "/api/hello", "https://anyone.example").await;
        assert_eq!(text(response.headers(), "access-control-allow-origin"), Some("*"));
        assert_eq!(text(response.headers(), "access-control-allow-headers"), Some("x-three"));
        assert_eq!(text(response.headers(), "access-control-allow-credentials"), None);
    }
}

fn limit(requests: u32, burst: u32, key: RateLimitKey) -> Middleware {
    // Nothing is given back while a test runs.
    Middleware::RateLimit(RateLimitSpec { requests, window: Duration::from_secs(100_000), burst, key })
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_ask_too_often_are_told_when_to_come_back() {
    let stage = behind("http-ratelimit", vec![limit(1000, 3, RateLimitKey::Ip)]).await;
    let [client, http2] = clients();
    let status = async |path: &str| client.get(stage.url(path)).send().await.unwrap().status().as_u16();
    assert_eq!([status("/api/hello").await, status("/api/nowhere").await, status("/api/hello").await], [200, 404, 200]);
    let refused = http2.get(stage.url("/api/hello")).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert_eq!(text(refused.headers(), "content-type"), Some("application/problem+json"));
    // A thousandth of the window for each request.
    let wait: u64 = text(refused.headers(), "retry-after").unwrap().parse().unwrap();
    assert!((40..=100).contains(&wait), "{wait}");
    let detail = body(refused).await["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("too many requests; the next is welcome in "), "{detail}");
    assert_eq!(status("/other/hello").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_used_up_comes_back_evenly() {
    let spec = RateLimitSpec { requests: 10, window: Duration::from_secs(10), burst: 1, key: RateLimitKey::Ip };
    let stage = behind("http-ratelimit-back", vec![Middleware::RateLimit(spec)]).await;
    let [client, _] = clients();
    let mut statuses = Vec::new();
    while statuses.iter().filter(|status| **status == 200).count() < 2 {
        statuses.push(client.get(stage.url("/api/hello")).send().await.unwrap().status().as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_may_be_told_apart_by_a_header() {
    let stage =
        behind("http-ratelimit-header", vec![limit(1, 1, RateLimitKey::Header("x-key".parse().unwrap()))]).await;
    let [client, _] = clients();
    let status = async |key: Option<&str>| {
        let request = client.get(stage.url("/api/hello"));
        let request = key.into_iter().fold(request, |request, key| request.header("x-key", key));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!([status(Some("a")).await, status(Some("a")).await, status(Some("b")).await], [200, 429, 200]);
    assert_eq!([status(None).await, status(None).await], [200, 429]);
}

#[tokio::test(flavor = "multi_thread")]
async fn trusted_proxies_say_who_the_client_is() {
    let trusted = |networks: &[&str]| {
        let trusted = networks.iter().map(|network| network.parse().unwrap()).collect();
        Middleware::RealIp(RealIpSpec { trusted })
    };
    // Who is who shows in whose quota is used up.
    let once = || limit(1, 1, RateLimitKey::Ip);
    let [client, _] = clients();
    let statuses = async |stage: &Stage| {
        let mut statuses = Vec::new();
        for ip in ["1.1.1.1", "1.1.1.1", "2.2.2.2"] {
            let request = client.get(stage.url("/api/hello")).header("x-forwarded-for", format!("6.6.6.6, {ip}"));
            statuses.push(request.send().await.unwrap().status().as_u16());
        }
        statuses
    };
    let stage = behind("http-real-ip", vec![trusted(&["127.0.0.0/8"]), once()]).await;
    assert_eq!(statuses(&stage).await, [200, 429, 200]);
    let stage = behind("http-real-ip-stranger", vec![trusted(&["10.0.0.0/8"]), once()]).await;
    assert_eq!(statuses(&stage).await, [200, 429, 429]);
    // The first is the outermost: the limit has counted before it is known who it is.
    let stage = behind("http-real-ip-order", vec![once(), trusted(&["127.0.0.0/8"])]).await;
    assert_eq!(statuses(&stage).await, [200, 429, 429]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_passes_the_middleware_that_is_outside() {
    let stage = behind("http-order", vec![Middleware::Cors(cors()), limit(1, 1, RateLimitKey::Ip)]).await;
    let [client, _] = clients();
    // Preflights are answered outside of the limit.
    for _ in 0..3 {
        assert_eq!(preflight(&client, &stage, "/api/hello", "https://a.example").await.status(), 200);
    }
    assert_eq!(get(&client, &stage, "/api/hello", "https://a.example").await.status(), 200);
    let refused = get(&client, &stage, "/api/hello", "https://a.example").await;
    assert_eq!(refused.status(), 429);
    assert_eq!(text(refused.headers(), "access-control-allow-origin"), Some("https://a.example"));

    let stage = behind("http-order-back", vec![limit(1, 1, RateLimitKey::Ip), Middleware::Cors(cors())]).await;
    assert_eq!(get(&client, &stage, "/api/hello", "https://a.example").await.status(), 200);
    let refused = get(&client, &stage, "/api/hello", "https://a.example").await;
    assert_eq!((refused.status().as_u16(), text(refused.headers(), "access-control-allow-origin")), (429, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_cannot_be_are_named() {
    let runtime = runtime("http-bad-options", &["hello"], &Backstage::new()).await;
    let limit = |requests, seconds, burst| {
        let window = Duration::from_secs(seconds);
        Middleware::RateLimit(RateLimitSpec { requests, window, burst, key: RateLimitKey::Ip })
    };
    for (middleware, field) in [
        (Middleware::Cors(CorsSpec { origins: None, ..cors() }), "cors.allow.credentials"),
        (Middleware::Cors(CorsSpec { origins: Some(vec!["*".parse().unwrap()]), ..cors() }), "cors.allow.origins"),
        (limit(0, 1, 1), "ratelimit.requests"),
        (limit(1, 0, 1), "ratelimit.window"),
        (limit(1, 1, 0), "ratelimit.burst"),
    ] {
        let spec = server(vec![RouterSpec {
            middleware: vec![middleware],
            ..router("", vec![endpoint("GET", "/hello", "hello")])
        }]);
        let error = Servers::bind(&runtime, &[spec], &Default::default()).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("test:router: options.{field}: ")), "{error}");
    }
}
