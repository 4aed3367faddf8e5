//! Lua that does not end by itself: deadlines, callers that leave, memory, and threads that are shared.

use std::time::Duration;

use futures::future::join_all;
use greenroom::{CallOptions, ErrorKind};
use serde_json::json;

use super::{call, entry, item, lua, once, start};
use crate::registry::Root;

/// Loops that never end, in places of all sorts.
const ENDLESS: [(&str, &str); 26] = [
    ("loop", "while true do end"),
    ("rep", "while true do string.rep('', math.maxinteger) end"),
    ("concat", "table.concat(setmetatable({}, { __index = table.concat }), '', 1, math.maxinteger)"),
    (
        "insert",
        "local n = 0 table.insert(setmetatable({}, { __len = function() n = n + 1 return n == 1 and 0 or 1 << 61 end }), 1, 5) \
         while true do end",
    ),
    ("remove", "table.remove(setmetatable({}, { __len = function() return 1 << 61 end }), 1)"),
    ("move", "table.move({}, '1', tostring(1 << 61), 2)"),
    (
        "sorted",
        "table.sort(setmetatable({}, { __len = function() return 2147483640 end, __index = table.pack, __newindex = rawequal }), \
         rawequal)",
    ),
    ("spawn", "local function f() coroutine.spawn(f) end f() channel.new():receive()"),
    (
        "nested",
        "local a = ('x'):rep(4e6) local function f() for k = 1, 150 do local b = a .. k end end \
         local function g() for i = 1, 15 do coroutine.wrap(f)() end end while true do coroutine.wrap(g)() end",
    ),
    (
        "spawned",
        "local a = ('x'):rep(4e6) while true do for i = 1, 500 do coroutine.spawn(function() for k = 1, 50 do local b = a .. k end end) end \
         time.sleep(1) end",
    ),
    ("reader", "load(function() return ' ' end)"),
    ("reverse", "local s = ('x'):rep(1e7) while true do s:reverse() end"),
    ("join", "local s = ('x'):rep(1e7) while true do local t = s .. 'y' end"),
    ("sorts", "local t = {} for i = 1, 2e4 do t[i] = -i end while true do table.sort(t) end"),
    ("encode", "local t = {} for i = 1, 1e4 do t[i] = i end while true do json.encode(t) end"),
    ("load", "local s = ('x = 1 '):rep(1e4) while true do load(s) end"),
    ("find", "local s = ('x'):rep(1e4) while true do pcall(s.find, s, '.-.-.-b') end"),
    ("collect", "local t = {} for i = 1, 1e5 do t[i] = {} end while true do collectgarbage() end"),
    ("pcall", "while true do pcall(function() while true do end end) end"),
    ("coroutine", "coroutine.wrap(function() while true do end end)()"),
    ("sort", "table.sort({3, 2, 1}, function() while true do end end)"),
    ("gsub", "local _ = ('x'):gsub('x', function() while true do pcall(function() while true do end end) end end)"),
    ("metamethod", "local t = setmetatable({}, { __index = function() while true do end end }) return t.x"),
    ("close", "local t <close> = setmetatable({}, { __close = function() while true do end end })"),
    ("error", "xpcall(error, function() while true do end end)"),
    (
        "handler",
        "table.sort({3, 2, 1}, function() local f = function() while true do end end while true do xpcall(f, f) end end)",
    ),
];

#[tokio::test]
async fn what_never_ends_is_stopped_by_its_deadline_and_the_next_call_runs() {
    for (at, endless) in ENDLESS {
        let yaml = entry(
            "f",
            "limits: {max_execution_ms: 50}\nmodules: [json, time]\npool: {type: static, size: 1}",
            &format!("if ... then\n  do {endless} end\nend\nreturn 'well'"),
        );
        let runtime = start(&format!("endless-{at}"), &Root::with(&yaml)).await;
        let error = call(&runtime, json!([true])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{at}: {error}");
        assert!(error.message().contains("limits.max_execution_ms (50 ms)"), "{at}: {error}");
        assert_eq!(call(&runtime, json!([])).await.unwrap(), json!("well"), "{at}");
    }
}

#[tokio::test]
async fn what_sleeps_is_stopped_by_its_deadline() {
    for (at, source) in [
        ("sleep", "time.sleep('1h')"),
        ("receive", "channel.new():receive()"),
        ("call", "funcs.call('g')"),
        ("spawned", "coroutine.spawn(function() time.sleep('1h') end) channel.new():receive()"),
    ] {
        let yaml = entry("f", "limits: {max_execution_ms: 50}\nmodules: [time, funcs]", source)
            + &item("g", "modules: [time]", "time.sleep('1h')");
        let runtime = start(&format!("asleep-{at}"), &Root::with(&yaml)).await;
        assert_eq!(call(&runtime, json!([])).await.unwrap_err().kind(), ErrorKind::Timeout, "{at}");
        while runtime.tree().await.functions.iter().any(|function| function.calls > 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn a_caller_that_leaves_ends_an_endless_loop() {
    let root = lua("pool: {type: static, size: 1}", "while ... do end\nreturn 'next'");
    let runtime = start("leaves", &root).await;
    for _ in 0..3 {
        let options = CallOptions::timeout(Duration::from_millis(20));
        let error = runtime.call_json("myns:f", vec![json!(true)], options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
    }
    assert_eq!(call(&runtime, json!([])).await.unwrap(), json!("next"));
}

#[tokio::test]
async fn endless_loops_share_their_threads_with_other_functions() {
    let yaml = entry("f", "", "return 'well'") + &item("loops", "pool: {max_size: 8}", "while true do end");
    let runtime = start("share", &Root::with(&yaml)).await;
    let loops: Vec<_> = (0..8)
        .map(|_| {
            let runtime = runtime.clone();
            tokio::spawn(async move { runtime.call_json("myns:loops", vec![], CallOptions::default()).await })
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(call(&runtime, json!([])).await.unwrap(), json!("well"));
    }
    loops.iter().for_each(|task| task.abort());
}

#[tokio::test]
async fn memory_is_bounded_and_what_needs_more_fails_alone() {
    let eats = "local t = {}\nfor i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end";
    for (at, fields, max) in [("default", "", 67108864), ("set", "limits: {max_memory_bytes: 2097152}", 2097152)] {
        let error = once(&format!("memory-{at}"), fields, eats, json!([])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{error}");
        let expected = format!("the function needs more memory than limits.max_memory_bytes ({max})");
        assert_eq!(error.message(), expected);
    }
    let fits = "local t = {}\nfor i = 1, 8 do t[i] = ('x'):rep(1000000) .. i end\nreturn #t";
    assert_eq!(once("memory-fits", "", fits, json!([])).await.unwrap(), json!(8));
    let caught = "return pcall(string.rep, 'x', 1 << 40)";
    assert_eq!(once("memory-caught", "", caught, json!([])).await.unwrap(), json!(false));
}

#[tokio::test]
async fn results_are_bounded() {
    let fields = "limits: {max_result_bytes: 100}";
    assert_eq!(once("result-fits", fields, "return ('x'):rep(90)", json!([])).await.unwrap(), json!("x".repeat(90)));
    let error = once("result-large", fields, "return { ('x'):rep(50), ('x'):rep(50) }", json!([])).await.unwrap_err();
    assert!(error.message().contains("limits.max_result_bytes (100)"), "{error}");
}

#[tokio::test]
async fn ten_thousand_calls_sleep_at_once_on_two_threads() {
    const CALLS: usize = 10_000;
    let fields = "modules: [time]\npool: {max_size: 10000}";
    let root = lua(fields, "time.sleep(1)\ntime.sleep('1h')\nreturn 1");
    let runtime = start("sleepers", &root).await;
    let threads = || std::fs::read_dir("/proc/self/task").map(Iterator::count).unwrap_or_default();
    let before = threads();
    let calls = join_all((0..CALLS).map(|_| runtime.call_json("myns:f", vec![], CallOptions::default())));
    let mut calls = Box::pin(calls);
    let all_asleep = async {
        loop {
            let running = runtime.tree().await.functions[0].pool.as_ref().map_or(0, |pool| pool.workers.len());
            if running == CALLS {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        _ = &mut calls => panic!("they sleep for an hour"),
        waited = tokio::time::timeout(Duration::from_secs(300), all_asleep) => waited.expect("all run at once"),
    }
    // Other tests of this process come and go, with some threads each.
    assert!(threads() < before + 200, "{} threads, {before} before", threads());
}

#[tokio::test]
async fn memory_outside_of_the_vm_counts_too() {
    let big = "local big = ('x'):rep(2e6)\n";
    for (at, source) in [
        (
            "results",
            "local kept = {} for i = 1, 40 do kept[i] = funcs.async('gives') end for i = 1, 40 do \
            local _, ok = kept[i]:response():receive() if not ok then error((kept[i]:error())) end end",
        ),
        (
            "arguments",
            "local kept = {} for i = 1, 40 do local f, e = funcs.async('sleeps', big) kept[i] = f or error(e) end",
        ),
        (
            "context",
            "local kept = {} for i = 1, 1e5 do kept[i] = funcs.new():with_context{ a = big:sub(1, 60000) } end",
        ),
        ("channels", "local kept = {} for i = 1, 1e6 do kept[i] = channel.new(1 << 17) end"),
        ("errors", "local kept = {} for i = 1, 1e6 do kept[i] = errors.new(big) end"),
    ] {
        let yaml =
            entry("f", "limits: {max_memory_bytes: 16777216}\nmodules: [funcs, errors]", &format!("{big}{source}"))
                + &item("gives", "", "return ('x'):rep(2e6)")
                + &item("sleeps", "modules: [time]", "time.sleep('1h')");
        let runtime = start(&format!("outside-{at}"), &Root::with(&yaml)).await;
        let error = call(&runtime, json!([])).await.unwrap_err();
        assert!(error.message().contains("limits.max_memory_bytes (16777216)"), "{at}: {error}");
    }
    let drops = format!("{big}for i = 1, 1000 do errors.new(big) end\nreturn 'well'");
    let fields = "limits: {max_memory_bytes: 16777216}";
    assert_eq!(once("outside-dropped", fields, &drops, json!([])).await.unwrap(), json!("well"));
}

#[tokio::test]
async fn a_value_that_refers_to_another_many_times_is_bounded() {
    let source = "local t = { 1 } for i = 1, 60 do t = { t, t } end\nlocal _, err = json.encode(t)\n\
        local _, other = funcs.call('f', t)\nreturn { err:message(), other:message() }";
    let answer = once("bounded", "modules: [json, funcs]", source, json!([])).await.unwrap();
    for message in answer.as_array().unwrap() {
        assert!(message.as_str().unwrap().ends_with(": the value is larger than 64 MiB"), "{answer}");
    }
}

#[tokio::test]
async fn what_is_used_up_is_collected_in_time() {
    for (at, uses) in [
        ("tables", "local t = { i }"),
        ("channels", "c:send(true) c:receive()"),
        ("errors", "errors.new('x')"),
        ("calls", "funcs.call('g')"),
    ] {
        let source = format!(
            "local c, top = channel.new(1), 0\nfor i = 1, ROUNDS do\n  {uses}\n\
             top = math.max(top, collectgarbage('count'))\nend\nreturn top < 2000 or top"
        )
        .replace("ROUNDS", if at == "calls" { "3000" } else { "100000" });
        let yaml = entry("f", "modules: [funcs]", &source) + &item("g", "", "return 1");
        let runtime = start(&format!("collected-{at}"), &Root::with(&yaml)).await;
        assert_eq!(call(&runtime, json!([])).await.unwrap(), json!(true), "{at}");
    }
}
