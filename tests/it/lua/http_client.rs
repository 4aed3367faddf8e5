//! `http_client`: what is sent, what comes back, and what is refused.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use greenroom::{CallOptions, Context, Runtime};
use greenroom_actors::wasm::REQUESTS_MAX;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
    sync::Mutex,
};

use super::{call, lua, start};
use crate::registry::Root;

/// A server that answers every request with the same, and keeps what it was sent.
struct Peer {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    /// Answers with these bytes and closes; never, when there are none.
    async fn new(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, heard) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let kept = heard.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let kept = kept.clone();
                tokio::spawn(async move {
                    let mut request = Vec::new();
                    let mut piece = [0; 4096];
                    let is_whole = |request: &[u8]| {
                        let text = String::from_utf8_lossy(request).into_owned();
                        text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
                            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                            body.len() >= length.map_or(0, |length| length.parse().unwrap())
                        })
                    };
                    while !is_whole(&request) {
                        match stream.read(&mut piece).await {
                            Ok(read @ 1..) => request.extend_from_slice(&piece[..read]),
                            _ => return,
                        }
                    }
                    kept.lock().await.push(String::from_utf8(request).unwrap());
                    if answer.is_empty() {
                        return std::future::pending::<()>().await;
                    }
                    stream.write_all(answer.as_bytes()).await.unwrap();
                });
            }
        });
        Self { address, heard }
    }

    /// The last request: its head, and its body.
    async fn heard(&self) -> (String, String) {
        let request = self.heard.lock().await.pop().expect("a request");
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\nX-A: 1\r\nx-a: 2\r\nconnection: close\r\n\r\n{\"n\":[1]}";

/// A runtime with a function that is given an address.
async fn runtime(name: &str, allow: &[&str], text: &str) -> (Runtime, Root) {
    let fields = format!("modules: [http_client]\nnetwork: {{allow: {allow:?}}}");
    let root = lua(&fields, &format!("local at = ...\n{text}"));
    (start(name, &root).await, root)
}

/// What the function gives for the address of a peer, or its error in words.
async fn run(name: &str, peer: &Peer, text: &str) -> Value {
    let (runtime, _root) = runtime(name, &["127.0.0.1:*"], text).await;
    let result = call(&runtime, json!([peer.address.to_string()])).await;
    result.unwrap_or_else(|error| Value::String(format!("{}: {error}", error.kind())))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_has_status_headers_and_body() {
    let peer = Peer::new(OK).await;
    let text = "local response, err = http_client.get('http://' .. at .. '/a?b=c')
                return {response.status, response.headers['x-a'], response.body, response:json().n[1], err == nil,
                        select(2, pcall(response.json)):message()}";
    let seen = run("client-get", &peer, text).await;
    assert_eq!(seen, json!([200, "1, 2", "{\"n\":[1]}", 1, true, "write `response:json()`, with a colon"]));
    let (head, body) = peer.heard().await;
    assert_eq!(head.lines().next(), Some("GET /a?b=c HTTP/1.1"));
    assert!(head.lines().any(|line| line == format!("host: {}", peer.address)), "{head}");
    assert_eq!(body, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_method_is_sent() {
    let peer = Peer::new("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
    for method in ["get", "post", "put", "patch", "delete", "head"] {
        let text = format!("return assert(http_client.{method}('http://' .. at)).status");
        assert_eq!(run(&format!("client-by-{method}"), &peer, &text).await, json!(204));
        assert!(peer.heard().await.0.starts_with(&format!("{} / HTTP/1.1", method.to_uppercase())));
    }
    let text = "return assert(http_client.request('PROPFIND', 'http://' .. at)).status";
    assert_eq!(run("client-request", &peer, text).await, json!(204));
    assert!(peer.heard().await.0.starts_with("PROPFIND / HTTP/1.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_option_is_sent() {
    let peer = Peer::new(OK).await;
    let text = "http_client.post('http://' .. at .. '/p?a=1#x', {
                  headers = {['X-One'] = 1, many = {'a', 'b'}}, query = {b = 'é &', c = {1, true}}, body = 'text'})";
    run("client-options", &peer, text).await;
    let (head, body) = peer.heard().await;
    assert_eq!(head.lines().next(), Some("POST /p?a=1&b=%C3%A9+%26&c=1&c=true HTTP/1.1"));
    for line in ["x-one: 1", "many: a", "many: b", "content-length: 4"] {
        assert!(head.lines().any(|found| found == line), "{line}: {head}");
    }
    assert_eq!(body, "text");
    run("client-json", &peer, "http_client.post('http://' .. at, {json = {a = {1}}})").await;
    let (head, body) = peer.heard().await;
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(body, r#"{"a":[1]}"#);
    let text = "http_client.post('http://' .. at, {json = 1, headers = {['Content-Type'] = 'a/b'}})";
    run("client-typed", &peer, text).await;
    assert!(peer.heard().await.0.contains("content-type: a/b"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_belongs_to_the_trace_of_its_call() {
    let peer = Peer::new(OK).await;
    let (runtime, _root) =
        runtime("client-trace", &["127.0.0.1:*"], "return http_client.get('http://' .. at).status").await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let context = Context { traceparent: Some(traceparent.to_owned()), ..Context::default() };
    let options = CallOptions::default().with_context(context);
    let args = vec![json!(peer.address.to_string())];
    assert_eq!(runtime.call_json("myns:f", args, options).await.unwrap(), json!(200));
    let (head, _) = peer.heard().await;
    assert!(head.contains("traceparent: 00-0af7651916cd43dd8448eb211c80319c-"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_listed_is_refused_with_what_to_add() {
    let peer = Peer::new(OK).await;
    let port = peer.address.port();
    let text = "local response, err = http_client.get(at) return {response == nil, err:kind(), err:message()}";
    let other = format!("127.0.0.1:{}", port.wrapping_sub(1).max(1));
    let (runtime, _root) = runtime("client-refused", &[&other, "localhost:1"], text).await;
    for (url, message) in [
        (
            format!("http://127.0.0.1:{port}/"),
            format!("127.0.0.1, which is loopback, is not listed; add `127.0.0.1:{port}` to network.allow"),
        ),
        (
            "https://secrets.example/".to_owned(),
            "secrets.example is not listed; add `secrets.example:443` to network.allow".to_owned(),
        ),
    ] {
        let seen = call(&runtime, json!([url])).await.unwrap();
        assert_eq!(seen, json!([true, "permission_denied", message]));
    }
    assert!(peer.heard.lock().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_an_error_with_a_kind() {
    let (silent, peer) = (Peer::new("").await, Peer::new(OK).await);
    let short = Peer::new("HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\nabc").await;
    let moved = Peer::new("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let text = "local got, err = http_client.get('http://' .. at, OPTIONS) return got and got.status or tostring(err)";
    // Bound, so that nobody else is there, and not listening.
    let unheard = TcpSocket::new_v4().unwrap();
    unheard.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = unheard.local_addr().unwrap();
    let nobody = Peer { address: free, heard: Arc::default() };
    for (name, peer, options, expected) in [
        ("time", &silent, "{timeout = 10}", format!("timeout: `{}` gave no whole response in 10 ms", silent.address)),
        (
            "size",
            &peer,
            "{max_body_bytes = 8}",
            format!("unavailable: the response of `{}` has more than 8 bytes; raise `max_body_bytes`", peer.address),
        ),
        ("nobody", &nobody, "nil", format!("unavailable: no response of `{free}`: connection refused")),
        ("short", &short, "nil", format!("unavailable: no response of `{}`: ", short.address)),
    ] {
        let seen = run(&format!("client-fails-{name}"), peer, &text.replace("OPTIONS", options)).await;
        assert!(seen.as_str().unwrap().starts_with(&expected), "{seen}");
    }
    let seen = run("client-size-fits", &peer, &text.replace("OPTIONS", "{max_body_bytes = 9}")).await;
    assert_eq!(seen, json!(200));
    assert_eq!(run("client-redirect", &moved, &text.replace("OPTIONS", "nil")).await, json!(302));
    assert_eq!(moved.heard.lock().await.len(), 1, "a redirect is not followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_deadline_of_the_call_ends_its_request() {
    let silent = Peer::new("").await;
    let text = "return pcall(http_client.get, 'http://' .. at)";
    let (runtime, _root) = runtime("client-deadline", &["127.0.0.1:*"], text).await;
    let options = CallOptions::timeout(Duration::from_millis(50));
    let args = vec![json!(silent.address.to_string())];
    let error = runtime.call_json("myns:f", args, options).await.unwrap_err();
    assert_eq!(error.kind().name(), "timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_has_so_many_requests_at_once_and_no_more() {
    let (silent, peer) = (Peer::new("").await, Peer::new(OK).await);
    let text = format!(
        "local begun = channel.new({REQUESTS_MAX})
         local function ask()
           begun:send(true)
           http_client.get('http://{}')
         end
         for _ = 1, {REQUESTS_MAX} do coroutine.spawn(ask) end
         for _ = 1, {REQUESTS_MAX} do begun:receive() end
         return tostring(select(2, http_client.get('http://' .. at)))",
        silent.address,
    );
    let root =
        lua("modules: [http_client, time]\nnetwork: {allow: [\"127.0.0.1:*\"]}", &format!("local at = ...\n{text}"));
    let runtime = start("client-many", &root).await;
    let seen = call(&runtime, json!([peer.address.to_string()])).await.unwrap();
    assert_eq!(seen, json!(format!("unavailable: no response of `{}`: connection limit reached", peer.address)));
    // Those of that call went with it.
    assert_eq!(run("client-many-later", &peer, "return http_client.get('http://' .. at).status").await, json!(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_refused() {
    let peer = Peer::new(OK).await;
    let text = "local function why(...) local _, err = select(2, pcall(http_client.request, ...)) return tostring(err or _) end
        local url = 'http://' .. at
        return {
          why('GET', 'ftp://a'), why('GET', '/path'), why('GET', 'http://u:p@a'), why('GET', 'http://a b'), why('G T', url),
          why('GET', url, {headers = {host = 'x'}}), why('GET', url, {headers = {['content-length'] = 7}}),
          why('GET', url, {headers = {['a b'] = '1'}}), why('GET', url, {headers = {a = '\\n'}}),
          why('GET', url, {headers = {a = {{}}}}), why('GET', url, {headers = {'a'}}), why('GET', url, {headers = 'a'}),
          why('GET', url, {query = 7}), why('GET', url, {body = {}}), why('GET', url, {body = '', json = 1}),
          why('GET', url, {json = print}), why('GET', url, {timeout = 'soon'}), why('GET', url, {max_body_bytes = -1}), why('GET', url, {max_body_bytes = 1 << 40}),
          why('GET', url, {retries = 3}),
        }";
    let seen = run("client-wrong", &peer, text).await;
    for (at, words) in [
        "`ftp://a/` is no URL to send requests to; write `https://…` or `http://…`",
        "`/path` is no URL to send requests to",
        "has a user in it; send an `authorization` header",
        "`http://a b` is no URL",
        "`G T` is no method of HTTP",
        "the header `host` is about the connection",
        "the header `content-length` is about the connection",
        "headers: `a b` is no name of a header",
        "headers: the value of `a` has characters",
        "headers: `a` is a table; write a string",
        "headers: write `headers = {name = \"value\"}`",
        "`headers` is a string; write `headers = {name = \"value\"}`",
        "`query` is a integer; write `query = {name = \"value\"}`",
        "`body` is a table; write a string, or `json` for a table",
        "a request has a `body` or a `json`, not both",
        "json: a function cannot leave its function",
        "expected a duration",
        "`max_body_bytes` is a number of bytes",
        "`max_body_bytes` is 1099511627776, and the function may have limits.max_memory_bytes (67108864) in all",
        "there is no option `retries`; there are headers, query, body, json, timeout and max_body_bytes",
    ]
    .iter()
    .enumerate()
    {
        assert!(seen[at].as_str().is_some_and(|text| text.contains(words)), "{words}: {}", seen[at]);
    }
    assert!(peer.heard.lock().await.is_empty());
}
