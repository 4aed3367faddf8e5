//! The adaptive pool under load that steps up and down: soon after each step it is about as good as the best static pool
//! for that load, and not much larger.

use std::time::Duration;

use super::{COMPUTE, Work, World, millis};
use crate::spec::Sizing;

/// Callers, one step after another.
const STEPS: [usize; 4] = [1, 50, 5, 200];
/// How soon after a step the pool has to have followed.
const SOON: Duration = millis(2_000);
/// How long throughput is measured, before and after.
const MEASURED: Duration = millis(1_000);
/// Sizes of static pools that are tried.
const SIZES: [usize; 16] = [1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 200];

/// Keeps `callers` calls in the pool for a while, whose work comes in turns. Returns what the guests did: how long they
/// computed, or slept, if they do nothing else. Answers are too few to be compared, because they come in crowds.
fn load(world: &mut World, callers: usize, guests: &[Work], time: Duration) -> Duration {
    let (end, before) = (world.now + time, world.spent);
    while world.now < end {
        while world.waiting.len() + world.running.len() < callers {
            let call = world.last_call as usize;
            let Work { cpu, sleep } = guests[call % guests.len()];
            // Half as long or half as long again, so that calls do not march in step.
            let part = 0.5 + ((call * 7919) % 1009) as f64 / 1009.0;
            world.arrive(Work { cpu: cpu.mul_f64(part), sleep: sleep.mul_f64(part) });
        }
        world.pass_by(millis(1), millis(1));
    }
    let computes = guests.iter().any(|work| !work.cpu.is_zero());
    if computes { world.spent.cpu - before.cpu } else { world.spent.asleep - before.asleep }
}

/// The smallest static pool that loses no more than a fiftieth of the best throughput, and its throughput.
fn best(threads: usize, callers: usize, guests: &[Work]) -> (usize, Duration) {
    let of = |workers: usize| {
        let mut world = World::new(Sizing::Static { workers, size: workers }, threads);
        load(&mut world, callers, guests, millis(300));
        (workers, load(&mut world, callers, guests, MEASURED))
    };
    // More workers than callers change nothing.
    let enough = SIZES.iter().position(|size| *size >= callers).map_or(SIZES.len(), |last| last + 1);
    let all: Vec<_> = SIZES[..enough].iter().map(|size| of(*size)).collect();
    let most = all.iter().map(|(_, done)| *done).max().unwrap_or_default();
    all.into_iter().find(|(_, done)| *done * 50 >= most * 49).expect("one of them is the best")
}

fn follows_each_step(threads: usize, guests: &[Work]) {
    // Too long a timeout to shrink by.
    let sizing = Sizing::Adaptive { max_size: 200, warm_start: false, idle_timeout: millis(30_000) };
    let mut world = World::new(sizing, threads);
    for callers in STEPS {
        let (size, expected) = best(threads, callers, guests);
        load(&mut world, callers, guests, SOON);
        world.workers_max = world.workers();
        let done = load(&mut world, callers, guests, MEASURED);
        let about = format!("{callers} callers on {threads} threads, best static size {size}");
        assert!(done * 10 >= expected * 9, "{about}: {done:?} of work and not {expected:?}");
        // On one thread, one more is twice as many.
        assert!(world.workers_max <= (size * 3 / 2).max(size + 1), "{about}: {} workers", world.workers_max);
    }
}

const SLEEP: Work = Work { cpu: Duration::ZERO, sleep: millis(20) };

#[test]
fn calls_that_compute_have_the_throughput_of_the_best_static_pool_soon_after_each_step() {
    for threads in [1, 2, 4] {
        follows_each_step(threads, &[COMPUTE]);
    }
}

#[test]
fn calls_that_sleep_have_the_throughput_of_the_best_static_pool_soon_after_each_step() {
    for threads in [1, 2, 4] {
        follows_each_step(threads, &[SLEEP]);
    }
}

#[test]
fn calls_that_do_some_of_both_have_the_throughput_of_the_best_static_pool_soon_after_each_step() {
    let both = Work { cpu: millis(5), sleep: millis(15) };
    for threads in [1, 2, 4] {
        follows_each_step(threads, &[both]);
    }
}

#[test]
fn sleepers_among_calls_that_compute_have_the_throughput_of_the_best_static_pool_soon_after_each_step() {
    for threads in [1, 2, 4] {
        follows_each_step(threads, &[COMPUTE, SLEEP]);
    }
}
