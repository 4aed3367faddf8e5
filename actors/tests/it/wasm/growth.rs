//! Guests that grow their memory have room for it from the start, and cannot tell: sizes, refusals and what is in the
//! memory are as in a component that is left alone.

use greenroom_actors::{
    executor::Executor,
    spec::Limits,
    wasm::{Engine, EngineOptions, Prepared},
};
use serde_json::{Value, json};

use super::fixture::*;

const PAGE: u64 = 64 << 10;

/// Pages that a memory has ready beyond what its module declares.
const HEADROOM: u64 = 16;

/// Grows by what it is told, and gives what that gave, the size afterwards, and the last byte of the memory, which it
/// then fills.
const STEP: &str = r#"
  (func (export "step") (param $pages i32) (result i64) (local $was i32) (local $last i32)
    (local.set $was (memory.grow (local.get $pages)))
    (if (i32.eqz (memory.size)) (then (return (i64.extend_i32_u (local.get $was)))))
    (local.set $last (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1)))
    (i64.or
      (i64.shl (i64.extend_i32_s (local.get $was)) (i64.const 32))
      (i64.or (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 8))
              (i64.load8_u (local.get $last))))
    (i32.store8 (local.get $last) (i32.const 7)))"#;

/// A component of a module with this memory, beside others.
fn component(memory: &str, others: &str) -> String {
    format!(
        r#"(component (core module $m (memory {memory}) {STEP}) {others} (core instance $i (instantiate $m))
             (func (export "step") (param "pages" u32) (result s64) (canon lift (core func $i "step"))))"#
    )
}

/// A second memory, of nothing: with it, a component is left alone.
const BESIDE: &str = "(core module $n (memory 0)) (core instance (instantiate $n))";

fn prepared(engine: &Engine, source: &str, limits: &Limits) -> Prepared {
    engine.prepare(&id(), &text(source, "step"), limits).unwrap()
}

/// What an instance has at first, what each step gives, and what it has at last.
fn steps(prepared: &Prepared, steps: &[u32]) -> (u64, Vec<Value>, u64) {
    block_on(async {
        let mut instance = prepared.function.make().await.unwrap();
        let first = instance.memory_bytes();
        let mut given = Vec::new();
        for pages in steps {
            given.push(run(prepared, &mut instance, json!([pages])).await.unwrap());
        }
        (first, given, instance.memory_bytes())
    })
}

fn within(pages: u64) -> Limits {
    Limits { max_memory_bytes: pages * PAGE + 100, ..Limits::default() }
}

/// Runs the steps in a component with room and in one that is left alone; gives the pages that the first has ready.
fn assert_same(engine: &Engine, declared: u64, maximum: &str, limits: &Limits, growth: &[u32]) -> u64 {
    let memory = format!("{declared} {maximum}");
    let roomy = steps(&prepared(engine, &component(&memory, ""), limits), growth);
    let plain = steps(&prepared(engine, &component(&memory, BESIDE), limits), growth);
    assert_eq!(plain.0, declared * PAGE);
    assert_eq!(roomy.1, plain.1, "({memory}) within {} by {growth:?}", limits.max_memory_bytes);
    assert_eq!(roomy.2, roomy.0.max(plain.2), "what it asked for beyond is all that it gets");
    roomy.0 / PAGE - declared
}

#[test]
fn sizes_and_refusals_are_those_that_the_module_declares() {
    let engine = engine();
    let large = u32::MAX;
    for (declared, maximum, limits, growth, ready) in [
        (0, "", Limits::default(), &[0, 1, 0, 2][..], HEADROOM),
        (1, "", Limits::default(), &[1, 15, 1, 0], HEADROOM),
        (1, "", Limits::default(), &[16, 1, 1], HEADROOM),
        (1, "", Limits::default(), &[17, 3], HEADROOM),
        (1, "", Limits::default(), &[8, 9, 100, 0], HEADROOM),
        (17, "", Limits::default(), &[large, large - 16, 65_535, 65_536, 1], HEADROOM),
        (3, "", Limits::default(), &[65_534, large - 2, 4, large - 6, 0], HEADROOM),
        (2, "9", Limits::default(), &[8, 7, 1, 0], 7),
        (2, "40", Limits::default(), &[39, 38, 1], HEADROOM),
        (2, "2", Limits::default(), &[0, 1], 0),
        (2, "", within(2), &[1, 0], 0),
        (2, "", within(5), &[4, 2, 2, 1, 1], 3),
        (2, "", within(30), &[16, 13, 12, 1], HEADROOM),
        (2, "7", within(5), &[4, 3, 1], 3),
        (2, "4", within(5), &[4, 3, 2, 1], 2),
    ] {
        assert_eq!(assert_same(&engine, declared, maximum, &limits, growth), ready, "{declared} {maximum}");
    }
}

#[test]
fn whatever_the_guest_asks_for_and_in_whatever_order_the_answers_are_the_same() {
    let (engine, mut random) = (engine(), fastrand::Rng::with_seed(48));
    for _ in 0..60 {
        let declared = random.u64(0..20);
        let limits = within(declared + random.u64(0..40));
        let maximum = if random.bool() { String::new() } else { (declared + random.u64(0..40)).to_string() };
        let growth: Vec<u32> = (0..12).map(|_| random.u32(0..7)).collect();
        assert_same(&engine, declared, &maximum, &limits, &growth);
    }
}

#[test]
fn an_instance_starts_within_its_limit_however_small_it_is() {
    let engine = engine();
    let source = component("2", "");
    let error = call(&prepared(&engine, &source, &within(1)), json!([0])).unwrap_err();
    assert!(error.message().contains("needs 131072 bytes of memory to start"), "{error}");
    assert_eq!(steps(&prepared(&engine, &source, &within(2)), &[1]).0, 2 * PAGE);
}

#[test]
fn what_lies_beyond_the_memory_with_its_room_traps() {
    let source = r#"(module (memory 1) (func (export "grow") (memory.grow (i32.const 1)) drop)
      (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0))))"#;
    let prepared = prepare(&text(source, "load"));
    assert_eq!(call(&prepared, json!([PAGE - 1])).unwrap(), json!(0));
    let error = call(&prepared, json!([(1 + HEADROOM) * PAGE])).unwrap_err();
    assert!(error.message().contains("memory access out of bounds"), "{error}");
}

#[test]
fn nothing_that_one_call_wrote_into_its_room_is_there_for_the_next() {
    let source = r#"(module (memory 1) (func (export "add") (param i32) (result i32) (local i32)
      (local.set 1 (i32.mul (memory.grow (i32.const 4)) (i32.const 65536)))
      (i32.load (local.get 1)) (i32.store (local.get 1) (local.get 0))))"#;
    let engine = Engine::new(EngineOptions { instances_max: 1, ..EngineOptions::default() }).unwrap();
    let prepared = engine.prepare(&id(), &text(source, "add"), &Limits::default()).unwrap();
    for _ in 0..300 {
        assert_eq!(call(&prepared, json!([7])).unwrap(), json!(0));
    }
}

#[test]
fn functions_of_one_binary_share_code_when_their_limits_leave_the_same_room() {
    let engine = engine();
    let with = |limits: &Limits| prepared(&engine, &component("1", ""), limits);
    let (default, high, low) = (with(&Limits::default()), with(&within(100)), with(&within(3)));
    assert!(default.function.shares_code_with(&high.function));
    assert!(!default.function.shares_code_with(&low.function));
}
