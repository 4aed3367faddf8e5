//! The same calls by C's functions, in one VM, and by ours, in another: results, errors and their places are the same.

use std::fmt::Write;

use mlua::{Function, Lua, LuaString};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};

use crate::lua::pattern::install;

/// Calls everything with what it is given, and gives back all that came of it as one string.
const DRIVER: &str = r##"
local subject, pattern, replacement, init, count = ...
local lines = {}

local function show(value)
  return type(value) == "string" and ("%q"):format(value) or tostring(value)
end

local function try(name, call)
  local line = { name }
  local results = table.pack(pcall(call))
  for index = 1, results.n do line[#line + 1] = show(results[index]) end
  lines[#lines + 1] = table.concat(line, " ")
end

local function all(iterator)
  local found = {}
  for a, b, c in iterator do
    found[#found + 1] = show(a) .. show(b) .. show(c)
    if #found == 50 then break end
  end
  return table.concat(found, ";")
end

try("find", function() local a, b, c, d = string.find(subject, pattern) return a, b, c, d end)
try("find init", function() local a, b, c, d, e = subject:find(pattern, init) return a, b, c, d, e end)
try("find plain", function() local a, b, c = subject:find(pattern, init, true) return a, b, c end)
try("match", function() local t = table.pack(subject:match(pattern)) return table.unpack(t, 1, t.n) end)
try("match init", function() local a, b, c, d = string.match(subject, pattern, init) return a, b, c, d end)
try("gmatch", function() local found = all(subject:gmatch(pattern)) return found end)
try("gmatch init", function() local found = all(string.gmatch(subject, pattern, init)) return found end)
try("gsub", function() local a, b = subject:gsub(pattern, replacement) return a, b end)
try("gsub count", function() local a, b = string.gsub(subject, pattern, replacement, count) return a, b end)
try("gsub table", function()
  local a, b = subject:gsub(pattern, { a = "<%1>", b = false, ["("] = 12, [1] = 1.5, [2] = "two", ab = "", [")"] = {} })
  return a, b
end)
try("gsub function", function()
  local calls = 0
  local a, b = subject:gsub(pattern, function(...)
    calls = calls + 1
    local first, second = ...
    if calls % 3 == 0 then return end
    if second == "a" then error("stop", 2) end
    if first == "%" then return {} end
    return select("#", ...) .. show(first) .. show(second)
  end, count)
  return a, b, calls
end)
return table.concat(lines, "\n")
"##;

/// Not by `eval`, which would make a tail call of it.
fn load(lua: &Lua, program: &str, name: &str) -> Function {
    lua.load(program).set_name(name).into_function().unwrap()
}

/// A VM as it comes, and one with our functions.
fn vms() -> (Lua, Lua) {
    let (theirs, ours) = (Lua::new(), Lua::new());
    install(&ours).unwrap();
    (theirs, ours)
}

fn bytes(choices: &'static [&'static [u8]], most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(select(choices), 0..=most).prop_map(|parts| parts.concat())
}

const PATTERN: &[&[u8]] = &[
    b"a", b"b", b"a", b"b", b".", b".", b"*", b"+", b"-", b"?", b"(", b")", b"(", b")", b"()", b"^", b"$", b"%", b"[",
    b"]", b"[^", b"[a-b]", b"[^a]", b"[%w(]", b"[]", b"%a", b"%A", b"%d", b"%s", b"%p", b"%W", b"%z", b"%%", b"%(",
    b"%)", b"%b()", b"%bab", b"%b", b"%f[a]", b"%f[%W]", b"%f", b"%0", b"%1", b"%2", b"\0", b"\xff", b"1", b"(a*)",
    b"(.-)", b"(.)",
];
const SUBJECT: &[&[u8]] =
    &[b"a", b"a", b"b", b"b", b"(", b")", b"[", b"]", b"%", b"-", b" ", b"\0", b"\xff", b"1", b"ab"];
const REPLACEMENT: &[&[u8]] = &[b"x", b"y", b"%0", b"%1", b"%1", b"%2", b"%%", b"%", b"%x", b"\0"];

#[test]
fn random_patterns_do_what_they_do_in_c() {
    let (theirs, ours) = vms();
    let (their_driver, our_driver) = (load(&theirs, DRIVER, "=driver"), load(&ours, DRIVER, "=driver"));
    let everything = (bytes(SUBJECT, 14), bytes(PATTERN, 7), bytes(REPLACEMENT, 4), -16_i64..18, -1_i64..5);
    let config = Config { cases: 20_000, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&everything, |(subject, pattern, replacement, init, count)| {
            let run = |lua: &Lua, driver: &Function| {
                let text = |bytes: &[u8]| lua.create_string(bytes).unwrap();
                let arguments = (text(&subject), text(&pattern), text(&replacement), init, count);
                driver.call::<LuaString>(arguments).unwrap().as_bytes().to_vec()
            };
            let (theirs, ours) = (run(&theirs, &their_driver), run(&ours, &our_driver));
            prop_assert_eq!(String::from_utf8_lossy(&theirs), String::from_utf8_lossy(&ours));
            Ok(())
        })
        .unwrap();
}

/// What ends with an error, or with something odd. None ends in a tail call: that leaves no line to name.
const CALLS: &str = r##"
string.find()
string.find("x")
string.find(nil, "x")
string.find({}, "x")
string.find("x", {})
string.find("x", "x", {})
string.find("x", "x", 1.5)
string.find("x", "x", "1.5")
string.find("x", "x", "y")
string.find("x", "x", true)
string.find(setmetatable({}, { __name = "Thing" }), "x")
string.find(setmetatable({}, { __name = 1 }), "x")
string.find(print, coroutine.create(print))
("x"):find()
("x"):find({})
("x"):find("x", {})
("x").find({}, "x")
local find = string.find; find()
local t = { look = string.find }; t:look("x")
local t = { look = string.find }; t.look({}, "x")
local ok, message = pcall(string.find); return message
local ok, message = pcall(string.gsub, "x", "x"); return message
local ok, message = pcall(string.match, "x", "[x"); return message
local ok, message = pcall(string.gmatch, "x"); return message
string.match()
string.match("x", "%")
("x"):match()
string.gmatch()
string.gmatch("x", "x", {})
("x"):gmatch()
for _ in ("x"):gmatch("(") do end
for _ in ("x"):gmatch("%") do end
string.gsub()
string.gsub("x", "x")
string.gsub("x", "x", nil)
string.gsub("x", "x", true)
string.gsub("x", "x", print, {})
string.gsub("x", "x", nil, {})
("x"):gsub()
("x"):gsub("x")
("x"):gsub("x", true)
("x"):gsub("x", "%2")
("x"):gsub("x", "%")
("x"):gsub("x", function() return {} end)
("x"):gsub("x", function() return print end)
("x"):gsub("x", function() return true end)
("x"):gsub("x", { x = {} })
("x"):gsub("x", { x = io.stdout })
("x"):gsub("(x)(", { x = "y" })
("x"):gsub("(x)(", print)
("x"):gsub("x", function() error("stop") end)
("x"):gsub("x", function() error("stop", 2) end)
("x"):gsub("x", function() error("stop", 0) end)
("x"):gsub("x", setmetatable({}, { __index = function(_, key) error("no " .. key) end }))
local ok, raised = pcall(string.gsub, "x", "x", function() error({ kind = "Odd" }) end); return raised.kind
local r, n = ("x"):gsub("x", setmetatable({}, { __index = function(_, key) return key:upper() end })); return r .. n
local r, n = ("x y"):gsub("%w", { x = 1, y = 2.5 }); return r .. n
local r, n = ("x y"):gsub("%w", function() return 1, 2 end); return r .. n
local r, n = (121):gsub(1, 3); return r .. n
local a, b = string.find(12345, 34); return a .. b
local a, b = ("a+b"):find("+", "2", 1); return a .. b
local a = ("abc"):find("b", 1, nil); return a
local a = ("abc"):find("", 4); return a
local a = tostring(("abc"):find("", 5)); return a
local a = tostring(("abc"):find("b", math.mininteger)); return a
local a = tostring(("abc"):find("b", math.maxinteger)); return a
local a = tostring(("abc"):find("b", 2.0)); return a
local a = select("#", ("abc"):gmatch("x")()); return a
local n = 0; for a, b in ("k=v, l=w"):gmatch("(%w)=(%w)") do n = n + #a + #b end; return n
local n = 0; for a in ("abc"):gmatch("()", -2) do n = n + a end; return n
local f = ("ab"):gmatch("."); return f() .. f() .. tostring(f()) .. tostring(f())
local r = ("x"):rep(300):gsub(("x?"):rep(250), ""); return r
local r = ("x"):find(("("):rep(33)); return r
local r = ("hello world"):gsub("o", "0", "1"); return r
local r = ("hello world"):gsub("o", "0", 1.0); return r
local r = ("hello world"):gsub("o", "0", 1.5); return r
"##;

#[test]
fn arguments_and_errors_are_as_in_c() {
    let (theirs, ours) = vms();
    let run = |lua: &Lua, call: &str| match load(lua, call, "=program").call::<Option<LuaString>>(()) {
        Ok(value) => format!("{:?}", value.map(|value| value.to_string_lossy())),
        Err(error) => error.to_string().lines().next().unwrap().to_owned(),
    };
    let mut differing = String::new();
    for call in CALLS.lines().filter(|call| !call.is_empty()) {
        let (theirs, ours) = (run(&theirs, call), run(&ours, call));
        if theirs != ours {
            writeln!(differing, "{call}\n  C:    {theirs}\n  ours: {ours}").unwrap();
        }
    }
    assert!(differing.is_empty(), "{differing}");
}
