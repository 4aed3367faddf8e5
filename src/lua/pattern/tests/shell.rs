//! The functions in a VM, where they are more than C's: limits, and replacements that may yield.

use std::time::{Duration, Instant};

use mlua::{Lua, Value};

use crate::lua::pattern::install;

/// Against hanging, on a slow machine.
const LONG: Duration = Duration::from_secs(60);

fn vm() -> Lua {
    let lua = Lua::new();
    install(&lua).unwrap();
    lua
}

/// What a program returns, as text.
fn run(program: &str) -> String {
    let lua = vm();
    let value: Value = lua.load(program).set_name("=program").eval().unwrap();
    value.to_string().unwrap()
}

#[test]
fn a_pattern_that_takes_too_long_is_an_error_of_its_line() {
    let hostile = [
        r#"s:find((".-"):rep(20) .. "b")"#,
        r#"s:match((".*"):rep(20) .. "b")"#,
        r#"s:gsub((".-"):rep(20) .. "b", "")"#,
        r#"s:gsub((".-"):rep(20) .. "b", print)"#,
        r#"s:gmatch((".-"):rep(20) .. "b")()"#,
        r#"s:find(("(a?)"):rep(30) .. ("a"):rep(30) .. "b")"#,
        r#"s:find(("a?"):rep(100) .. "b")"#,
        r#"s:match("a*a*a*a*b")"#,
        r#"("("):rep(100000):find("%b()")"#,
        r#"s:find("[" .. s .. "]*b")"#,
    ];
    for call in hostile {
        let start = Instant::now();
        let program = format!(
            "local s = ('a'):rep(100000)\nlocal ok, message = pcall(function()\nlocal _ = {call}\nend) return message"
        );
        let message = run(&program);
        assert!(message.starts_with("program:3: the pattern takes too long: more than 1"), "{call}: {message}");
        assert!(start.elapsed() < LONG, "{call}");
    }
}

#[test]
fn a_plain_search_takes_time_by_length_only() {
    let start = Instant::now();
    let program = "local s = ('a'):rep(4000000) return s:find(('a'):rep(2000000) .. 'b', 1, true)";
    assert_eq!(run(program), "nil");
    assert!(start.elapsed() < LONG);
}

#[test]
fn a_long_subject_is_not_copied_for_each_match() {
    let start = Instant::now();
    let program = "
        local s, n = ('a'):rep(1000000), 0
        for a in s:gmatch('.') do n = n + #a end
        local _, m = s:gsub('.', function() n = n + 1 end)
        local r, k = s:gsub('.', { a = 'bc' })
        return n + m + k + #r";
    assert_eq!(run(program), "6000000");
    assert!(start.elapsed() < LONG);
}

#[test]
fn a_result_that_grows_too_large_is_an_error() {
    let program = "
        local s = ('a'):rep(100000)
        local ok, message = pcall(string.gsub, s, '.', ('x'):rep(1000))
        return message";
    assert_eq!(run(program), "resulting string too large");
}

#[test]
fn what_a_replacement_adds_counts_as_the_memory_of_the_vm() {
    let lua = vm();
    lua.set_memory_limit(8 << 20).unwrap();
    let program = "
        local block, calls = ('x'):rep(100000), 0
        local ok = pcall(string.gsub, ('a'):rep(500), 'a', function() calls = calls + 1 return block end)
        return ok, calls";
    let (ok, calls): (bool, usize) = lua.load(program).eval().unwrap();
    assert!(!ok && calls < 100, "{ok} after {calls} calls");
}

#[test]
fn a_replacement_may_yield() {
    let program = "
        local replace = coroutine.wrap(function()
            local result, count = ('a-b'):gsub('%w', function(letter) return coroutine.yield(letter) end)
            return result .. count
        end)
        return replace() .. replace('1') .. replace('2')";
    assert_eq!(run(program), "ab1-22");
}

#[test]
fn methods_of_strings_are_these_functions_too() {
    assert_eq!(run("return ('').find == string.find and ('').gsub == string.gsub"), "true");
}
