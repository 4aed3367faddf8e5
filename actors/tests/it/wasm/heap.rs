//! Core modules of preview 1 that use all of their memory: the adapter's part of it stays the adapter's.

use std::{fs, sync::Arc};

use greenroom_actors::{
    executor::Executor,
    spec::{Capability, EnvBinding, Limits, Variable, WasmSpec},
};
use serde_json::json;

use super::{fixture::*, log::Log, prober::*};

const PAGE: u64 = 64 << 10;

#[derive(Debug)]
struct Steady;

impl Variable for Steady {
    fn id(&self) -> &str {
        "app:steady"
    }

    fn get(&self) -> Result<Option<String>, String> {
        Ok(Some("as it was".to_owned()))
    }
}

/// Runs a program or a function of C that fills a heap of 4 MiB, piece by piece, and asks the host in between.
fn filled(guest_name: &str, method: &str, pieces: &[u32]) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file.txt"), "*".repeat(10_000)).unwrap();
    let mut spec = guest(guest_name, method, &[Capability::Cli, Capability::Filesystem]);
    let variable: Arc<dyn Variable> = Arc::new(Steady);
    spec.wasi.env = vec![EnvBinding { name: "STEADY".to_owned(), required: true, variable }];
    spec.wasi.mounts = vec![mount(dir.path(), "/data", true)];
    for piece in pieces {
        let log = Log::default();
        let outcome = log.during(|| {
            if method == "run" {
                spec.wasi.args = vec!["heap".to_owned(), piece.to_string()];
                call(&prepared(&spec), json!([])).map(|ok| (ok == json!({"ok": null})).into())
            } else {
                call(&prepared(&spec), json!([piece])).map(|status| (status == json!(0)).into())
            }
        });
        let lines: Vec<_> = log.lines().into_iter().map(|(_, line)| line).collect();
        assert_eq!(outcome, Ok(json!(true)), "{guest_name}, pieces of {piece}: {lines:?}");
        assert_eq!(lines, ["1 MiB", "2 MiB", "3 MiB", "4 MiB"], "{guest_name}, pieces of {piece}");
    }
}

#[test]
fn a_program_of_an_old_c_library_has_its_heap_to_itself() {
    filled("plain_command", "run", &[24, 100, 1_000, 4_096, 10_000, 65_536, 100_000, 1_048_576]);
}

#[test]
fn a_library_of_an_old_c_library_has_its_heap_to_itself() {
    filled("plain_reactor", "heap", &[24, 1_000, 65_536, 1_048_576]);
}

/// A module of three pages. Its `$ask` asks the host, and so makes the adapter take its memory; `$own` is what
/// `memory.size` says, `$fill` fills pages with a byte, and `$check` traps when one of them has become another.
fn module(rest: &str) -> String {
    format!(
        r#"(module
      (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
      (memory (export "memory") 3)
      (func $ask (if (call $sizes (i32.const 8) (i32.const 12)) (then unreachable)))
      (func $own (result i32) memory.size)
      (func $fill (param $from i32) (param $to i32) (param $byte i32)
        (memory.fill (i32.shl (local.get $from) (i32.const 16)) (local.get $byte)
          (i32.shl (i32.sub (local.get $to) (local.get $from)) (i32.const 16))))
      (func $check (param $from i32) (param $to i32) (param $byte i32)
        (local $at i32) (local $end i32)
        (local.set $at (i32.shl (local.get $from) (i32.const 16)))
        (local.set $end (i32.shl (local.get $to) (i32.const 16)))
        (loop $next
          (if (i32.ne (i32.load8_u (local.get $at)) (local.get $byte)) (then unreachable))
          (local.set $at (i32.add (local.get $at) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $at) (local.get $end)))))
      {rest})"#
    )
}

fn asking(rest: &str) -> WasmSpec {
    let mut spec = text(&module(rest), "f");
    spec.imports = [Capability::Cli].into_iter().collect();
    spec
}

#[test]
fn a_module_that_first_asks_the_host_sees_the_memory_that_it_declares() {
    let size = asking(r#"(func (export "f") (result i32) (call $ask) (drop (call $own)) (call $ask) (call $own))"#);
    assert_eq!(call(&prepare(&size), json!([])).unwrap(), json!(3));
    // Growing by nothing is another way to ask, and growing that fails changes nothing.
    let size = asking(
        r#"(func (export "f") (result i32)
          (call $ask)
          (if (i32.ne (memory.grow (i32.const 65535)) (i32.const -1)) (then unreachable))
          (if (i32.ne (memory.grow (i32.const 0)) (i32.const 3)) (then unreachable))
          (call $own))"#,
    );
    assert_eq!(call(&prepare(&size), json!([])).unwrap(), json!(3));
}

#[test]
fn what_growing_gives_is_the_modules_own_and_adds_up() {
    let grows = asking(
        r#"(func (export "f") (result i32)
          (local $first i32) (local $second i32)
          (call $ask)
          (call $fill (i32.const 1) (call $own) (i32.const 1))
          (local.set $first (memory.grow (i32.const 2)))
          (call $fill (local.get $first) (call $own) (i32.const 2))
          (call $ask)
          (local.set $second (memory.grow (i32.const 5)))
          (if (i32.ne (i32.add (local.get $first) (i32.const 2)) (local.get $second)) (then unreachable))
          (if (i32.ne (i32.add (local.get $second) (i32.const 5)) (call $own)) (then unreachable))
          (call $fill (local.get $second) (call $own) (i32.const 3))
          (call $ask)
          (call $check (i32.const 1) (i32.const 3) (i32.const 1))
          (call $check (local.get $first) (local.get $second) (i32.const 2))
          (call $check (local.get $second) (call $own) (i32.const 3))
          (local.get $first))"#,
    );
    // The adapter's memory lies between.
    assert!(call(&prepare(&grows), json!([])).unwrap().as_i64().unwrap() > 3);
}

#[test]
fn a_module_that_looks_before_the_adapter_takes_its_memory_sees_all_of_it_from_then_on() {
    // As AssemblyScript does: the heap begins when the module starts, and then gains what lies between the sizes before
    // and after growing.
    let looks = asking(
        r#"(start $begin)
        (func $begin (call $fill (i32.const 1) (call $own) (i32.const 1)))
        (func (export "f") (result i32)
          (local $before i32) (local $after i32)
          (call $ask)
          (local.set $before (call $own))
          (drop (memory.grow (i32.const 4)))
          (local.set $after (call $own))
          (call $fill (local.get $before) (local.get $after) (i32.const 2))
          (call $ask)
          (call $check (i32.const 1) (i32.const 3) (i32.const 1))
          (call $check (local.get $before) (local.get $after) (i32.const 2))
          (i32.sub (local.get $after) (local.get $before)))"#,
    );
    assert_eq!(call(&prepare(&looks), json!([])).unwrap(), json!(4));
}

#[test]
fn the_bound_of_memory_holds_for_what_module_and_adapter_take_together() {
    let greedy = asking(
        r#"(func (export "f") (result i32)
          (call $ask)
          (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
          (call $ask)
          (call $own))"#,
    );
    let limits = Limits { max_memory_bytes: 16 * PAGE, ..Limits::default() };
    let prepared = engine().prepare(&id(), &greedy, &limits).unwrap();
    block_on(async {
        let mut instance = prepared.function.make().await.unwrap();
        assert_eq!(run(&prepared, &mut instance, json!([])).await.unwrap(), json!(16));
        assert_eq!(instance.memory_bytes(), 16 * PAGE);
    });
}
