//! `json`, `time`, `env` and `logger`.

use greenroom::ErrorKind;
use serde_json::json;

use super::{call, entry, once, start};
use crate::registry::Root;

#[tokio::test]
async fn json_is_read_and_written() {
    let source = "local value, err = json.decode('{\"a\": [1, null, {}], \"b\": {\"c\": 1.5}}')\n\
        local none, why = json.decode('{')\nlocal _, misfit = json.encode({ f = print })\n\
        return { json.encode(value), err == nil, none == nil, why:kind(), value.a[2] == json.null, json.encode({}), \
        json.encode(json.object()), json.encode(json.object({})), json.encode({ 1, json.null }), misfit:kind(), \
        json.encode('ä\\n'), value.b.c }";
    let expected = json!([
        r#"{"a":[1,null,{}],"b":{"c":1.5}}"#,
        true,
        true,
        "invalid",
        true,
        "[]",
        "{}",
        "{}",
        "[1,null]",
        "invalid",
        "\"ä\\n\"",
        1.5
    ]);
    assert_eq!(once("json", "modules: [json]", source, json!([])).await.unwrap(), expected);
}

#[tokio::test]
async fn time_passes() {
    let source = "local before = time.now()\ntime.sleep('20ms')\ntime.sleep(5)\nlocal after = time.now()\n\
        return { after - before >= 24, after:sub(before) >= 24, before < after, before <= before, before == before, \
        before:unix() > 1.6e9, before:unix_milli() // 1000 == before:unix(), before:unix_nano() // 1000000000 == before:unix(), \
        time.SECOND, time.MINUTE, time.HOUR, time.MILLISECOND }";
    let expected = json!([true, true, true, true, true, true, true, true, 1000, 60000, 3600000, 1]);
    assert_eq!(once("time", "modules: [time]", source, json!([])).await.unwrap(), expected);
}

#[tokio::test]
async fn what_is_no_duration_says_what_is_one() {
    for (at, given) in ["'soon'", "-1", "{}", "nil", "0/0", "'5 parsecs'"].into_iter().enumerate() {
        let error =
            once(&format!("duration-{at}"), "modules: [time]", &format!("time.sleep({given})"), json!([])).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{given}: {error}");
        assert!(error.message().starts_with("expected a duration, got "), "{given}: {error}");
        assert!(
            error.message().ends_with("write milliseconds, or a string such as \"500ms\", \"3s\" or \"1m30s\""),
            "{error}"
        );
    }
}

#[tokio::test]
async fn variables_are_read_by_their_names_and_ids() {
    let yaml = entry(
        "f",
        "modules: [env]",
        "local none, err = env.get('NONE')\nlocal unset, fine = env.get('unset')\n\
         return { env.get('KEY'), env.get('myns:key'), none == nil, err:kind(), unset == nil, fine == nil }",
    ) + "  - {name: s, kind: env.storage.static, values: {KEY: secret}}\n  - {name: m, kind: env.storage.memory}\n  \
         - {name: key, kind: env.variable, variable: KEY, storage: s}\n  - {name: unset, kind: env.variable, storage: m}\n";
    let runtime = start("env", &Root::with(&yaml)).await;
    let expected = json!(["secret", "secret", true, "not_found", true, true]);
    assert_eq!(call(&runtime, json!([])).await.unwrap(), expected);
}

#[test]
fn lines_of_the_log_have_a_level_and_fields() {
    let root = Root::with(&entry(
        "f",
        "modules: [logger]",
        "local logger = require('logger')\nlogger:info('done', { users = 3, list = { 1 } })\nlogger.warn('hm')\n\
         logger:error('bad\\nline')\nlogger:debug('quiet')\nprint('plain', 1, nil, true)",
    ));
    let mut program = crate::cli::program();
    let output = program.args(["call", &root.path().display().to_string(), "myns:f"]).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    for expected in [
        "INFO greenroom::guest: done list=[1] users=3",
        "WARN greenroom::guest: hm",
        "ERROR greenroom::guest: bad\\nline",
        "INFO greenroom::guest: plain\t1\tnil\ttrue",
    ] {
        assert!(log.contains(expected), "{expected} in {log}");
    }
    assert!(!log.contains("quiet") && log.contains("myns:f"), "{log}");
}
