//! `process`: programs that functions in Lua spawn, hear of and kill.

use std::time::Duration;

use greenroom::{
    CallOptions, Runtime,
    spec::{Capability, Limits, ProcessSpec, Source, Transport, WasiSpec, WasmSpec},
};
use greenroom_actors::ProcessOptions;
use serde_json::{Value, json};

use super::{call, entry};
use crate::registry::{Root, id};

/// A program of preview 1.
fn program(name: &str, body: &str) -> ProcessSpec {
    let text = format!(
        r#"(module
          (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          (func (export "_start") {body}))"#
    );
    let code = WasmSpec {
        source: Source::Text(text.into()),
        sha256: None,
        wit: None,
        method: ProcessSpec::METHOD.to_owned(),
        imports: [Capability::Cli].into_iter().collect(),
        wasi: WasiSpec::default(),
        reuse: 1,
        transport: Transport::Payload,
    };
    ProcessSpec { id: id(&format!("myns:{name}")), code, limits: Limits::default() }
}

/// Exits with the sum of all bytes of its arguments and the zeros behind them, which tells how many there are and what.
const SUM: &str = "
  (local $at i32) (local $sum i32)
  (drop (call $args_sizes (i32.const 0) (i32.const 4)))
  (drop (call $args (i32.const 512) (i32.const 1024)))
  (local.set $sum (i32.mul (i32.load (i32.const 0)) (i32.const 10000)))
  (block $end (loop $next
    (br_if $end (i32.ge_u (local.get $at) (i32.load (i32.const 4))))
    (local.set $sum (i32.add (local.get $sum) (i32.load8_u offset=1024 (local.get $at))))
    (local.set $at (i32.add (local.get $at) (i32.const 1)))
    (br $next)))
  (call $exit (i32.rem_u (local.get $sum) (i32.const 126)))";

async fn runtime(name: &str, text: &str) -> (Runtime, Root) {
    let fields = "modules: [process, time]\npool: {type: lazy, max_size: 8, reuse: 100}";
    let root = Root::with(&format!("{}  - {{name: host, kind: process.host}}\n", entry("f", fields, text)));
    let programs = [
        program("seven", "(call $exit (i32.const 7))"),
        program("trap", "(unreachable)"),
        program("forever", "(loop $again (br $again))"),
        program("sum", SUM),
    ];
    let builder = Runtime::builder().name(format!("lua-process-{name}")).registry(root.path()).guest_threads(2);
    let builder = programs.into_iter().fold(builder, |builder, program| builder.process(program));
    (builder.start().await.unwrap(), root)
}

async fn once(name: &str, text: &str) -> Value {
    let (runtime, _root) = runtime(name, text).await;
    call(&runtime, json!([])).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_hears_how_its_processes_ended() {
    let text = "
      local events = process.events()
      assert(events == process.events(), 'it is always the same')
      local seven = assert(process.spawn_monitored('seven'))
      local trap = assert(process.spawn_monitored('myns:trap'))
      local found = {}
      for _ = 1, 2 do
        local event, ok = process.events():receive()
        assert(ok and event.kind == process.event.EXIT)
        local name = ({[seven] = 'seven', [trap] = 'trap'})[event.from]
        found[name] = {event.result.value or 'none', event.result.error and event.result.error:kind() or 'none'}
      end
      return found";
    let (runtime, _root) = runtime("exits", text).await;
    // An instance that has run a call before has forgotten its processes.
    for _ in 0..2 {
        let seen = call(&runtime, json!([])).await.unwrap();
        assert_eq!(seen, json!({"seven": [7, "none"], "trap": ["none", "internal"]}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_hears_of_its_own_processes_alone() {
    let text = "
      if ... == 'spawn' then return assert(process.spawn_monitored('seven')) end
      local result = channel.select{process.events():case_receive(), time.after(50):case_receive()}
      return result.index";
    let (runtime, _root) = runtime("own", text).await;
    for _ in 0..2 {
        call(&runtime, json!(["spawn"])).await.unwrap();
        assert_eq!(call(&runtime, json!(["listen"])).await.unwrap(), json!(2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_the_arguments_but_not_its_host() {
    let text = "
      local function code(...)
        local pid = assert(process.spawn_monitored('sum', ...))
        local event = process.events():receive()
        assert(event.from == pid)
        return event.result.value
      end
      local none, host, other = code(), code('myns:host'), code('myns:hosts')
      assert(none == host and host ~= other, 'a host is no argument')
      assert(code('a', 7, true, 0.5) == code('myns:host', 'a', '7', 'true', '0.5'))
      assert(code('myns:host', 'myns:host') ~= none, 'only the first is a host')
      return 'right'";
    assert_eq!(once("arguments", text).await, json!("right"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_can_be_killed_by_the_call_that_spawned_it() {
    let text = "
      local pid = assert(process.spawn_monitored('forever'))
      assert(process.kill(pid) == true)
      local event = process.events():receive()
      local killed, err = process.kill('nobody')
      return {event.result.error:kind(), killed == nil, tostring(err)}";
    let seen = once("kill", text).await;
    let unknown = "not_found: `nobody` is the pid of no process that this call has spawned";
    assert_eq!(seen, json!(["canceled", true, unknown]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_outlives_its_call_and_the_deadline_of_that() {
    let text = "
      assert(process.spawn_monitored('forever'))
      if ... then time.sleep('1h') end
      return true";
    let (runtime, _root) = runtime("outlives", text).await;
    let free = runtime.instances_available();
    assert_eq!(call(&runtime, json!([])).await.unwrap(), json!(true));
    let timeout = CallOptions::timeout(Duration::from_millis(50));
    assert!(runtime.call_json("myns:f", vec![json!(true)], timeout).await.is_err());
    // A process with a deadline of its own has it later than that of the call.
    let limited = ProcessOptions { timeout: Some(Duration::from_millis(500)), ..ProcessOptions::default() };
    let exit = runtime.spawn("myns:forever", limited).unwrap().exited().await;
    assert_eq!(exit.result.unwrap_err().kind().name(), "timeout");
    assert_eq!(runtime.instances_available(), free - 2, "both run on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_spawned_is_an_error() {
    let text = "
      local function why(...) return tostring(select(2, process.spawn_monitored(...))) end
      local found = {why('nobody'), why('seven', {}), why('seven', '\\xff')}
      for _ = 1, 1000 do process.kill(assert(process.spawn_monitored('seven'))) end
      found[4] = why('seven')
      return found";
    let seen = once("errors", text).await;
    let expected = json!([
        "not_found: there is no process `myns:nobody`",
        "invalid: args[0] is a table; a program's arguments are strings, numbers and booleans",
        "invalid: args[0] is a string that is not UTF-8; a program's arguments are strings, numbers and booleans",
        "permission_denied: this call has spawned 1000 processes, and spawns no more",
    ]);
    assert_eq!(seen, expected);
}
