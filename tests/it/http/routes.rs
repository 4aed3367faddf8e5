//! Which endpoint a request is for.

use greenroom::{
    Runtime,
    http::{Options, Servers},
};
use serde_json::json;

use super::{Backstage, body, client, clients, endpoint, router, runtime, serve, server};
use crate::registry::Root;

#[tokio::test(flavor = "multi_thread")]
async fn the_most_specific_path_below_the_prefix_wins() {
    let spec = server(vec![
        router("", vec![endpoint("GET", "/", "root"), endpoint("GET", "/files/{rest...}", "files")]),
        router(
            "/api",
            vec![
                endpoint("GET", "/users/{id}", "user"),
                endpoint("DELETE", "/users/{name}", "gone"),
                endpoint("GET", "/users/me", "me"),
                endpoint("GET", "/users/", "users"),
                endpoint("GET", "/v{version}/x", "version"),
                endpoint("GET", "/café", "cafe"),
                endpoint("*", "/any", "any"),
                endpoint("GET", "/any", "any_get"),
            ],
        ),
    ]);
    let stage = serve("http-routes", spec).await;
    for client in clients() {
        for (method, path, function) in [
            ("GET", "/", "root"),
            ("GET", "/files/", "files"),
            ("GET", "/files/a/b%2Fc", "files"),
            ("GET", "/api/users/7", "user"),
            ("GET", "/api/users/7?a=b", "user"),
            ("GET", "/api/users/a%2Fb", "user"),
            ("DELETE", "/api/users/7", "gone"),
            ("GET", "/api/users/me", "me"),
            ("GET", "/api/users/", "users"),
            ("GET", "/api/v2/x", "version"),
            ("GET", "/api/caf%C3%A9", "cafe"),
            ("GET", "/api/any", "any_get"),
            ("POST", "/api/any", "any"),
            ("BREW", "/api/any", "any"),
            ("OPTIONS", "/api/any", "any"),
        ] {
            let response = client.request(method.parse().unwrap(), stage.url(path)).send().await.unwrap();
            assert_eq!(response.status(), 200, "{method} {path}");
            assert_eq!(body(response).await, json!(function), "{method} {path}");
        }
        for path in [
            "/files",
            "/api",
            "/api/",
            "/api/users",
            "/api/users/7/",
            "/api/users/7/8",
            "/API/users/me",
            "/apiusers/me",
        ] {
            let response = client.get(stage.url(path)).send().await.unwrap();
            assert_eq!(response.status(), 404, "{path}");
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            assert!(body(response).await["detail"].as_str().unwrap().contains(path), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_of_a_path_are_told_which_there_are() {
    let spec = server(vec![router(
        "",
        vec![endpoint("GET", "/x", "read"), endpoint("PUT", "/x", "write"), endpoint("POST", "/y", "post")],
    )]);
    let stage = serve("http-methods", spec).await;
    for client in clients() {
        let of = |method: &str, path: &str| client.request(method.parse().unwrap(), stage.url(path)).send();
        let refused = of("DELETE", "/x").await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["allow"]),
            (405, &"GET, HEAD, OPTIONS, PUT".parse().unwrap())
        );
        assert_eq!(refused.headers()["content-type"], "application/problem+json");
        let detail = body(refused).await["detail"].clone();
        assert_eq!(detail, "DELETE is not answered here; allowed: GET, HEAD, OPTIONS, PUT");
        let asked = of("OPTIONS", "/y").await.unwrap();
        assert_eq!((asked.status().as_u16(), &asked.headers()["allow"]), (204, &"OPTIONS, POST".parse().unwrap()));
        assert_eq!(of("HEAD", "/y").await.unwrap().status(), 405);
        assert_eq!(of("OPTIONS", "/nowhere").await.unwrap().status(), 404);
    }
    let all = stage.raw("OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(all.starts_with("HTTP/1.1 204"), "{all}");
    let tunnel = stage.raw("CONNECT x:1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(tunnel.starts_with("HTTP/1.1 404"), "{tunnel}");
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_answered_as_get_is_without_the_body() {
    let spec = server(vec![router("", vec![endpoint("GET", "/x", "read"), endpoint("*", "/any", "any")])]);
    let stage = serve("http-head", spec).await;
    for client in clients() {
        for path in ["/x", "/any", "/nowhere"] {
            let got = client.get(stage.url(path)).send().await.unwrap();
            let head = client.head(stage.url(path)).send().await.unwrap();
            assert_eq!(head.status(), got.status());
            for name in ["content-type", "content-length"] {
                assert_eq!(head.headers().get(name), got.headers().get(name), "{path}: {name}");
            }
            assert!(got.headers().contains_key("content-length"));
            assert_eq!(head.bytes().await.unwrap().len(), 0);
        }
    }
    // Whatever follows on the connection is the next response.
    let mut raw = stage.connect().await;
    raw.send("HEAD /x HTTP/1.1\r\nhost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let all = raw.rest().await;
    let (_, next) = all.split_once("\r\n\r\n").unwrap();
    assert!(next.starts_with("HTTP/1.1 404"), "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_are_not_utf_8_are_refused() {
    let stage = serve("http-not-utf-8", server(vec![router("", vec![endpoint("GET", "/{id}", "user")])])).await;
    let response = client().get(stage.url("/%ff")).send().await.unwrap();
    assert_eq!(response.status(), 400);
    assert_eq!(body(response).await["detail"], "`id` of the path is not UTF-8");
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_cannot_be_served_are_named() {
    let runtime = runtime("http-conflicts", &["a"], &Backstage::new()).await;
    let error = async |endpoints| {
        let spec = server(vec![router("/p", endpoints)]);
        Servers::bind(&runtime, &[spec], &Default::default()).await.unwrap_err().to_string()
    };
    let same = error(vec![endpoint("GET", "/{a}", "a"), endpoint("GET", "/{b}", "a")]).await;
    assert_eq!(same, "test:GET__b_: path: test:GET__a_ answers the same method of the same path");
    let ambiguous = error(vec![endpoint("GET", "/{a}", "a"), endpoint("GET", "/{b...}", "a")]).await;
    assert!(ambiguous.contains(": path: the path conflicts with others"), "{ambiguous}");
    let unfinished = error(vec![endpoint("GET", "/{a", "a")]).await;
    assert_eq!(unfinished, "test:GET__a: path: `/p/{a` has a `{` without its `}`");
    let nobody = error(vec![endpoint("GET", "/", "nobody")]).await;
    assert!(nobody.starts_with("test:GET_: func: "), "{nobody}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_has_no_body_has_no_length() {
    let root = Root::with(
        "entries:
  - {name: f, kind: function.wat, source: '(module (func (export \"f\")))', method: f, transport: wasi-http}
  - {name: get, kind: http.endpoint, method: GET, path: /, func: f}
",
    );
    let runtime = Runtime::builder().name("http-no-content").registry(root.path()).start().await.unwrap();
    let options = Options { listen: Some("127.0.0.1:0".to_owned()), ..Options::default() };
    let servers = Servers::bind(&runtime, runtime.registry().unwrap().servers(), &options).await.unwrap();
    let url = format!("http://{}/", servers.addresses()[0].1);
    let _serving = servers.serve();
    for client in clients() {
        for request in [client.get(&url), client.head(&url)] {
            let response = request.send().await.unwrap();
            assert_eq!((response.status().as_u16(), response.headers().get("content-length")), (204, None));
        }
    }
}
