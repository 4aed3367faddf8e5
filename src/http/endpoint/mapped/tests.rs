//! Requests and what they become.

use greenroom_actors::wasm::{
    WitType::{self, Bool, F64, List, Map as WitMap, Record, String as Text, Tuple, U8, U32, U64},
    to_json,
};
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, StreamBody};
use serde_json::json;

use super::*;
use crate::http::{BodyError, full};

fn option(some: WitType) -> WitType {
    WitType::Option(Box::new(some))
}

fn list(item: WitType) -> WitType {
    List(Box::new(item))
}

fn fields<const N: usize>(fields: [(&str, WitType); N]) -> Vec<(String, WitType)> {
    fields.map(|(name, ty)| (name.to_owned(), ty)).into()
}

fn mapped<const N: usize>(params: [(&str, WitType); N]) -> Result<Mapped, String> {
    Mapped::new(&Signature { params: fields(params), result: None })
}

/// A request in the making.
struct Sent {
    request: Request<Body>,
    path: Vec<(String, String)>,
}

fn get(uri: &str) -> Sent {
    Sent { request: Request::builder().uri(uri).body(full("")).unwrap(), path: Vec::new() }
}

fn post(uri: &str, body: impl Into<bytes::Bytes>) -> Sent {
    let request = Request::post(uri).header("content-length", "0").body(full(body)).unwrap();
    Sent { request, path: Vec::new() }
}

impl Sent {
    fn path<const N: usize>(mut self, params: [(&str, &str); N]) -> Self {
        self.path = params.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        self
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.request.headers_mut().append(name, value.parse().unwrap());
        self
    }

    async fn to(self, mapped: &Mapped) -> Result<Vec<Val>, Problem> {
        mapped.arguments(self.request, &self.path).await
    }

    /// The arguments as JSON.
    async fn gives<const N: usize>(self, params: [(&str, WitType); N]) -> Value {
        let types = params.clone();
        let args = self.to(&mapped(params).unwrap()).await.unwrap();
        assert_eq!(args.len(), N);
        args.iter().zip(&types).map(|(val, (_, ty))| to_json(Some(val), Some(ty))).collect()
    }

    async fn fails<const N: usize>(self, params: [(&str, WitType); N]) -> String {
        let problem = self.to(&mapped(params).unwrap()).await.unwrap_err();
        assert_eq!(problem.status, StatusCode::BAD_REQUEST, "{problem:?}");
        assert_eq!(problem.kind, Some(greenroom_actors::ErrorKind::Invalid));
        problem.detail
    }
}

#[tokio::test]
async fn parameters_are_found_in_the_path_then_the_query_then_the_body() {
    let params = [("a", Text), ("b", U32), ("user-id", U64)];
    let sent = post("/x?b=2&a=query", r#"{"user_id": 3, "b": 20, "a": "body"}"#).path([("a", "path")]);
    assert_eq!(sent.gives(params).await, json!(["path", 2, 3]));
    let sent = get("/x?user-id=7").path([("user_id", "9007199254740993")]);
    assert_eq!(sent.gives([("user-id", U64)]).await, json!(["9007199254740993"]));
    assert_eq!(get("/?user_id=7").gives([("user-id", U64)]).await, json!([7]));
}

#[tokio::test]
async fn the_query_is_read_by_type() {
    let params =
        [("n", U32), ("flag", Bool), ("tags", list(Text)), ("x", F64), ("q", option(Text)), ("m", option(U32))];
    let sent = get("/?n=6&flag=true&tags=a&tags=b%20c&x=-0.5&q=&utm_source=ignored");
    assert_eq!(sent.gives(params).await, json!([6, true, ["a", "b c"], -0.5, "", null]));
    assert_eq!(get("/?n=six").fails([("n", U32)]).await, r#"n: expected u32, got "six""#);
    assert_eq!(get("/?n=1&n=2").fails([("n", U32)]).await, "n: expected u32, got 2 values");
    assert_eq!(get("/?t=1&t=x").fails([("t", list(U32))]).await, r#"t[1]: expected u32, got "x""#);
    assert_eq!(get("/?t=%FF").fails([("t", Text)]).await, "query: it is not UTF-8, once it is decoded");
}

#[tokio::test]
async fn one_remaining_parameter_takes_the_whole_body() {
    // As `curl -d World` sends it.
    let form = "application/x-www-form-urlencoded";
    let sent = post("/", "World").header("content-type", form);
    assert_eq!(sent.gives([("name", Text)]).await, json!(["World"]));
    assert_eq!(post("/?a=1", "World").gives([("a", U32), ("name", Text)]).await, json!([1, "World"]));
    assert_eq!(post("/", "World").gives([("name", option(Text))]).await, json!(["World"]));
    assert_eq!(post("/", [0, 255].as_slice()).gives([("data", list(U8))]).await, json!([[0, 255]]));
    assert_eq!(post("/", "[1, 2]").gives([("ns", list(U32))]).await, json!([[1, 2]]));
    assert_eq!(post("/", "6").gives([("n", U32)]).await, json!([6]));
    let user = Record(fields([("name", Text), ("age", option(U8))]));
    assert_eq!(post("/", r#"{"name": "Ada"}"#).gives([("user", user)]).await, json!([{"name": "Ada", "age": null}]));
    // HTTP/2 need not tell the length of a body.
    let mut untold = post("/", "W");
    untold.request.headers_mut().clear();
    assert_eq!(untold.gives([("name", Text)]).await, json!(["W"]));
    // JSON that is asked for as text is text.
    assert_eq!(post("/", r#"{"a": 1}"#).gives([("text", Text)]).await, json!([r#"{"a": 1}"#]));
    assert_eq!(post("/", r#""a""#).gives([("text", Text)]).await, json!([r#""a""#]));
}

#[tokio::test]
async fn an_object_with_a_field_for_a_parameter_is_taken_apart() {
    assert_eq!(post("/", r#"{"name": "World"}"#).gives([("name", Text)]).await, json!(["World"]));
    assert_eq!(post("/", r#" {"name": "World", "more": 1}"#).gives([("name", Text)]).await, json!(["World"]));
    assert_eq!(post("/", r#"{"n": 6}"#).gives([("n", U32)]).await, json!([6]));
    let params = [("first-name", Text), ("n", option(U32)), ("tags", list(Text))];
    let sent = post("/", r#"{"first_name": "Ada", "tags": ["x"]}"#);
    assert_eq!(sent.gives(params.clone()).await, json!(["Ada", null, ["x"]]));
    // Taken apart or whole, never both.
    let told = post("/", r#"{"a": 1}"#).fails([("a", U32), ("text", Text)]).await;
    assert!(told.starts_with("`text` (string) is missing: it can be in the path, in the query (`?text=…`)"), "{told}");
    assert_eq!(post("/", r#"{"a": 1}"#).gives([("a", U32), ("text", option(Text))]).await, json!([1, null]));
    let told = post("/", r#"{"first-name": 5, "tags": []}"#).fails(params).await;
    assert_eq!(told, "first-name: expected string, got number");
    let user = Record(fields([("name", Text)]));
    let told = post("/", r#"{"user": {"name": 5}}"#).fails([("user", user)]).await;
    assert_eq!(told, "user.name: expected string, got number");
}

#[tokio::test]
async fn options_give_way_to_the_parameter_that_needs_the_body() {
    let params = [("greeting", option(Text)), ("name", Text)];
    assert_eq!(post("/", "World").gives(params.clone()).await, json!([null, "World"]));
    assert_eq!(post("/?greeting=Hi", "World").gives(params.clone()).await, json!(["Hi", "World"]));
    assert_eq!(post("/", r#"{"greeting": "Hi", "name": "Ada"}"#).gives(params).await, json!(["Hi", "Ada"]));
    let told = post("/", "x").fails([("a", option(Text)), ("b", option(Text))]).await;
    assert!(told.starts_with("body: expected JSON: "), "{told}");
    let told = post("/", "[1]").fails([("a", Text), ("b-c", Text)]).await;
    assert_eq!(
        told,
        "body: expected a JSON object with the fields `a`, `b-c`; the path and the query have none of them"
    );
}

#[tokio::test]
async fn a_parameter_that_is_nowhere_is_named() {
    let told = get("/").fails([("name", Text)]).await;
    assert_eq!(
        told,
        "`name` (string) is missing: it can be in the path, in the query (`?name=…`), a field of a JSON object in the \
         body, or the body itself"
    );
    assert!(post("/", "").fails([("n", U32)]).await.starts_with("`n` (u32) is missing"));
    assert!(get("/?a=1").fails([("a", U32), ("b", U32)]).await.starts_with("`b` (u32) is missing"));
    assert_eq!(get("/").gives([("name", option(Text))]).await, json!([null]));
    assert_eq!(post("/", "").gives([("n", option(U32))]).await, json!([null]));
}

#[tokio::test]
async fn an_empty_body_is_a_text_when_the_request_says_that_there_is_one() {
    assert_eq!(post("/", "").gives([("text", Text)]).await, json!([""]));
    assert_eq!(post("/", "").gives([("data", list(U8))]).await, json!([[]]));
    assert_eq!(post("/", "").gives([("text", option(Text))]).await, json!([""]));
    assert_eq!(get("/").header("transfer-encoding", "chunked").gives([("text", Text)]).await, json!([""]));
}

#[tokio::test]
async fn a_body_that_does_not_fit_says_where() {
    let told = post("/", "six").fails([("n", U32)]).await;
    assert!(told.starts_with("body: expected JSON: expected value at line 1"), "{told}");
    assert_eq!(post("/", r#""six""#).fails([("n", U32)]).await, "body: expected u32, got string");
    let told = post("/", r#"[{"a": "b"}]"#).fails([("items", list(Record(fields([("a", U32)]))))]).await;
    assert_eq!(told, "body[0].a: expected u32, got string");
    let told = post("/", [255].as_slice()).fails([("text", Text)]).await;
    assert_eq!(told, "body: expected string, got bytes that are not UTF-8 text");
    let told = post("/", r#"{"a": "#).fails([("a", Text), ("b", Text)]).await;
    assert!(told.starts_with("body: expected JSON: EOF"), "{told}");
}

#[tokio::test]
async fn compressed_bodies_are_for_those_who_take_bytes() {
    let sent = || post("/", [31, 139].as_slice()).header("content-encoding", "gzip");
    assert_eq!(sent().gives([("data", list(U8))]).await, json!([[31, 139]]));
    for ty in [Text, U32] {
        let problem = sent().to(&mapped([("x", ty)]).unwrap()).await.unwrap_err();
        assert_eq!(problem.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(problem.headers[0].1, "identity");
    }
    assert_eq!(post("/", "a").header("content-encoding", "identity").gives([("x", Text)]).await, json!(["a"]));
}

/// A request whose body cannot be read.
fn broken(error: BodyError) -> Sent {
    let body = StreamBody::new(futures::stream::iter([Err(error)])).boxed_unsync();
    Sent { request: Request::post("/?a=1").body(body).unwrap(), path: Vec::new() }
}

#[tokio::test]
async fn bodies_that_nobody_needs_are_not_read() {
    assert_eq!(broken("reset".into()).gives([]).await, json!([]));
    assert_eq!(broken("reset".into()).gives([("a", U32)]).await, json!([1]));
    let request = Record(fields([("method", Text)]));
    assert_eq!(broken("reset".into()).gives([("request", request)]).await, json!([{"method": "POST"}]));
}

#[tokio::test]
async fn bodies_that_break_off_or_are_too_large_have_their_status() {
    let mapped = mapped([("text", Text)]).unwrap();
    #[derive(Debug, thiserror::Error)]
    #[error("malformed")]
    struct Malformed(#[source] std::io::Error);
    let malformed = Malformed(std::io::ErrorKind::InvalidData.into());
    let problem = broken(malformed.into()).to(&mapped).await.unwrap_err();
    assert_eq!(problem.status, StatusCode::BAD_REQUEST);
    assert_eq!(problem.detail, "the request's body broke off");
    // Nobody is left who was wrong.
    let problem = broken("reset".into()).to(&mapped).await.unwrap_err();
    assert_eq!((problem.status.as_u16(), problem.kind), (499, Some(greenroom_actors::ErrorKind::Canceled)));
    let limited = http_body_util::Limited::new(full("abc"), 2);
    let too_large = limited.collect().await.unwrap_err();
    assert!(too_large.is::<LengthLimitError>());
    let problem = broken(too_large).to(&mapped).await.unwrap_err();
    assert_eq!(problem.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_record_named_request_has_the_parts_of_the_request() {
    let pairs = || list(Tuple(vec![Text, Text]));
    let request = Record(fields([
        ("method", Text),
        ("path", Text),
        ("query", pairs()),
        ("headers", pairs()),
        ("params", pairs()),
        ("body", Text),
    ]));
    let sent = post("/users/7?a=1&a=2&b", "hello").path([("id", "7")]).header("x-a", "1").header("x-a", "2");
    let expected = json!([{
        "method": "POST", "path": "/users/7", "query": [["a", "1"], ["a", "2"], ["b", ""]],
        "headers": [["content-length", "0"], ["x-a", "1"], ["x-a", "2"]], "params": [["id", "7"]], "body": "hello",
    }]);
    assert_eq!(sent.gives([("request", request)]).await, expected);
}

#[tokio::test]
async fn the_parts_of_a_request_come_in_the_forms_that_its_record_has() {
    let map = || WitMap(Box::new(Text), Box::new(Text));
    let request = Record(fields([("query", map()), ("headers", option(map())), ("body", option(list(U8)))]));
    let sent = post("/?a=1&a=2&b=3", "hi").header("x-a", "1").header("x-a", "2");
    let expected = json!([{
        "query": {"a": "2", "b": "3"}, "headers": {"content-length": "0", "x-a": "1, 2"}, "body": [104, 105],
    }]);
    assert_eq!(sent.gives([("request", request)]).await, expected);

    let request = Record(fields([
        ("query", Record(fields([("n", U32), ("tags", list(Text)), ("q", option(Text))]))),
        ("headers", Record(fields([("user-agent", Text)]))),
        ("params", Record(fields([("user-id", U32)]))),
        ("body", option(Text)),
    ]));
    let sent = || get("/?n=6&tags=a&tags=b").header("user-agent", "curl");
    let expected = json!([{
        "query": {"n": 6, "tags": ["a", "b"], "q": null}, "headers": {"user-agent": "curl"},
        "params": {"user-id": 7}, "body": null,
    }]);
    assert_eq!(sent().path([("user_id", "7")]).gives([("request", request.clone())]).await, expected);
    let told = sent().path([("user_id", "x")]).fails([("request", request.clone())]).await;
    assert_eq!(told, r#"request.params.user-id: expected u32, got "x""#);
    let told = sent().fails([("request", request)]).await;
    assert_eq!(told, "request.params.user-id: it is missing (u32)");

    let request = |query| Record(fields([("query", query)]));
    assert_eq!(get("/?a=%20").gives([("request", request(Text))]).await, json!([{"query": "a=%20"}]));
    assert_eq!(get("/").gives([("request", request(Text))]).await, json!([{"query": ""}]));
    assert_eq!(get("/").gives([("request", request(option(Text)))]).await, json!([{"query": null}]));
}

#[tokio::test]
async fn a_request_stands_beside_other_parameters() {
    let request = Record(fields([("method", Text)]));
    let params = [("request", request), ("name", Text)];
    assert_eq!(post("/", "World").gives(params.clone()).await, json!([{"method": "POST"}, "World"]));
    assert_eq!(get("/?name=Ada").gives(params).await, json!([{"method": "GET"}, "Ada"]));
    // What is no record is a parameter like others.
    assert_eq!(get("/?request=x").gives([("request", Text)]).await, json!(["x"]));
}

#[test]
fn a_request_that_cannot_be_filled_is_refused_before_there_is_one() {
    let refused = |field, ty| mapped([("request", Record(fields([(field, ty)])))]).unwrap_err();
    assert_eq!(
        refused("cookies", Text),
        "the parameter `request` has the field `cookies`, which no request has; there are method, path, query, headers, \
         params and body"
    );
    assert_eq!(refused("method", U32), "`request.method` is u32, and must be string");
    assert_eq!(
        refused("headers", list(Text)),
        "`request.headers` is list<string>, and must be list<tuple<string, string>>, map<string, string> or a record"
    );
    assert!(refused("query", U32).contains("must be string, list<tuple<string, string>>"));
    assert!(refused("params", Text).contains("must be list<tuple<string, string>>"));
}
