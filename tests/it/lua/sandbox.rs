//! What Lua code cannot reach, and what it can use of Lua's own library.

use serde_json::json;

use super::once;

#[tokio::test]
async fn nothing_of_the_host_is_there() {
    let source = "local found = {}\n\
        for _, path in ipairs{ 'io', 'dofile', 'loadfile', 'loadstring', 'package', 'os.execute', 'os.exit', 'os.getenv', \
        'os.remove', 'os.rename', 'os.tmpname', 'os.setlocale', 'string.dump', 'debug.getinfo', 'debug.sethook', \
        'debug.getregistry', 'debug.setmetatable', 'warn' } do\n\
        local at = _G\n for name in path:gmatch('[^.]+') do at = type(at) == 'table' and at[name] or nil end\n\
        if at ~= nil then found[#found + 1] = path end\nend\nreturn found";
    assert_eq!(once("host", "", source, json!([])).await.unwrap(), json!([]));
}

#[tokio::test]
async fn the_usual_library_is_there() {
    let source = "local t = { 3, 1, 2 }\ntable.sort(t)\ntable.insert(t, 4)\ntable.remove(t, 1)\n\
        local sum = load('local a, b = ... return a + b')(40, 2)\n\
        local env = {} load('x = 1', 'c', 't', env)()\n\
        return { table.concat(t, ','), string.format('%05.1f|%q', 3.14159, 'a'), utf8.len('äö'), math.floor(2.5), sum, env.x, \
        #table.pack(table.unpack(t)), select('#', 1, nil), tostring(nil), next({}) == nil, type(os.time()), os.date('%Y', 0), \
        type(os.clock()), rawlen(t), table.concat(table.move({ 1, 2 }, 1, 2, 2), '-'), ('x'):rep(3), \
        collectgarbage('count') > 0, type(debug.traceback()) }";
    let expected = json!([
        "2,3,4",
        "003.1|\"a\"",
        2,
        2,
        42,
        1,
        3,
        2,
        "nil",
        true,
        "number",
        "1970",
        "number",
        3,
        "1-1-2",
        "xxx",
        true,
        "string"
    ]);
    assert_eq!(once("library", "", source, json!([])).await.unwrap(), expected);
}

#[tokio::test]
async fn bytecode_is_not_loaded() {
    let source =
        "return { select(2, load('\\27Lua')), select(2, load('return 1', 'c', 'b')), load('return 1', 'c', 'bt')() }";
    let answer = once("bytecode", "", source, json!([])).await.unwrap();
    assert!(answer[0].as_str().unwrap().contains("attempt to load a binary chunk"), "{answer}");
    assert_eq!((&answer[1], &answer[2]), (&json!("code is loaded from text only"), &json!(1)));
}

#[tokio::test]
async fn what_nothing_could_interrupt_is_refused() {
    for (at, source, expected) in [
        ("finalizer", "setmetatable({}, { __gc = function() end })", "`__gc` is not available"),
        ("collector", "collectgarbage('stop')", "collectgarbage takes"),
    ] {
        let error = once(&format!("refused-{at}"), "", source, json!([])).await.unwrap_err();
        assert!(error.message().contains(expected), "{at}: {error}");
    }
}

#[tokio::test]
async fn a_finalizer_that_comes_later_never_runs() {
    let source = "local mt = {}\nlocal ran = false\ndo local t = setmetatable({}, mt) mt.__gc = function() ran = true end end\n\
        collectgarbage()\ncollectgarbage()\nreturn ran";
    assert_eq!(once("later", "", source, json!([])).await.unwrap(), json!(false));
}

#[tokio::test]
async fn lists_with_metatables_are_lists_too() {
    let source = "local seen = {}\n\
        local function proxy(t) return setmetatable({}, { __len = function() return #t end, __index = function(_, k) return t[k] end, \
        __newindex = function(_, k, v) t[k] = v end }) end\n\
        local t = { 3, 1, 2 }\nlocal p = proxy(t)\ntable.sort(p)\ntable.insert(p, 4)\ntable.insert(p, 1, 0)\n\
        local gone, last = table.remove(p, 2), table.remove(p)\ntable.move(p, 1, 3, 2)\n\
        return { t, gone, last, table.concat(p, '-'), { table.unpack(p, 1, 2) }, table.concat(p, '', 2, 3), \
        pcall(table.insert, p, 9, 1), pcall(table.concat, proxy({ {} })) }";
    let answer = once("proxies", "", source, json!([])).await.unwrap();
    let expected = json!([[0, 0, 2, 3], 1, 4, "0-0-2-3", [0, 0], "02", false, false]);
    assert_eq!(answer.as_array().unwrap()[..8], expected.as_array().unwrap()[..8]);
}

#[tokio::test]
async fn long_lists_are_sorted_as_short_ones_are() {
    let source = "local function check(n, less)\n  local t = {}\n  for i = 1, n do t[i] = (i * 7919) % 10007 end\n\
        table.sort(t, less)\n  for i = 2, n do if (less or function(a, b) return a < b end)(t[i], t[i - 1]) then return i end end\n\
        return #t == n\nend\nlocal seen = {}\n\
        for _, n in ipairs{ 1, 511, 512, 513, 1024, 1025, 5000, 20000 } do\n\
        seen[#seen + 1] = check(n) seen[#seen + 1] = check(n, function(a, b) return a > b end) end\n\
        local mixed = {} for i = 1, 600 do mixed[i] = i % 2 == 0 and 'x' or i end\n\
        seen[#seen + 1] = not pcall(table.sort, mixed)\nreturn seen";
    assert_eq!(once("long-lists", "", source, json!([])).await.unwrap(), json!(vec![true; 17]));
}
