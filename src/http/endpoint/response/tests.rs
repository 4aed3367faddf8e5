//! Results and the responses that they become.

use greenroom_actors::wasm::WitType::{List, Map, Record, String as Text, Tuple, U8, U16, U32};
use http_body_util::BodyExt;
use serde_json::json;

use super::*;

fn option(some: WitType) -> WitType {
    WitType::Option(Box::new(some))
}

fn result(ok: Option<WitType>, err: Option<WitType>) -> WitType {
    WitType::Result(ok.map(Box::new), err.map(Box::new))
}

fn bytes() -> WitType {
    List(Box::new(U8))
}

fn record<const N: usize>(fields: [(&str, WitType); N]) -> WitType {
    Record(fields.map(|(name, ty)| (name.to_owned(), ty)).into())
}

fn pairs(value: WitType) -> WitType {
    List(Box::new(Tuple(vec![Text, value])))
}

/// The response of a function that returns this.
fn of(ty: &WitType, json: &serde_json::Value) -> Result<Result<Response<Body>, Problem>, InvalidResponse> {
    check(ty).unwrap();
    response(Some(&ty.encode(json).unwrap()), Some(ty))
}

/// Status, media type and body.
async fn seen(ty: &WitType, json: serde_json::Value) -> (u16, Option<String>, Vec<u8>) {
    let (head, body) = of(ty, &json).unwrap().unwrap().into_parts();
    let kind = head.headers.get(CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned());
    (head.status.as_u16(), kind, body.collect().await.unwrap().to_bytes().into())
}

fn is(status: u16, kind: &str, body: &[u8]) -> (u16, Option<String>, Vec<u8>) {
    (status, Some(kind.to_owned()).filter(|kind| !kind.is_empty()), body.to_owned())
}

const PLAIN: &str = "text/plain; charset=utf-8";

#[tokio::test]
async fn results_are_text_bytes_json_or_nothing() {
    let nothing = response(None, None).unwrap().unwrap();
    assert_eq!((nothing.status(), nothing.headers().len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(seen(&Text, json!("Hello")).await, is(200, PLAIN, b"Hello"));
    assert_eq!(seen(&bytes(), json!([0, 255])).await, is(200, "application/octet-stream", &[0, 255]));
    assert_eq!(seen(&U32, json!(42)).await, is(200, "application/json", b"42"));
    let user = record([("first-name", Text)]);
    let expected = is(200, "application/json", br#"{"first-name":"Ada"}"#);
    assert_eq!(seen(&user, json!({"first-name": "Ada"})).await, expected);
    assert_eq!(seen(&List(Box::new(Text)), json!(["a"])).await, is(200, "application/json", br#"["a"]"#));
    assert_eq!(seen(&option(Text), json!(null)).await, is(204, "", b""));
    assert_eq!(seen(&option(Text), json!("a")).await, is(200, PLAIN, b"a"));
}

#[tokio::test]
async fn a_record_with_a_status_is_the_response() {
    let ty = record([("status", U16), ("headers", pairs(Text)), ("body", Text)]);
    let val = json!({"status": 201, "headers": [["X-A", "1"], ["x-a", "2"], ["Location", "/users/7"]], "body": "made"});
    let (head, body) = of(&ty, &val).unwrap().unwrap().into_parts();
    assert_eq!(head.status, StatusCode::CREATED);
    assert_eq!(head.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(head.headers["location"], "/users/7");
    assert_eq!(head.headers[CONTENT_TYPE], PLAIN);
    assert_eq!(body.collect().await.unwrap().to_bytes(), "made");

    assert_eq!(seen(&record([("status", U32)]), json!({"status": 404})).await, is(404, "", b""));
    let ty = record([("status", U16), ("body", option(bytes()))]);
    assert_eq!(seen(&ty, json!({"status": 200})).await, is(200, "", b""));
    assert_eq!(seen(&ty, json!({"status": 200, "body": [1]})).await, is(200, "application/octet-stream", &[1]));
    let ty = record([("status", U16), ("body", record([("a", U8)]))]);
    assert_eq!(seen(&ty, json!({"status": 200, "body": {"a": 1}})).await, is(200, "application/json", br#"{"a":1}"#));
    // No content goes with these.
    let ty = record([("status", U16), ("body", Text)]);
    assert_eq!(seen(&ty, json!({"status": 204, "body": "x"})).await.2, b"");
    assert_eq!(seen(&ty, json!({"status": 304, "body": "x"})).await.2, b"");
}

#[tokio::test]
async fn a_media_type_of_the_function_wins() {
    let map = Map(Box::new(Text), Box::new(Text));
    for headers in [pairs(Text), map.clone(), option(map)] {
        let ty = record([("status", U16), ("headers", headers.clone()), ("body", Text)]);
        let fields = match headers {
            List(_) => json!([["Content-Type", "text/html"]]),
            _ => json!({"Content-Type": "text/html"}),
        };
        let val = json!({"status": 200, "headers": fields, "body": "<p>"});
        assert_eq!(seen(&ty, val).await, is(200, "text/html", b"<p>"), "{ty}");
    }
    let ty = record([("status", U16), ("headers", pairs(bytes()))]);
    let val = json!({"status": 200, "headers": [["x-latin", [233]]]});
    assert_eq!(of(&ty, &val).unwrap().unwrap().headers()["x-latin"].as_bytes(), [233]);
}

#[tokio::test]
async fn a_record_with_a_status_and_other_fields_is_json() {
    let ty = record([("status", U16), ("user", Text)]);
    let expected = is(200, "application/json", br#"{"status":404,"user":"a"}"#);
    assert_eq!(seen(&ty, json!({"status": 404, "user": "a"})).await, expected);
    let ty = record([("status", Text)]);
    assert_eq!(seen(&ty, json!({"status": "new"})).await, is(200, "application/json", br#"{"status":"new"}"#));
}

#[test]
fn responses_that_http_does_not_allow_are_faults_of_the_function() {
    let ty = record([("status", U32), ("headers", pairs(Text)), ("body", Text)]);
    let fault = |status: u32, headers: serde_json::Value| {
        of(&ty, &json!({"status": status, "headers": headers, "body": "abc"})).map(drop).unwrap_err().to_string()
    };
    for status in [0, 99, 100, 101, 199, 600, 999, 70_000, u32::MAX] {
        assert_eq!(fault(status, json!([])), format!("`status` is {status}, and must be 200 to 599"));
    }
    assert_eq!(fault(200, json!([["a b", "c"]])), "`a b` is no name of a header");
    assert_eq!(fault(200, json!([["", "c"]])), "`` is no name of a header");
    let splits = fault(200, json!([["x-a", "b\r\nset-cookie: c"]]));
    assert_eq!(splits, "the value of the header `x-a` has characters that no header may have");
    for name in ["Connection", "keep-alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "upgrade"] {
        let told = fault(200, json!([[name, "x"]]));
        assert!(told.contains("is about the connection"), "{told}");
    }
    assert_eq!(fault(200, json!([["content-length", "4"]])), "`content-length` is 4, and the body has 3 bytes");
    assert!(of(&ty, &json!({"status": 200, "headers": [["content-length", "3"]], "body": "abc"})).is_ok());
}

#[tokio::test]
async fn ok_is_the_response_and_err_a_problem() {
    let ty = result(Some(Text), Some(Text));
    assert_eq!(seen(&ty, json!({"ok": "fine"})).await, is(200, PLAIN, b"fine"));
    assert_eq!(seen(&result(None, None), json!("ok")).await, is(204, "", b""));
    let problem = |ty: &WitType, json| of(ty, &json).unwrap().unwrap_err();
    let told = problem(&ty, json!({"err": "no such user"}));
    assert_eq!((told.status.as_u16(), told.detail.as_str(), told.kind), (500, "no such user", None));
    assert_eq!(told.error.as_deref(), Some(&json!("no such user")));
    let told = problem(&result(None, None), json!("err"));
    assert_eq!((told.status.as_u16(), told.detail.as_str(), told.error), (500, "the function returned an error", None));

    let ty = result(None, Some(record([("status", U16), ("message", Text)])));
    let told = problem(&ty, json!({"err": {"status": 404, "message": "no such user"}}));
    assert_eq!((told.status.as_u16(), told.detail.as_str()), (404, "no such user"));
    assert_eq!(told.error.as_deref(), Some(&json!({"status": 404, "message": "no such user"})));
    let wrong = of(&ty, &json!({"err": {"status": 200, "message": ""}})).map(drop).unwrap_err();
    assert_eq!(wrong.to_string(), "`status` is 200, and must be 200 to 599");

    let ty = result(Some(Text), Some(record([("status", U16), ("body", Text)])));
    assert_eq!(seen(&ty, json!({"err": {"status": 409, "body": "taken"}})).await, is(409, PLAIN, b"taken"));
}

#[test]
fn headers_that_are_none_are_refused_before_there_is_a_response() {
    let wrong = record([("status", U16), ("headers", List(Box::new(Text)))]);
    for ty in [wrong.clone(), option(wrong.clone()), result(None, Some(wrong))] {
        let told = check(&ty).unwrap_err();
        assert!(told.starts_with("the result's `headers` are list<string>, and must be list<tuple<string,"), "{told}");
    }
}
