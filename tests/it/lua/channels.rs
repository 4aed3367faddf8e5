//! Channels, `select`, and coroutines that run beside each other.

use greenroom::ErrorKind;
use serde_json::json;

use super::once;

#[tokio::test]
async fn a_channel_hands_over_in_order_and_says_when_it_is_closed() {
    let source = "local c = channel.new()\n\
        coroutine.spawn(function(n) for i = 1, n do c:send(i) end c:close() end, 4)\n\
        local got = {}\nwhile true do\n  local v, ok = c:receive()\n  if not ok then break end\n  got[#got + 1] = v\nend\n\
        local v, ok = c:receive()\nreturn { got, v == nil, ok }";
    assert_eq!(once("channel", "", source, json!([])).await.unwrap(), json!([[1, 2, 3, 4], true, false]));
}

#[tokio::test]
async fn a_channel_with_room_takes_as_much_without_a_receiver() {
    let source = "local c = channel.new(2)\nlocal sent = {}\n\
        coroutine.spawn(function() for i = 1, 4 do c:send(i) sent[#sent + 1] = i end end)\n\
        time.sleep(20)\nlocal before = #sent\nlocal first = channel.receive(c)\ntime.sleep(20)\n\
        return { before, first, #sent }";
    assert_eq!(once("room", "modules: [time]", source, json!([])).await.unwrap(), json!([2, 1, 3]));
}

#[tokio::test]
async fn select_takes_the_first_case_that_can_go_on() {
    let source = "local a, b, full = channel.new(1), channel.new(1), channel.new(1)\nfull:send('x')\nb:send('hello')\n\
        local got = channel.select{ a:case_receive(), b:case_receive(), full:case_send('y') }\n\
        local sent = channel.select{ b:case_receive(), a:case_send('z') }\n\
        local none = channel.select{ b:case_receive(), default = true }\n\
        b:close()\nlocal closed = channel.select{ b:case_receive() }\n\
        return { got.channel == b, got.channel == a, got.value, got.ok, got.index, sent.channel == a, a:receive(), \
        none.default, none.channel == nil, closed.ok, closed.value == nil }";
    let expected = json!([true, false, "hello", true, 2, true, "z", true, true, false, true]);
    assert_eq!(once("select", "", source, json!([])).await.unwrap(), expected);
}

#[tokio::test]
async fn select_waits_and_time_is_a_channel_too() {
    let source = "local c = channel.new()\nlocal soon, late = time.after('10ms'), time.after('1h')\n\
        local first = channel.select{ c:case_receive(), late:case_receive(), soon:case_receive() }\n\
        coroutine.spawn(function() time.sleep(5) c:send('now') end)\n\
        local second = channel.select{ late:case_receive(), c:case_receive() }\n\
        return { first.channel == soon, first.ok, second.value, select(2, soon:receive()) }";
    let answer = once("select-time", "modules: [time]", source, json!([])).await.unwrap();
    assert_eq!(answer, json!([true, true, "now", false]));
}

#[tokio::test]
async fn what_a_spawned_coroutine_raises_fails_the_call() {
    let source =
        "coroutine.spawn(function() time.sleep(1) error(errors.new('invalid', 'from beside')) end)\ntime.sleep('1h')";
    let error = once("spawn-error", "modules: [time]", source, json!([])).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Invalid, "from beside"));
}

#[tokio::test]
async fn coroutines_of_the_file_may_wait_and_yield_as_they_like() {
    let source = "local function gen(n)\n  return coroutine.wrap(function()\n    for i = 1, n do time.sleep(1) coroutine.yield(i, i * i) end\n  end)\nend\n\
        local sum = 0\nfor i, square in gen(3) do sum = sum + square end\n\
        local co = coroutine.create(function(a) local b = coroutine.yield(a + 1)\n time.sleep(1)\n error('end ' .. b) end)\n\
        local ok, first = coroutine.resume(co, 1)\nlocal failed, why = coroutine.resume(co, 'x')\n\
        local busy = coroutine.wrap(function() local n = 0 for i = 1, 3e6 do n = n + 1 end coroutine.yield(n) end)\n\
        return { sum, ok, first, failed, why, coroutine.status(co), busy(), coroutine.isyieldable() }";
    let expected = json!([14, true, 2, false, "myns:f:10: end x", "dead", 3000000, true]);
    assert_eq!(once("coroutines", "modules: [time]", source, json!([])).await.unwrap(), expected);
}

#[tokio::test]
async fn wrong_uses_of_channels_say_what_is_right() {
    for (at, source, expected) in [
        ("capacity", "channel.new(-1)", "channel.new: the capacity is between 0 and"),
        ("huge", "channel.new(1 << 40)", "channel.new: the capacity is between 0 and"),
        ("closed", "local c = channel.new(1) c:close() c:send(1)", "send: the channel is closed"),
        ("twice", "local c = channel.new(1) c:close() c:close()", "close: the channel is closed"),
        ("cases", "channel.select{ channel.new() }", "select takes cases: `c:case_receive()`"),
        ("empty", "channel.select{}", "select has no case, and would wait for ever"),
    ] {
        let error = once(&format!("channel-{at}"), "", source, json!([])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{at}: {error}");
        assert!(error.message().starts_with(expected), "{at}: {error}");
    }
}

#[tokio::test]
async fn who_waits_for_several_channels_is_handed_one_item() {
    let source = "local c, d, done = channel.new(), channel.new(), channel.new(2)\n\
        coroutine.spawn(function() c:send('c') done:send('c') end)\n\
        coroutine.spawn(function() d:send('d') done:send('d') end)\n\
        local first = channel.select{ c:case_receive(), d:case_receive() }\ntime.sleep(10)\n\
        local sent = done:receive()\n\
        local waits = channel.select{ done:case_receive(), default = true }\n\
        local second = channel.select{ c:case_receive(), d:case_receive() }\n\
        local own = channel.new()\n\
        local alone = channel.select{ own:case_send(1), own:case_receive(), time.after(20):case_receive() }\n\
        return { first.value == sent, waits.default, first.value ~= second.value, alone.index }";
    assert_eq!(once("hand-over", "modules: [time]", source, json!([])).await.unwrap(), json!([true, true, true, 3]));
}

#[tokio::test]
async fn nothing_is_lost_between_many_who_send_and_receive() {
    for (at, sends, receives) in [
        ("plain", "c:send(k)", "c:receive()"),
        ("select-send", "channel.select{ c:case_send(k) }", "c:receive()"),
        ("select-receive", "c:send(k)", "channel.select{ c:case_receive() }.value"),
        ("both", "channel.select{ c:case_send(k) }", "channel.select{ c:case_receive() }.value"),
    ] {
        let source = format!(
            "local pairs, items, done = 200, 60, channel.new()\n\
             for _ = 1, pairs do\n  local c = channel.new()\n\
             coroutine.spawn(function() for k = 1, items do {sends} end end)\n\
             coroutine.spawn(function() for k = 1, items do local v = {receives} assert(v == k) end done:send(true) end)\nend\n\
             for _ = 1, pairs do done:receive() end\nreturn 'all'"
        );
        assert_eq!(once(&format!("lost-{at}"), "", &source, json!([])).await.unwrap(), json!("all"), "{at}");
    }
}

#[tokio::test]
async fn a_default_is_taken_only_when_nobody_waits_to_send() {
    let source = "local c = channel.new()\ncoroutine.spawn(function() c:send('x') end)\ntime.sleep(5)\n\
        local first = channel.select{ c:case_receive(), default = true }\n\
        local second = channel.select{ c:case_receive(), default = true }\n\
        return { first.value, first.default == nil, second.default }";
    assert_eq!(once("default", "modules: [time]", source, json!([])).await.unwrap(), json!(["x", true, true]));
}
