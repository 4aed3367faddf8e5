//! Functions in Lua that handle the requests of endpoints: what they see of one, and what becomes of what they write.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use greenroom::{
    Runtime,
    http::{Options, Servers, Serving},
};
use reqwest::{Response, StatusCode};
use serde_json::json;

use super::{call, entry, start};
use crate::{
    http::{PATIENCE, body, client, clients},
    registry::Root,
};

/// A function behind endpoints.
struct Stage {
    runtime: Runtime,
    address: SocketAddr,
    _serving: Serving,
    _root: Root,
}

impl Stage {
    /// `name` is unique among the tests.
    async fn new(name: &str, fields: &str, source: &str) -> Self {
        let mut yaml = entry("f", fields, source);
        for (at, path) in ["/users/{id}", "/{rest...}"].iter().enumerate() {
            yaml.push_str(&format!(
                "  - {{name: at{at}, kind: http.endpoint, method: \"*\", path: \"{path}\", func: f}}\n"
            ));
        }
        let root = Root::with(&yaml);
        let runtime = start(name, &root).await;
        let options = Options { listen: Some("127.0.0.1:0".to_owned()), ..Options::default() };
        let servers = Servers::bind(&runtime, runtime.registry().unwrap().servers(), &options).await.unwrap();
        let address = servers.addresses()[0].1;
        Self { runtime, address, _serving: servers.serve(), _root: root }
    }

    /// Waits until there are so many calls.
    async fn until(&self, are_so_many: impl Fn(usize) -> bool) {
        let waiting = async {
            while !are_so_many(self.runtime.tree().await.functions[0].calls) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("calls end");
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Has the module of the tests.
const HTTP: &str = "modules: [http]";

async fn serve(name: &str, source: &str) -> Stage {
    Stage::new(name, HTTP, source).await
}

/// A body whose statements have `req` and `res`.
fn with(statements: &str) -> String {
    format!("local req, res = http.request(), http.response()\n{statements}")
}

async fn get(stage: &Stage, path: &str) -> Response {
    client().get(stage.url(path)).send().await.unwrap()
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_sees_all_of_its_request() {
    let stage = serve(
        "http-request",
        &with(
            "return {method = req:method(), path = req:path(), one = req:query('a'), none = req:query('zzz') == nil,
               query = req:query(), all = req:query_all('a'), header = req:header('X-One'), headers = req:headers(),
               missing = req:header('not a name') == nil, param = req:param('id'), params = req:params(),
               body = req:body(), again = req:body(), json = req:body_json(), kind = req:content_type(),
               from = req:remote_addr(), host = req:host()}",
        ),
    )
    .await;
    for client in clients() {
        let request =
            client.put(stage.url("/users/a%20b?a=1&a=x+y&b=%C3%A9")).header("x-one", "1").header("x-one", "2");
        let request =
            request.header("cookie", "c=1").header("cookie", "d=2").header("content-type", "application/json");
        let response = request.body(r#"{"n": [1]}"#).send().await.unwrap();
        assert_eq!(header(&response, "content-type"), "application/json");
        let mut seen = body(response).await;
        let headers = seen["headers"].take();
        let expected = json!({
            "method": "PUT", "path": "/users/a%20b", "one": "x y", "none": true, "query": {"a": "x y", "b": "é"},
            "all": ["1", "x y"], "header": "1, 2", "headers": null, "missing": true, "param": "a b",
            "params": {"id": "a b"}, "body": r#"{"n": [1]}"#, "again": r#"{"n": [1]}"#, "json": {"n": [1]},
            "kind": "application/json", "from": "127.0.0.1", "host": stage.address.to_string(),
        });
        assert_eq!(seen, expected);
        assert_eq!((&headers["x-one"], &headers["cookie"]), (&json!("1, 2"), &json!("c=1; d=2")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_request_is_an_error_to_look_at() {
    let stage = Stage::new(
        "http-wrong",
        &format!("{HTTP}\nlimits: {{max_body_bytes: 4}}"),
        &with(
            "local _, query = req:query('a')
             local _, all = req:query_all('a')
             local _, json = req:body_json()
             local body, failed = req:body()
             return {tostring(query), tostring(all), tostring(json), body or tostring(failed)}",
        ),
    )
    .await;
    let seen = body(client().post(stage.url("/?a=%FF")).body("{").send().await.unwrap()).await;
    let not_text = "invalid: query: it is not UTF-8, once it is decoded";
    assert_eq!((&seen[0], &seen[1], &seen[3]), (&json!(not_text), &json!(not_text), &json!("{")));
    assert!(seen[2].as_str().unwrap().starts_with("invalid: the request's body is no JSON: "), "{seen}");
    let pieces = futures::stream::iter(["abc", "de"].map(Ok::<_, std::io::Error>));
    let request = client().post(stage.url("/")).body(reqwest::Body::wrap_stream(pieces));
    let seen = body(request.send().await.unwrap()).await;
    let too_large = "invalid: the request's body is larger than the endpoint's limits.max_body_bytes";
    assert_eq!((&seen[2], &seen[3]), (&json!(too_large), &json!(too_large)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_arguments_has_neither_request_nor_response() {
    let text = "local req, no_req = http.request() local res, no_res = http.response()
                if req and req:param('id') then return 'served' end
                return {req == nil, res == nil, no_req:kind(), no_res:kind(), tostring(no_req), ...}";
    // The instance has served a request before.
    let stage =
        Stage::new("http-arguments", &format!("{HTTP}\npool: {{type: lazy, max_size: 1, reuse: 100}}"), text).await;
    for _ in 0..2 {
        let response = get(&stage, "/").await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR, "`no_req` is nil there");
        assert_eq!(get(&stage, "/users/7").await.status(), StatusCode::OK);
        let why = "not_found: there is no request: this call came by no endpoint, but with arguments";
        let seen = call(&stage.runtime, json!([7])).await.unwrap();
        assert_eq!(seen, json!([true, true, "not_found", "not_found", why, 7]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_kept_is_over_with_its_call() {
    let text = "
      local kept
      return {main = function()
        if not kept then kept = {http.request(), http.response()} return 'first' end
        local found = {}
        for _, name in ipairs{'body', 'body_json'} do found[#found + 1] = tostring(select(2, kept[1][name](kept[1]))) end
        for _, name in ipairs{'write', 'flush'} do found[#found + 1] = tostring(select(2, kept[2][name](kept[2], ''))) end
        found[5] = kept[1]:method()
        return found
      end}";
    let stage = Stage::new("http-kept", &format!("{HTTP}\npool: {{type: lazy, max_size: 1, reuse: 100}}"), text).await;
    assert_eq!(client().post(stage.url("/")).body("1").send().await.unwrap().text().await.unwrap(), "first");
    let over = "invalid: the call that this request was of has ended";
    assert_eq!(body(get(&stage, "/").await).await, json!([over, over, over, over, "POST"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_as_the_function_sets_it() {
    let stage = serve(
        "http-response",
        &with(
            "res:set_status(http.STATUS.CREATED)
             res:set_header('X-A', 'gone') res:set_header('X-A', 'here') res:set_header('X-N', 7)
             res:add_header('set-cookie', 'a=1') res:add_header('set-cookie', 'b=2')
             if req:path() == '/json' then
               assert(res:write_json({ok = true}) == true)
             elseif req:path() == '/typed' then
               res:set_content_type('text/html') res:write('<p>')
             elseif req:path() == '/empty' then
               return
             elseif req:path() == '/result' then
               return {1, 2}
             elseif req:path() == '/bytes' then
               res:write('\\xff')
             else
               res:write('one, ') res:write('two')
             end
             return 'nobody reads this'",
        ),
    )
    .await;
    for (path, kind, text) in [
        ("/", "text/plain; charset=utf-8", &b"one, two"[..]),
        ("/json", "application/json", br#"{"ok":true}"#),
        ("/typed", "text/html", b"<p>"),
        ("/bytes", "application/octet-stream", b"\xff"),
        ("/result", "application/json", b"[1,2]"),
        ("/empty", "", b""),
    ] {
        let response = get(&stage, path).await;
        assert_eq!((response.status().as_u16(), header(&response, "content-type")), (201, kind), "{path}");
        assert_eq!((header(&response, "x-a"), header(&response, "x-n")), ("here", "7"));
        assert_eq!(header(&response, "content-length"), text.len().to_string(), "{path}");
        assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
        assert_eq!(response.bytes().await.unwrap(), text, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_the_response() {
    let stage = serve(
        "http-result",
        "local results = {
           none = function() end,
           text = function() return 'hé' end,
           bytes = function() return '\\xff\\0' end,
           table = function() return {a = {1}} end,
           truth = function() return false end,
           whole = function() return {status = 418, headers = {['x-a'] = 'b', ['set-cookie'] = {'c', 'd'}}, body = {1}} end,
           pairs = function() return {status = 200, headers = {{'x-a', 'b'}, {'set-cookie', 'c'}, {'set-cookie', 'd'}}} end,
           empty = function() return {status = 204, body = 'dropped'} end,
           other = function() return {status = 200, more = 1} end,
           float = function() return {status = 200.5} end,
         }
         return results[http.request():path():sub(2)]()",
    )
    .await;
    for (path, status, kind, text) in [
        ("none", 204, "", &b""[..]),
        ("text", 200, "text/plain; charset=utf-8", "hé".as_bytes()),
        ("bytes", 200, "application/octet-stream", b"\xff\0"),
        ("table", 200, "application/json", br#"{"a":[1]}"#),
        ("truth", 200, "application/json", b"false"),
        ("whole", 418, "application/json", b"[1]"),
        ("pairs", 200, "", b""),
        ("empty", 204, "text/plain; charset=utf-8", b""),
        ("other", 200, "application/json", br#"{"more":1,"status":200}"#),
        ("float", 200, "application/json", br#"{"status":200.5}"#),
    ] {
        let response = get(&stage, &format!("/{path}")).await;
        assert_eq!((response.status().as_u16(), header(&response, "content-type")), (status, kind), "{path}");
        if ["whole", "pairs"].contains(&path) {
            let cookies: Vec<_> =
                response.headers().get_all("set-cookie").iter().map(|it| it.to_str().unwrap()).collect();
            assert_eq!((header(&response, "x-a"), cookies), ("b", vec!["c", "d"]));
        }
        assert_eq!(response.bytes().await.unwrap(), text, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_no_response_is_a_problem_that_says_why() {
    let text = "local results = {
           status = {status = 99}, name = {status = 200, headers = {['a b'] = 'c'}},
           value = {status = 200, headers = {a = 'b\\n'}}, kind = {status = 200, headers = {a = true}},
           list = {status = 200, headers = {'a'}}, text = {status = 200, headers = 'a'},
           hop = {status = 200, headers = {connection = 'close'}}, length = {status = 200, headers = {['content-length'] = 7}},
           inner = {a = {print}}, large = ('x'):rep(101), errors = errors.new('not_found', 'no such user'),
         }
         local name = http.request():path():sub(2)
         if name == 'errors' then return nil, results.errors end
         if name == 'raised' then error(errors.new('rate_limited', 'later')) end
         if name == 'uncaught' then local a = nil; a() end
         return results[name]";
    let stage = Stage::new("http-problems", &format!("{HTTP}\nlimits: {{max_result_bytes: 100}}"), text).await;
    for (path, status, detail) in [
        ("status", 500, "the result is no response: `status` is 99, and must be 200 to 599"),
        ("name", 500, "the result is no response: `a b` is no name of a header"),
        ("value", 500, "the value of the header `a` has characters that no header may have"),
        ("kind", 500, "`headers` has a boolean as a value; write {name = \"value\"}"),
        ("list", 500, "`headers` has a integer as a key; write {name = \"value\"}"),
        ("text", 500, "`headers` is a string; write {name = \"value\"}"),
        ("hop", 500, "the header `connection` is about the connection, which is the server's business"),
        ("length", 500, "`content-length` is 7, and the body has 0 bytes"),
        ("inner", 500, "result.a[0]: a function cannot leave its function"),
        ("large", 500, "the result is larger than limits.max_result_bytes (100)"),
        ("errors", 404, "no such user"),
        ("raised", 503, "later"),
        ("uncaught", 500, "attempt to call a nil value"),
    ] {
        let response = get(&stage, &format!("/{path}")).await;
        assert_eq!(
            (response.status().as_u16(), header(&response, "content-type")),
            (status, "application/problem+json")
        );
        let problem = body(response).await;
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{path}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_arguments_say_what_to_write() {
    let stage = serve(
        "http-arguments-wrong",
        &with(
            "local function why(f, ...) return tostring(select(2, pcall(f, ...))) end
             local found = {
               why(res.set_status, res, 99), why(res.set_header, res, 'a b', 'c'), why(res.set_header, res, 'a', {}),
               why(res.set_header, res, 'content-length', '7'), why(res.set_header, res, 'upgrade', 'x'),
               tostring(select(2, res:write_json(print))), why(function() return http.STATUS.NOT_FUOND end),
               why(function() return http.METHOD.GTE end),
             }
             assert(http.STATUS.NOT_FOUND == 404 and http.METHOD.GET == 'GET')
             return found",
        ),
    )
    .await;
    let seen = body(get(&stage, "/").await).await;
    for (at, words) in [
        "`status` is 99, and must be 200 to 599",
        "`a b` is no name of a header",
        "the header `a` is given a table; write a string",
        "`content-length` is the server's business",
        "the header `upgrade` is about the connection",
        "value: a function cannot leave its function",
        "there is no status `NOT_FUOND`",
        "there is no method `GTE`",
    ]
    .iter()
    .enumerate()
    {
        assert!(seen[at].as_str().unwrap().contains(words), "{words}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_flushed_is_read_while_the_function_runs() {
    let text = with(
        "res:set_header('x-a', 'b')
         res:write('one')
         assert(res:flush())
         local changed, why = pcall(res.set_status, res, 404)
         assert(not changed and tostring(why):find('the head of the response has been sent', 1, true), why)
         -- What the client sends comes after it has read.
         res:write(req:body())
         return {1}",
    );
    let stage = serve("http-flush", &text).await;
    for client in clients() {
        let (mut sender, receiver) = futures::channel::mpsc::channel::<Result<Bytes, std::io::Error>>(0);
        let request = client.post(stage.url("/")).body(reqwest::Body::wrap_stream(receiver));
        let mut response = request.send().await.unwrap();
        assert_eq!((header(&response, "x-a"), response.status().as_u16()), ("b", 200));
        assert_eq!(response.chunk().await.unwrap().unwrap(), "one");
        futures::future::poll_fn(|cx| sender.poll_ready(cx)).await.unwrap();
        sender.start_send(Ok("two".into())).unwrap();
        drop(sender);
        assert_eq!(response.text().await.unwrap(), "two");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_streams_as_fast_as_it_is_read() {
    // Far more than the function may hold.
    let text = with(
        "local piece = ('x'):rep(100000)
         for _ = 1, 1000 do assert(res:write(piece)) end",
    );
    let stage = Stage::new("http-large", &format!("{HTTP}\nlimits: {{max_memory_bytes: 8388608}}"), &text).await;
    let unread = get(&stage, "/").await;
    for client in clients() {
        let mut response = client.get(stage.url("/")).send().await.unwrap();
        assert_eq!(header(&response, "content-length"), "");
        let mut length = 0;
        while let Some(chunk) = response.chunk().await.unwrap() {
            length += chunk.len();
        }
        assert_eq!(length, 100_000_000);
    }
    stage.until(|calls| calls < 2).await;
    assert_eq!(stage.runtime.tree().await.functions[0].calls, 1, "whoever writes waits for whoever reads");
    drop(unread);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_its_call() {
    let text = with("res:write('x') res:flush() while true do res:write(('x'):rep(100000)) end");
    let stage = serve("http-gone", &text).await;
    for client in clients() {
        let mut response = client.get(stage.url("/")).send().await.unwrap();
        assert!(response.chunk().await.unwrap().is_some());
        drop((response, client));
    }
    stage.until(|calls| calls == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_after_the_head_breaks_the_response_off() {
    let stage = serve("http-broken", &with("res:write('one') res:flush() req:body() error('no more')")).await;
    for client in clients() {
        let (sender, receiver) = futures::channel::mpsc::channel::<Result<Bytes, std::io::Error>>(0);
        let request = client.post(stage.url("/")).body(reqwest::Body::wrap_stream(receiver));
        let mut response = request.send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.chunk().await.unwrap().unwrap()), (200, "one".into()));
        drop(sender);
        assert!(response.chunk().await.is_err(), "half a response is none");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_no_body_whatever_is_written() {
    let stage =
        serve("http-head", &with("res:write('abc') if req:path() == '/f' then res:flush() end res:write('d')")).await;
    for (path, length) in [("/", "4"), ("/f", "")] {
        let response = client().head(stage.url(path)).send().await.unwrap();
        assert_eq!((response.status().as_u16(), header(&response, "content-length")), (200, length));
    }
    let none =
        serve("http-none", &with("res:set_status(204) res:flush() local ok, why = res:write('x') res:flush()")).await;
    let response = get(&none, "/").await;
    assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (204, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_module_an_endpoint_sends_arguments() {
    let stage = Stage::new("http-payload", "", "return {...}").await;
    let seen = body(client().post(stage.url("/")).body("[1, \"a\"]").send().await.unwrap()).await;
    assert_eq!(seen, json!([1, "a"]));
}
