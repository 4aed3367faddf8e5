//! Errors as values, raised and returned, and those that nobody caught.

use greenroom::ErrorKind;
use serde_json::json;

use super::{entry, item, once, start};
use crate::registry::Root;

#[tokio::test]
async fn errors_are_made_wrapped_and_told_apart() {
    let source = "local plain = errors.new('lost')\nlocal kind = errors.new(errors.NOT_FOUND, 'no user')\n\
        local full = errors.new{ kind = errors.RATE_LIMITED, message = 'slow', details = { limit = 5 } }\n\
        local wrapped = errors.wrap(full, 'import')\n\
        return { plain:kind(), plain:message(), kind:kind(), errors.is(kind, errors.NOT_FOUND), \
        errors.is(kind, errors.INTERNAL), errors.is('x', errors.INTERNAL), full:retryable(), full:details(), \
        wrapped:kind(), wrapped:message(), wrapped:details(), tostring(kind), kind:details() == nil, \
        errors.wrap('text', 'why'):message() }";
    let answer = once("errors", "", source, json!([])).await.unwrap();
    let expected = json!([
        "internal", "lost", "not_found", true, false, false, true, {"limit": 5}, "rate_limited", "import: slow", {"limit": 5},
        "not_found: no user", true, "why: text"
    ]);
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn every_kind_has_a_constant() {
    for kind in ErrorKind::ALL {
        let name = kind.name();
        let source = format!("error(errors.new(errors.{}, 'x'))", name.to_uppercase());
        let error = once(&format!("kind-{name}"), "", &source, json!([])).await.unwrap_err();
        assert_eq!(error.kind(), kind);
    }
}

#[tokio::test]
async fn an_error_that_is_raised_or_returned_is_that_of_the_call() {
    for (at, source) in [
        ("raised", "error(errors.new{ kind = 'invalid', message = 'no', details = { field = 'a' } })"),
        ("returned", "return nil, errors.new{ kind = 'invalid', message = 'no', details = { field = 'a' } }"),
    ] {
        let error = once(&format!("of-{at}"), "", source, json!([])).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, "no"), "{at}");
        assert_eq!(error.details(), Some(&json!({"field": "a"})), "{at}");
    }
    let error = once("of-text", "", "return nil, 'it broke'", json!([])).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "it broke"));
}

#[tokio::test]
async fn the_error_of_a_nested_call_keeps_what_it_was() {
    let yaml = entry(
        "f",
        "modules: [funcs]",
        "local _, err = funcs.call('fails')\nlocal caught, raised = pcall(function() error(err) end)\n\
         return { err:kind(), err:message(), err:details(), caught, raised:kind(), errors.is(raised, errors.CANCELED) }",
    ) + &item(
        "fails",
        "",
        "error(errors.new{ kind = errors.CANCELED, message = 'gone', details = { at = 3 } })",
    );
    let runtime = start("nested-error", &Root::with(&yaml)).await;
    let answer = super::call(&runtime, json!([])).await.unwrap();
    assert_eq!(answer, json!(["canceled", "gone", {"at": 3}, false, "canceled", true]));
}

#[tokio::test]
async fn an_error_that_nobody_caught_is_internal_and_has_its_traceback() {
    for (at, source, message) in [
        ("text", "error('boom')", "myns:f:1: boom"),
        ("bare", "error('boom', 0)", "boom"),
        ("nil", "local t\nreturn t.x", "myns:f:2: attempt to index a nil value (local 't')"),
        ("table", "error({})", "a table was raised as an error; raise a string, or `errors.new`"),
        ("none", "error()", "`nil` was raised as an error"),
    ] {
        let error = once(&format!("uncaught-{at}"), "", source, json!([])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{at}");
        assert!(error.message().starts_with(message), "{at}: {error}");
        let backtrace = error.backtrace().unwrap_or_else(|| panic!("{at} has a traceback"));
        assert!(backtrace.starts_with("stack traceback:") && backtrace.contains("myns:f:"), "{at}: {backtrace}");
    }
}

#[tokio::test]
async fn wrong_uses_of_errors_say_what_is_right() {
    for (at, source, expected) in [
        ("kind", "errors.new('lost', 'x')", "there is no kind of errors `lost`; there are not_found, invalid"),
        ("message", "errors.new{}", "errors.new: `message` is missing"),
        ("nothing", "errors.new()", "errors.new takes a message, a kind and a message, or"),
        ("wrap", "errors.wrap(nil, 'x')", "errors.wrap: there is no error to wrap"),
    ] {
        let error = once(&format!("misuse-{at}"), "", source, json!([])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{at}: {error}");
        assert!(error.message().starts_with(expected), "{at}: {error}");
    }
}

#[tokio::test]
async fn recursion_without_an_end_is_a_stack_overflow() {
    let source = "local function f() return 1 + f() end\nreturn f()";
    let error = once("deep", "limits: {max_memory_bytes: 268435456}", source, json!([])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.message().contains("stack overflow"), "{error}");
}

#[tokio::test]
async fn handlers_of_xpcall_get_the_error_and_its_traceback() {
    let source = "local function fails() error({ code = 7 }) end\n\
        local ok, code, trace = xpcall(fails, function(e) return e.code, debug.traceback('seen') end)\n\
        local _, plain = xpcall(error, debug.traceback, 'text', 0)\n\
        local fine, a, b = xpcall(function(...) return ... end, print, 1, 2)\n\
        local _, bad = xpcall(error, function() error('again', 0) end)\n\
        return { ok, code, trace, plain, fine, a, b, bad }";
    let answer = once("xpcall", "", source, json!([])).await.unwrap();
    assert_eq!((&answer[0], &answer[1]), (&json!(false), &json!(7)));
    let trace = answer[2].as_str().unwrap();
    assert!(trace.starts_with("seen\nstack traceback:") && trace.contains("in function 'error'"), "{trace}");
    assert!(trace.contains("myns:f:1: in "), "{trace}");
    assert!(answer[3].as_str().unwrap().starts_with("text\nstack traceback:"), "{answer}");
    assert_eq!(answer.as_array().unwrap()[4..], [json!(true), json!(1), json!(2), json!("again")]);
}

#[tokio::test]
async fn what_our_functions_raise_is_caught_as_an_error_with_a_kind_or_a_text() {
    let source = "local seen = {}\n\
        local function note(ok, e) seen[#seen + 1] = type(e) == 'string' and e or e:kind() end\n\
        note(pcall(time.sleep, -1))\nnote(pcall(time.sleep))\n\
        note(xpcall(time.sleep, function(e) return e end, -1))\n\
        note(coroutine.resume(coroutine.create(function() time.sleep(-1) end)))\n\
        note(pcall(funcs.call, {}))\nreturn seen";
    let answer = once("caught", "modules: [time, funcs]", source, json!([])).await.unwrap();
    let (kinds, text) = answer.as_array().unwrap().split_at(4);
    assert_eq!(kinds, ["invalid"; 4]);
    assert!(text[0].as_str().unwrap().contains("bad argument #1"), "{answer}");
}

#[tokio::test]
async fn errors_are_joined_with_texts_and_say_what_they_can() {
    let source = "local e, f = errors.new('a'), errors.new('invalid', 'b')\n\
        local ok, closed = coroutine.close(coroutine.create(function() end))\n\
        return { 'failed: ' .. e, e .. '!', e .. f, ok, closed == nil }";
    let expected = json!(["failed: internal: a", "internal: a!", "internal: ainvalid: b", true, true]);
    assert_eq!(once("joined", "", source, json!([])).await.unwrap(), expected);
    for (at, source, expected) in [
        ("bytes", "error('\\255 boom', 0)", "\u{fffd} boom"),
        ("object", "error(setmetatable({}, { __tostring = function() return 'mine' end }))", "mine"),
    ] {
        let error = once(&format!("says-{at}"), "", source, json!([])).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, expected), "{at}");
    }
    let long = once("says-long", "", "error(('x'):rep(5e6), 0)", json!([])).await.unwrap_err();
    assert!(long.message().len() < 20_000 && long.message().ends_with("bytes more)"), "{}", long.message().len());
}

#[tokio::test]
async fn errors_of_the_library_name_nothing_of_ours() {
    let source = "local seen = {}\nfor _, f in ipairs{ string.len, table.insert, coroutine.wrap, load, table.concat } do\n\
        local _, e = pcall(f)\n seen[#seen + 1] = e\nend\nreturn seen";
    let answer = once("ours", "", source, json!([])).await.unwrap();
    for message in answer.as_array().unwrap() {
        let message = message.as_str().unwrap();
        assert!(message.starts_with("bad argument #1") && !message.contains("greenroom"), "{message}");
    }
    let error = once("ours-uncaught", "", "string.len()", json!([])).await.unwrap_err();
    assert_eq!(error.message(), "bad argument #1 (string expected, got nil)");
    assert!(error.backtrace().unwrap().contains("myns:f:1: in "), "{:?}", error.backtrace());
}
