//! Processes: programs that are spawned, watched, killed, and exit with a code.

use std::{sync::Arc, time::Duration};

use greenroom_actors::{
    ErrorKind, Exit, Process, ProcessOptions, Runtime, StartError,
    ractor::{self, Actor, ActorProcessingErr, ActorRef},
    spec::{Capability, Limits, ProcessSpec, Source, Transport, WasiSpec, WasmSpec},
    wasm::{Stdin, Stdio, Stdout},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::tree::{Metrics, lab, metrics, until};

/// A preview 1 program: `body` has the imports that a shell's `cat` needs, and `$io`, an iovec of 1000 bytes at 1024.
fn program(body: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 2)
          (global $done i32 (i32.const 16))
          (func $iovec (param $at i32) (param $len i32)
            (i32.store (i32.const 0) (local.get $at))
            (i32.store (i32.const 4) (local.get $len)))
          (func (export "_start") {body}))"#
    )
}

/// Copies input to output.
const CAT: &str = "
  (block $end
    (loop $next
      (call $iovec (i32.const 1024) (i32.const 1000))
      (br_if $end (call $read (i32.const 0) (i32.const 0) (i32.const 1) (global.get $done)))
      (br_if $end (i32.eqz (i32.load (global.get $done))))
      (call $iovec (i32.const 1024) (i32.load (global.get $done)))
      (br_if $end (call $write (i32.const 1) (i32.const 0) (i32.const 1) (global.get $done)))
      (br $next)))";

/// Writes its arguments to its output, as C has them in memory.
const ARGS: &str = "
  (drop (call $args_sizes (i32.const 20) (i32.const 24)))
  (drop (call $args (i32.const 512) (i32.const 1024)))
  (call $iovec (i32.const 1024) (i32.load (i32.const 24)))
  (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (global.get $done)))";

/// Writes without end.
const FLOOD: &str = "
  (loop $again
    (call $iovec (i32.const 1024) (i32.const 1000))
    (br_if $again (i32.eqz (call $write (i32.const 1) (i32.const 0) (i32.const 1) (global.get $done)))))
  (call $exit (i32.const 9))";

fn process(id: &str, text: &str) -> ProcessSpec {
    let code = WasmSpec {
        source: Source::Text(text.into()),
        sha256: None,
        wit: None,
        method: ProcessSpec::METHOD.to_owned(),
        imports: [Capability::Cli, Capability::Filesystem].into_iter().collect(),
        wasi: WasiSpec::default(),
        reuse: 1,
        transport: Transport::Payload,
    };
    ProcessSpec { id: id.parse().unwrap(), code, limits: Limits::default() }
}

async fn start(name: &str, processes: impl IntoIterator<Item = ProcessSpec>) -> Runtime {
    let builder = Runtime::builder().name(name).instances_max(50).guest_threads(2).processes(processes);
    builder.start().await.unwrap()
}

fn options(stdio: Stdio) -> ProcessOptions {
    ProcessOptions { stdio, ..ProcessOptions::default() }
}

fn spawn(runtime: &Runtime, id: &str) -> Process {
    runtime.spawn(id, ProcessOptions::default()).unwrap()
}

/// A stream for the output of a process, and what reads it.
fn pipe() -> (Stdout, tokio::io::DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(4 << 10);
    (Stdout::Writer(Box::new(theirs)), ours)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_exits_with_the_code_of_its_program() {
    let exits = |code: u32| process(&format!("app:exit{code}"), &program(&format!("(call $exit (i32.const {code}))")));
    let runtime = start("exits", [exits(0), exits(1), exits(3), exits(255), process("app:falls", &program(""))]).await;
    for (id, expected) in [("app:exit0", 0), ("app:exit1", 1), ("app:exit3", 3), ("app:exit255", 255), ("app:falls", 0)]
    {
        let process = spawn(&runtime, id);
        let exit = process.exited().await;
        assert_eq!(exit.result.unwrap(), expected, "{id}");
        assert_eq!((exit.pid, exit.id.as_str()), (process.pid(), id));
        // As often as anybody asks.
        assert_eq!(process.exited().await.result.unwrap(), expected);
    }
    assert_eq!(runtime.processes().len(), 5);
    until("no instance is left", || runtime.instances_available() == 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_command_that_fails_exits_with_1() {
    let component = |ok: i32| {
        format!(
            r#"(component
              (core module $m (func (export "run") (result i32) (i32.const {ok})))
              (core instance $i (instantiate $m))
              (func $run (result (result)) (canon lift (core func $i "run")))
              (instance $runs (export "run" (func $run)))
              (export "wasi:cli/run@0.2.0" (instance $runs)))"#
        )
    };
    let runtime = start("components", [process("app:good", &component(0)), process("app:bad", &component(1))]).await;
    assert_eq!(spawn(&runtime, "app:good").exited().await.result.unwrap(), 0);
    assert_eq!(spawn(&runtime, "app:bad").exited().await.result.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn input_and_output_are_streams() {
    let runtime = start("streams", [process("app:cat", &program(CAT))]).await;
    let (input, mut ours_in) = {
        let (ours, theirs) = tokio::io::duplex(4 << 10);
        (Stdin::Reader(Box::new(theirs)), ours)
    };
    let (output, mut ours_out) = pipe();
    let process =
        runtime.spawn("app:cat", options(Stdio { stdin: input, stdout: output, stderr: Stdout::Log })).unwrap();
    // What goes in comes out, before the input has ended.
    ours_in.write_all(b"hello\n").await.unwrap();
    let mut line = [0; 6];
    ours_out.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"hello\n");
    // More than any buffer holds.
    let sent: Vec<u8> = (0..300_000_u32).map(|index| (index % 251) as u8).collect();
    let (mut received, expected) = (Vec::new(), sent.clone());
    let send = async move {
        ours_in.write_all(&sent).await.unwrap();
        drop(ours_in);
    };
    let (_, read) = tokio::join!(send, ours_out.read_to_end(&mut received));
    read.unwrap();
    assert!(received == expected, "{} bytes came back of {}", received.len(), expected.len());
    assert_eq!(process.exited().await.result.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_follow_those_of_the_entry() {
    let mut spec = process("app:args", &program(ARGS));
    spec.code.wasi.args = vec!["-v".to_owned()];
    let mut named = spec.clone();
    named.id = "app:named".parse().unwrap();
    named.code.wasi.program = Some("count".to_owned());
    let runtime = start("args", [spec, named]).await;
    for (id, expected) in [("app:args", "args\0-v\0one\0two words\0"), ("app:named", "count\0-v\0one\0two words\0")] {
        let (stdout, mut ours) = pipe();
        let args = vec!["one".to_owned(), "two words".to_owned()];
        let options = ProcessOptions { args, ..options(Stdio { stdout, ..Stdio::default() }) };
        let process = runtime.spawn(id, options).unwrap();
        let mut text = String::new();
        ours.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, expected);
        assert_eq!(process.exited().await.result.unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_slow_keeps_the_program_waiting_and_one_that_is_gone_ends_its_output() {
    let runtime = start("flood", [process("app:flood", &program(FLOOD)), process("app:falls", &program(""))]).await;
    let (stdout, mut ours) = pipe();
    let process = runtime.spawn("app:flood", options(Stdio { stdout, ..Stdio::default() })).unwrap();
    let mut some = [0; 100];
    ours.read_exact(&mut some).await.unwrap();
    // Both guest threads are free while it waits.
    for _ in 0..4 {
        assert_eq!(spawn(&runtime, "app:falls").exited().await.result.unwrap(), 0);
    }
    assert!(process.actor().get_status() < ractor::ActorStatus::Stopping);
    drop(ours);
    // The program sees that its output is closed, and ends with the code that it has for that.
    assert_eq!(process.exited().await.result.unwrap(), 9);

    // One that nobody reads can be killed while it waits.
    let (stdout, _ours) = pipe();
    let process = runtime.spawn("app:flood", options(Stdio { stdout, ..Stdio::default() })).unwrap();
    process.kill();
    assert_eq!(process.exited().await.result.unwrap_err().kind(), ErrorKind::Canceled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_ends_at_its_limit_its_timeout_or_by_being_killed() {
    let endless = program("(loop $again (br $again))");
    let mut limited = process("app:limited", &endless);
    limited.limits.max_execution = Some(Duration::from_millis(100));
    let runtime = start("ends", [limited, process("app:endless", &endless)]).await;

    let error = spawn(&runtime, "app:limited").exited().await.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.message(), "the process `app:limited` ran longer than limits.max_execution_ms (100 ms)");

    let timeout = ProcessOptions { timeout: Some(Duration::from_millis(100)), ..ProcessOptions::default() };
    let error = runtime.spawn("app:endless", timeout).unwrap().exited().await.result.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Timeout, "the timeout of the process `app:endless` passed")
    );

    let process = spawn(&runtime, "app:endless");
    process.kill();
    let error = process.exited().await.result.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Canceled, "the process `app:endless` was killed"));
    until("no instance is left", || runtime.instances_available() == 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_and_a_missing_grant_are_exits_with_an_error() {
    let mut denied = process("app:denied", &program(CAT));
    denied.code.imports = greenroom_actors::spec::Capabilities::NONE;
    let runtime = start("traps", [process("app:trap", &program("unreachable")), denied]).await;
    let error = spawn(&runtime, "app:trap").exited().await.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.message().contains("unreachable") && error.backtrace().is_some(), "{error}");
    let error = spawn(&runtime, "app:denied").exited().await.result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.message().contains("add `imports: ["), "{error}");
}

/// Hears of the ends of processes.
struct Watcher;

impl Actor for Watcher {
    type Msg = Exit;
    type State = tokio::sync::mpsc::UnboundedSender<Exit>;
    type Arguments = Self::State;

    async fn pre_start(&self, _: ActorRef<Exit>, heard: Self::State) -> Result<Self::State, ActorProcessingErr> {
        Ok(heard)
    }

    async fn handle(&self, _: ActorRef<Exit>, exit: Exit, heard: &mut Self::State) -> Result<(), ActorProcessingErr> {
        Ok(heard.send(exit)?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn actors_that_monitor_a_process_hear_of_its_end_once() {
    let endless = process("app:endless", &program("(loop $again (br $again))"));
    let runtime = start("monitors", [endless, process("app:three", &program("(call $exit (i32.const 3))"))]).await;
    let (sender, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let (watcher, _) = Actor::spawn(None, Watcher, sender).await.unwrap();

    let three = spawn(&runtime, "app:three");
    three.monitor(watcher.clone(), |exit| exit);
    let exit = heard.recv().await.unwrap();
    assert_eq!((exit.pid, exit.result.unwrap()), (three.pid(), 3));
    // One that has ended before it was monitored.
    three.monitor(watcher.clone(), |exit| exit);
    assert_eq!(heard.recv().await.unwrap().result.unwrap(), 3);

    let endless = spawn(&runtime, "app:endless");
    endless.monitor(watcher.clone(), |exit| exit);
    endless.monitor(watcher.clone(), |exit| exit);
    // By any way that actors end.
    endless.actor().kill();
    for _ in 0..2 {
        let exit = heard.recv().await.unwrap();
        assert_eq!((exit.pid, exit.result.unwrap_err().kind()), (endless.pid(), ErrorKind::Canceled));
    }
    // The end of the runtime is that of its processes.
    let last = spawn(&runtime, "app:endless");
    last.monitor(watcher.clone(), |exit| exit);
    drop(last);
    assert!(runtime.shutdown(Duration::ZERO).await);
    assert_eq!(heard.recv().await.unwrap().result.unwrap_err().kind(), ErrorKind::Canceled);
    watcher.stop_and_wait(None, None).await.unwrap();
    assert!(heard.recv().await.is_none(), "each heard once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_spawned_says_so() {
    let runtime = start("refused", [process("app:falls", &program(""))]).await;
    let error = runtime.spawn("app:fals", ProcessOptions::default()).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::NotFound, "there is no process `app:fals`"));
    assert_eq!(runtime.drain(Duration::ZERO).await, 0);
    let error = runtime.spawn("app:falls", ProcessOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);

    // A method that takes parameters has nobody to give it any.
    let mut takes = process("app:takes", r#"(module (func (export "add") (param i32) (result i32) (local.get 0)))"#);
    takes.code.method = "add".to_owned();
    let gate = crate::tree::Gate::new();
    let both = gate.builder("refused-2").process(takes).function(lab(
        "app:f",
        "add",
        greenroom_actors::spec::PoolSpec::lazy(1),
    ));
    let Err(StartError::Functions(faults)) = both.start().await else { panic!("it started") };
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0].to_string().starts_with("app:takes: method: `add` takes parameters: func(p0: s32) -> s32"),
        "{}",
        faults[0]
    );
    // An id is of one or the other.
    let same = gate.builder("refused-3").process(process("app:f", &program("")));
    let same = same.function(lab("app:f", "add", greenroom_actors::spec::PoolSpec::lazy(1)));
    let Err(StartError::Functions(faults)) = same.start().await else { panic!("it started") };
    assert_eq!(faults[0].to_string(), "app:f: two entries have this id");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_wait_for_a_place_as_all_instances_do() {
    let endless = process("app:endless", &program("(loop $again (br $again))"));
    let builder = Runtime::builder().name("places").instances_max(1).guest_threads(2);
    let runtime = builder.process(endless).process(process("app:falls", &program(""))).start().await.unwrap();
    let first = spawn(&runtime, "app:endless");
    until("the first has the place", || runtime.instances_available() == 0).await;
    let timeout = ProcessOptions { timeout: Some(Duration::from_millis(50)), ..ProcessOptions::default() };
    let second = runtime.spawn("app:falls", timeout).unwrap();
    assert_eq!(second.exited().await.result.unwrap_err().kind(), ErrorKind::Timeout);
    let third = spawn(&runtime, "app:falls");
    first.kill();
    assert_eq!(third.exited().await.result.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ends_of_processes_are_counted() {
    let metrics: Metrics = metrics();
    let endless = process("counted:endless", &program("(loop $again (br $again))"));
    let runtime = start("counted", [endless, process("counted:falls", &program(""))]).await;
    let calls =
        |id: &str, outcome: &str| metrics.value("greenroom_calls_total", &[("function", id), ("outcome", outcome)]);
    let endless = spawn(&runtime, "counted:endless");
    until("it runs", || metrics.instances("counted:endless", "running") == 1.0).await;
    endless.kill();
    endless.exited().await.result.unwrap_err();
    assert_eq!(calls("counted:endless", "canceled"), 1.0);
    assert_eq!(metrics.instances("counted:endless", "running"), 0.0);
    let runtime = Arc::new(runtime);
    spawn(&runtime, "counted:falls").exited().await.result.unwrap();
    assert_eq!(calls("counted:falls", "ok"), 1.0);
}
