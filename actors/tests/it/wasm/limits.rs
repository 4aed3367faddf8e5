//! Each limit, and what ends a guest: traps, deadlines, and the room that all instances share.

use std::{future::Future, task::Poll, time::Duration};

use greenroom_actors::{
    ErrorKind,
    executor::Executor,
    spec::{Limits, WasmSpec},
    wasm::Prepared,
};
use serde_json::json;

use super::fixture::*;

fn prepare_within(spec: &WasmSpec, limits: Limits) -> Prepared {
    engine().prepare(&id(), spec, &limits).unwrap()
}

const PAGE: u64 = 64 << 10;

#[test]
fn a_guest_beyond_its_memory_sees_a_failed_grow() {
    let source = r#"(module (memory 1) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;
    let prepared = prepare_within(&text(source, "grow"), Limits { max_memory_bytes: 3 * PAGE, ..Limits::default() });
    block_on(async {
        let mut instance = prepared.function.make().await.unwrap();
        // What it may grow by is there from the start.
        assert_eq!(instance.memory_bytes(), 3 * PAGE);
        assert_eq!(run(&prepared, &mut instance, json!([3])).await.unwrap(), json!(-1));
        assert_eq!(run(&prepared, &mut instance, json!([2])).await.unwrap(), json!(1));
        assert_eq!(run(&prepared, &mut instance, json!([1])).await.unwrap(), json!(-1));
        assert_eq!(instance.memory_bytes(), 3 * PAGE);
    });
}

#[test]
fn memories_are_bounded_together() {
    let source = r#"(component
      (core module $one (memory 2))
      (core module $two (memory 2) (func (export "grow") (result i32) (memory.grow (i32.const 1))))
      (core instance (instantiate $one))
      (core instance $i (instantiate $two))
      (func (export "grow") (result s32) (canon lift (core func $i "grow"))))"#;
    let outcome = |pages| {
        let limits = Limits { max_memory_bytes: pages * PAGE, ..Limits::default() };
        call(&prepare_within(&text(source, "grow"), limits), json!([]))
    };
    assert_eq!(outcome(5).unwrap(), json!(2));
    assert_eq!(outcome(4).unwrap(), json!(-1));
    let error = outcome(3).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(
        error.message(),
        "`app:f` needs 262144 bytes of memory to start, and `limits.max_memory_bytes` allows 196608; raise it"
    );
}

#[test]
fn the_stack_of_each_function_has_its_own_bound() {
    let source = r#"(module (func $down (export "down") (param i32) (result i32)
      (if (result i32) (local.get 0)
        (then (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))
        (else (i32.const 0)))))"#;
    let engine = engine();
    let within = |bytes| {
        engine.prepare(&id(), &text(source, "down"), &Limits { max_stack_bytes: bytes, ..Limits::default() }).unwrap()
    };
    let (small, default, large) = (within(32 << 10), within(512 << 10), within(8 << 20));
    let outcomes = |depth: u32| [&small, &default, &large].map(|function| call(function, json!([depth])).ok());
    let ok = |depth: u32| Some(json!(depth));
    assert_eq!(outcomes(100), [ok(100), ok(100), ok(100)]);
    assert_eq!(outcomes(5_000), [None, ok(5_000), ok(5_000)]);
    assert_eq!(outcomes(50_000), [None, None, ok(50_000)]);
    let error = call(&small, json!([5_000])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.message().contains("`limits.max_stack_bytes` allows (32768 bytes)"), "{error}");
    // Endless recursion ends the call and nothing else, also where host functions need stack as well.
    assert!(call(&large, json!([-1])).unwrap_err().message().contains("`limits.max_stack_bytes`"));
    assert_eq!(call(&small, json!([1])).unwrap(), json!(1));
}

/// Returns so many bytes, or so many strings of four bytes.
const RETURNS: &str = r#"(module
  (memory (export "memory") 200)
  (func (export "bytes") (param i32) (result i32)
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (local.get 0))
    (i32.const 0)))"#;

#[test]
fn a_result_beyond_its_size_fails_the_call() {
    let spec = with_wit(text(RETURNS, "bytes"), "bytes: func(n: u32) -> list<u8>;");
    let within = |bytes| prepare_within(&spec, Limits { max_result_bytes: bytes, ..Limits::default() });
    // A list takes eight bytes for its place and length, and those of its items.
    assert_eq!(call(&within(100), json!([92])).unwrap().as_array().unwrap().len(), 92);
    let error = call(&within(100), json!([93])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(
        error.message(),
        "the result of `app:f` has 101 bytes, and `limits.max_result_bytes` allows 100; raise it, or return less"
    );
    // Far beyond, it is not even copied.
    let error = call(&within(100), json!([10_000_000])).unwrap_err();
    assert!(error.message().contains("more than `limits.max_result_bytes` allows (100 bytes)"), "{error}");
    assert!(call(&within(8 << 20), json!([(8 << 20) - 8])).is_ok());
}

#[test]
fn a_trap_has_plain_words_and_a_backtrace() {
    let source = r#"(module $guest
      (func $inner (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0)))
      (func $outer (export "divide") (param i32) (result i32) (call $inner (local.get 0)))
      (func (export "panic") unreachable)
      (func (export "convert") (param f32) (result i32) (i32.trunc_f32_s (local.get 0)))
      (memory 1)
      (func (export "load") (result i32) (i32.load (i32.const -1)))
      (table 1 funcref)
      (func (export "indirect") (call_indirect (i32.const 0))))"#;
    let error = |method, args| call(&prepare(&text(source, method)), args).unwrap_err();
    let division = error("divide", json!([0]));
    assert_eq!(division.kind(), ErrorKind::Internal);
    assert_eq!(division.message(), "`app:f`: the guest trapped: integer division by zero");
    let backtrace = division.backtrace().unwrap();
    let lines: Vec<_> = backtrace.lines().collect();
    assert!(lines[0].contains("guest!inner") && lines[1].contains("guest!outer"), "{backtrace}");
    for (method, args, expected) in [
        ("panic", json!([]), "(`unreachable`)"),
        ("convert", json!(["NaN"]), "a float that no integer can hold"),
        ("load", json!([]), "memory access out of bounds"),
        ("indirect", json!([]), "an indirect call to a function that is not there"),
    ] {
        assert!(error(method, args).message().contains(expected), "{method}");
    }
    assert_eq!(call(&prepare(&text(source, "divide")), json!([1])).unwrap(), json!(1));
}

#[test]
fn an_instance_whose_call_failed_is_not_used_again() {
    let source =
        r#"(module (func (export "divide") (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0))))"#;
    let prepared = prepare(&text(source, "divide"));
    block_on(async {
        let mut instance = prepared.function.make().await.unwrap();
        assert!(run(&prepared, &mut instance, json!([0])).await.is_err());
        let error = run(&prepared, &mut instance, json!([1])).await.unwrap_err();
        assert!(error.message().contains("whose last call failed"), "{error}");
    });
}

#[test]
fn a_trap_while_an_instance_is_made_is_told() {
    let source = r#"(module (func $start unreachable) (start $start) (func (export "f")))"#;
    let error = block_on(async { prepare(&text(source, "f")).function.make().await.err().unwrap() });
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.message().contains("(`unreachable`)"), "{error}");
}

const ENDLESS: &str = r#"(module
  (global $calls (mut i32) (i32.const 0))
  (func $start (global.set $calls (i32.const 0)))
  (start $start)
  (func (export "spin") (loop $again (br $again)))
  (func (export "count") (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1))) (global.get $calls)))"#;

/// Runs a test that may never return, because a guest that does not yield blocks its thread for ever.
fn within_a_minute(test: impl FnOnce() + Send + 'static) {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        test();
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(60)).expect("a guest did not yield, or its thread has panicked");
}

/// Long enough for a clock that takes the runtime to be idle to stop.
const LONG: Duration = Duration::from_millis(200);

#[test]
fn an_endless_guest_yields_so_that_dropping_its_call_ends_it() {
    within_a_minute(|| {
        let prepared = prepare(&text(ENDLESS, "spin"));
        block_on(async {
            // Twice, because the deadline of an epoch is absolute: an old one would never be met again.
            for _ in 0..2 {
                let mut instance = prepared.function.make().await.unwrap();
                assert!(tokio::time::timeout(LONG, run(&prepared, &mut instance, json!([]))).await.is_err());
            }
        });
    });
}

#[test]
fn a_short_call_does_not_yield_however_old_its_instance_is() {
    within_a_minute(|| {
        let engine = engine();
        let prepare = |method| engine.prepare(&id(), &text(ENDLESS, method), &Limits::default()).unwrap();
        let (spin, count) = (prepare("spin"), prepare("count"));
        block_on(async {
            let mut old = count.function.make().await.unwrap();
            // An epoch may begin in the midst of one of these, and cannot in the midst of all.
            let (mut calls_at_once, mut fresh_at_once) = (0, 0);
            for _ in 0..10 {
                let mut spinning = spin.function.make().await.unwrap();
                let epochs = Duration::from_millis(5);
                assert!(tokio::time::timeout(epochs, run(&spin, &mut spinning, json!([]))).await.is_err());
                calls_at_once += ready_at_once(run(&count, &mut old, json!([]))).await;
                fresh_at_once += ready_at_once(count.function.make()).await;
            }
            assert!(calls_at_once > 0 && fresh_at_once > 0, "{calls_at_once} calls, {fresh_at_once} instances");
        });
    });
}

/// 1 when a future has its end the first time that it is polled, else 0. Runs it to its end.
async fn ready_at_once<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> u32 {
    let mut future = Box::pin(future);
    match futures::poll!(&mut future) {
        Poll::Ready(outcome) => drop(outcome.unwrap()),
        Poll::Pending => {
            future.await.unwrap();
            return 0;
        }
    }
    1
}

#[test]
fn a_guest_that_never_starts_up_yields_as_well() {
    let source = r#"(module (func $start (loop $again (br $again))) (start $start) (func (export "f")))"#;
    within_a_minute(move || {
        let prepared = prepare(&text(source, "f"));
        block_on(async {
            assert!(tokio::time::timeout(LONG, prepared.function.make()).await.is_err());
        });
    });
}

#[test]
fn an_instance_serves_calls_in_turn_and_a_fresh_one_knows_nothing_of_them() {
    let prepared = prepare(&text(ENDLESS, "count"));
    block_on(async {
        let mut instance = prepared.function.make().await.unwrap();
        for expected in 1..=3 {
            assert_eq!(run(&prepared, &mut instance, json!([])).await.unwrap(), json!(expected));
        }
        let mut fresh = prepared.function.make().await.unwrap();
        assert_eq!(run(&prepared, &mut fresh, json!([])).await.unwrap(), json!(1));
    });
}

#[test]
fn an_instance_waits_for_a_place_and_gives_it_back() {
    let engine = engine();
    let prepared = engine.prepare(&id(), &text(ENDLESS, "count"), &Limits::default()).unwrap();
    let small_stack = Limits { max_stack_bytes: 64 << 10, ..Limits::default() };
    let other = engine.prepare(&id(), &text(ENDLESS, "count"), &small_stack).unwrap();
    block_on(async {
        let mut live = Vec::new();
        for _ in 0..engine.instances_max() {
            let place = prepared.function.reserve().await.unwrap();
            live.push((prepared.function.make().await.unwrap(), place));
        }
        assert_eq!(engine.instances_available(), 0);
        // All functions share the places, those with a stack of another size too.
        let mut waiting = other.function.reserve();
        assert!(futures::poll!(&mut waiting).is_pending());
        live.pop();
        assert!(waiting.await.is_ok());
        assert_eq!(engine.instances_available(), 1);
    });
}

#[test]
fn whoever_has_a_place_finds_room_however_many_end_and_begin() {
    let engine = engine();
    // More than a slot of the pool keeps: what is left of an instance is cleared some time after it has ended.
    let source = r#"(module (memory 8) (func (export "touch") (i32.store (i32.const 500000) (i32.const 1))))"#;
    let prepared = engine.prepare(&id(), &text(source, "touch"), &Limits::default()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..engine.instances_max() {
            scope.spawn(|| {
                block_on(async {
                    for _ in 0..500 {
                        let place = prepared.function.reserve().await.unwrap();
                        let mut instance = prepared.function.make().await.unwrap();
                        run(&prepared, &mut instance, json!([])).await.unwrap();
                        drop((instance, place));
                    }
                });
            });
        }
    });
}

#[test]
fn a_component_counts_by_its_memories() {
    let memories = |count: usize| {
        let memory = "(core instance (instantiate $m))".repeat(count);
        format!(
            r#"(component (core module $m (memory 1)) {memory}
              (core module $f (func (export "f"))) (core instance $i (instantiate $f))
              (func (export "f") (canon lift (core func $i "f"))))"#
        )
    };
    let engine = engine();
    let prepared = engine.prepare(&id(), &text(&memories(4), "f"), &Limits::default()).unwrap();
    block_on(async {
        let available = engine.instances_available();
        let places = [prepared.function.reserve().await.unwrap(), prepared.function.reserve().await.unwrap()];
        assert_eq!(engine.instances_available(), available - 8);
        // The pool has room for as many as there are places.
        let instances = [prepared.function.make().await.unwrap(), prepared.function.make().await.unwrap()];
        assert_eq!(instances[1].memory_bytes(), 4 * PAGE);
        drop(places);
        assert_eq!(engine.instances_available(), available);
    });
    let errors = engine.prepare(&id(), &text(&memories(9), "f"), &Limits::default()).unwrap_err();
    assert!(errors[0].message.contains("takes the room of 9, and `instances_max` allows 8"), "{errors:?}");
}

/// Runs itself again with little address space: no pool fits into it, and no memory that reserves 4 GiB.
#[cfg(target_os = "linux")]
#[test]
fn functions_run_where_address_space_is_short() {
    let tests = [
        "wasm::limits::memories_are_bounded_together",
        "wasm::limits::a_trap_has_plain_words_and_a_backtrace",
        "wasm::limits::a_guest_beyond_its_memory_sees_a_failed_grow",
        "wasm::calls::a_wrapped_module_takes_and_returns_strings_and_lists",
    ];
    let output = std::process::Command::new("sh")
        .args(["-c", r#"ulimit -v 3000000 && exec "$0" --exact "$@""#])
        .arg(std::env::current_exe().unwrap())
        .args(tests)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("4 passed"), "{text}");
}
