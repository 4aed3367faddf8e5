//! The four pools in simulated time: properties that hold after every event, and how the adaptive pool settles.

mod steps;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::{Command, Event, Load, Pool, WorkerId, bounds};
use crate::spec::Sizing;

/// What a simulated call needs before it is done.
#[derive(Debug, Clone, Copy)]
struct Work {
    cpu: Duration,
    sleep: Duration,
}

/// A pool, its workers and its calls, in time of its own.
struct World {
    pool: Pool,
    threads: usize,
    now: Instant,
    starting: BTreeSet<WorkerId>,
    idle: BTreeSet<WorkerId>,
    running: BTreeMap<WorkerId, (u64, Work)>,
    waiting: BTreeMap<u64, Work>,
    last_call: u64,
    ran: u64,
    answered: u64,
    failed: u64,
    left: u64,
    load: Load,
    /// What the guests did from the start.
    spent: Load,
    workers_max: usize,
    sizing: Sizing,
}

impl World {
    fn new(sizing: Sizing, threads: usize) -> Self {
        let mut world = Self {
            pool: Pool::new(bounds(sizing, threads)),
            threads,
            now: Instant::now(),
            starting: BTreeSet::new(),
            idle: BTreeSet::new(),
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            last_call: 0,
            ran: 0,
            answered: 0,
            failed: 0,
            left: 0,
            load: Load::default(),
            spent: Load::default(),
            workers_max: 0,
            sizing,
        };
        world.tell(Event::Start);
        world
    }

    fn workers(&self) -> usize {
        self.starting.len() + self.idle.len() + self.running.len()
    }

    fn tell(&mut self, event: Event) {
        let mut commands = Vec::new();
        self.pool.on(self.now, event, &mut commands);
        for command in commands {
            match command {
                Command::Spawn { worker, .. } => assert!(self.starting.insert(worker), "{worker:?} was spawned twice"),
                Command::Retire(worker) => assert!(self.idle.remove(&worker), "{worker:?} was retired but not idle"),
                Command::Run(worker) => {
                    let (call, work) = self.waiting.pop_first().expect("no call waits");
                    assert!(self.idle.remove(&worker), "{worker:?} was not idle");
                    self.ran += 1;
                    self.running.insert(worker, (call, work));
                }
                Command::FailAll => self.failed += std::mem::take(&mut self.waiting).len() as u64,
            }
        }
        self.workers_max = self.workers_max.max(self.workers());
        assert!(self.workers() <= self.sizing.workers_max(), "more workers than the pool may have");
        assert!(self.idle.is_empty() || self.waiting.is_empty(), "a worker idles while a call waits");
        assert_eq!(self.pool.waiting(), self.waiting.len());
        assert_eq!(self.pool.census(), [self.starting.len(), self.idle.len(), self.running.len()]);
    }

    fn arrive(&mut self, work: Work) {
        self.last_call += 1;
        self.waiting.insert(self.last_call, work);
        let near = self.idle.first().copied();
        self.tell(Event::Arrived { near });
        if let Some(near) = near {
            assert!(!self.idle.contains(&near), "the call was to run on {near:?}");
        }
    }

    fn up(&mut self, worker: WorkerId) {
        self.starting.remove(&worker);
        self.idle.insert(worker);
        self.tell(Event::Up(worker));
    }

    fn finish(&mut self, worker: WorkerId) {
        self.running.remove(&worker);
        self.answered += 1;
        self.idle.insert(worker);
        self.tell(Event::Idle(worker));
    }

    /// Lets time pass in small steps.
    fn pass(&mut self, time: Duration) {
        self.pass_by(time, Duration::from_micros(500));
    }

    /// Lets time pass. Running calls share the threads; sleeping ones need none.
    fn pass_by(&mut self, time: Duration, step: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += step;
            for worker in self.starting.clone() {
                self.up(worker);
            }
            let computing = self.running.values().filter(|(_, work)| work.sleep.is_zero()).count();
            let share = (self.threads as f64 / computing.max(1) as f64).min(1.0);
            let mut done = Vec::new();
            for (worker, (_, work)) in &mut self.running {
                if work.sleep.is_zero() {
                    let used = step.mul_f64(share);
                    self.load.cpu += used;
                    self.spent.cpu += used;
                    work.cpu = work.cpu.saturating_sub(used);
                } else {
                    self.load.asleep += step;
                    self.spent.asleep += step;
                    work.sleep = work.sleep.saturating_sub(step);
                }
                if work.cpu.is_zero() && work.sleep.is_zero() {
                    done.push(*worker);
                }
            }
            for worker in done {
                self.finish(worker);
            }
            if self.pool.wake_at().is_some_and(|at| at <= self.now) {
                let load = std::mem::take(&mut self.load);
                self.tell(Event::Tick(load));
            }
        }
    }
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

const COMPUTE: Work = Work { cpu: millis(5), sleep: Duration::ZERO };
const SLEEP: Work = Work { cpu: Duration::ZERO, sleep: millis(200) };

fn adaptive(max_size: usize, warm_start: bool) -> Sizing {
    Sizing::Adaptive { max_size, warm_start, idle_timeout: millis(1_000) }
}

/// Keeps `callers` calls in the pool for a while, each caller calling again when it has its answer.
fn load(world: &mut World, callers: usize, work: Work, time: Duration) {
    let end = world.now + time;
    while world.now < end {
        while world.waiting.len() + world.running.len() < callers {
            world.arrive(work);
        }
        world.pass(millis(1));
    }
}

#[test]
fn computing_calls_on_two_cores_settle_an_adaptive_pool_at_four_workers_or_fewer() {
    let mut world = World::new(adaptive(100, false), 2);
    load(&mut world, 100, COMPUTE, millis(3_000));
    assert!((2..=4).contains(&world.workers()), "{} workers", world.workers());
    assert!(world.workers_max <= 4, "{} workers at most", world.workers_max);
    // Two cores do one call of 5 ms each 2.5 ms, and the pool keeps them busy.
    assert!(world.answered >= 1_100, "{} calls answered", world.answered);
}

#[test]
fn a_hundred_sleepers_have_a_hundred_workers() {
    let mut world = World::new(adaptive(100, false), 2);
    load(&mut world, 100, SLEEP, millis(1_000));
    assert_eq!(world.workers(), 100);
}

#[test]
fn an_adaptive_pool_follows_a_change_of_load_both_ways() {
    let mut world = World::new(adaptive(100, true), 2);
    load(&mut world, 50, SLEEP, millis(1_000));
    assert!(world.workers() >= 50, "{} workers for 50 sleepers", world.workers());
    load(&mut world, 200, COMPUTE, millis(2_000));
    assert!(world.workers() <= 4, "{} workers for computing calls", world.workers());
    load(&mut world, 80, SLEEP, millis(1_500));
    assert!(world.workers() >= 80, "{} workers for 80 sleepers", world.workers());
    world.pass(millis(5_000));
    assert_eq!(world.workers(), 1, "only the warm worker stays when nothing comes");
}

#[test]
fn half_sleeping_calls_have_the_workers_that_keep_the_cores_busy() {
    // 5 ms of work for each 15 ms asleep on 2 cores: 2 × (1 + 3) = 8 workers, and one more.
    let mut world = World::new(adaptive(100, false), 2);
    load(&mut world, 100, Work { cpu: millis(5), sleep: millis(15) }, millis(3_000));
    assert!((7..=12).contains(&world.workers()), "{} workers", world.workers());
}

#[test]
fn a_lazy_pool_starts_with_nothing_and_gives_idle_workers_up() {
    let mut world = World::new(Sizing::Lazy { max_size: 8, idle_timeout: millis(100) }, 2);
    assert_eq!(world.workers(), 0);
    for _ in 0..20 {
        world.arrive(COMPUTE);
    }
    assert_eq!(world.workers(), 8);
    world.pass(millis(90));
    assert_eq!((world.workers(), world.answered), (8, 20));
    world.pass(millis(200));
    assert_eq!(world.workers(), 0);
}

#[test]
fn a_static_pool_has_all_its_workers_always() {
    let mut world = World::new(Sizing::Static { workers: 3, size: 5 }, 2);
    assert_eq!(world.workers(), 3);
    world.pass_by(millis(100_000), millis(10));
    assert_eq!(world.workers(), 3);
    let worker = *world.idle.first().expect("an idle worker");
    world.idle.remove(&worker);
    world.tell(Event::Down(worker));
    assert_eq!(world.workers(), 3, "a worker that dies is replaced");
}

#[test]
fn a_warm_adaptive_pool_starts_with_one_worker_and_a_cold_one_with_none() {
    assert_eq!(World::new(adaptive(16, true), 2).workers(), 1);
    assert_eq!(World::new(adaptive(16, false), 2).workers(), 0);
}

#[test]
fn a_function_whose_instances_cannot_be_made_fails_fast_and_is_probed_with_backoff() {
    let mut world = World::new(Sizing::Lazy { max_size: 4, idle_timeout: millis(1_000) }, 2);
    let fail_start = |world: &mut World| {
        let worker = *world.starting.first().expect("a worker that starts");
        world.starting.remove(&worker);
        world.tell(Event::CannotStart(worker));
    };
    world.arrive(COMPUTE);
    fail_start(&mut world);
    assert_eq!(world.failed, 1, "the call that waited has failed");
    assert_eq!(world.pool.degraded(world.now), Some(Pool::BACKOFF_MIN));
    world.arrive(COMPUTE);
    assert_eq!((world.failed, world.workers()), (2, 0), "the next one fails at once");
    let mut expected = Pool::BACKOFF_MIN;
    for _ in 0..10 {
        let at = world.pool.wake_at().expect("a probe is due");
        assert_eq!(at - world.now, expected);
        world.now = at;
        world.tell(Event::Tick(Load::default()));
        assert_eq!(world.workers(), 1, "one worker probes");
        fail_start(&mut world);
        expected = (expected * 2).min(Pool::BACKOFF_MAX);
    }
    world.now = world.pool.wake_at().expect("a probe is due");
    world.tell(Event::Tick(Load::default()));
    let worker = *world.starting.first().expect("the probe");
    world.up(worker);
    assert_eq!(world.pool.degraded(world.now), None);
    world.arrive(COMPUTE);
    assert_eq!((world.ran, world.failed), (1, 2), "calls run again");
}

#[test]
fn one_instance_that_fails_among_others_that_work_degrades_nothing() {
    let mut world = World::new(Sizing::Static { workers: 2, size: 2 }, 2);
    let workers: Vec<_> = world.starting.iter().copied().collect();
    world.up(workers[0]);
    world.starting.remove(&workers[1]);
    world.tell(Event::CannotStart(workers[1]));
    assert_eq!(world.pool.degraded(world.now), None);
    world.arrive(COMPUTE);
    assert_eq!((world.ran, world.failed), (1, 0));
}

/// One thing that happens to a pool, with a number that picks to whom.
#[derive(Debug, Clone, Copy)]
enum Step {
    Arrive,
    Up(usize),
    CannotStart(usize),
    Finish(usize),
    Kill(usize),
    Leave(usize),
    Spare,
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Arrive),
        3 => any::<usize>().prop_map(Step::Up),
        1 => any::<usize>().prop_map(Step::CannotStart),
        3 => any::<usize>().prop_map(Step::Finish),
        1 => any::<usize>().prop_map(Step::Kill),
        1 => any::<usize>().prop_map(Step::Leave),
        1 => Just(Step::Spare),
        1 => any::<u16>().prop_map(Step::Wait),
    ]
}

fn sizing() -> impl Strategy<Value = Sizing> {
    let idle_timeout = millis(500);
    prop_oneof![
        Just(Sizing::Inline),
        (1usize..6).prop_map(move |max_size| Sizing::Lazy { max_size, idle_timeout }),
        (1usize..6, 0usize..3).prop_map(|(workers, more)| Sizing::Static { workers, size: workers + more }),
        (1usize..6, any::<bool>()).prop_map(move |(max_size, warm_start)| Sizing::Adaptive {
            max_size,
            warm_start,
            idle_timeout
        }),
    ]
}

fn pick<T: Copy + Ord>(from: impl IntoIterator<Item = T>, number: usize) -> Option<T> {
    let items: Vec<T> = from.into_iter().collect();
    items.get(number.checked_rem(items.len())?).copied()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// `World::tell` asserts the rest after each event: workers within bounds, no idle worker beside a waiting call,
    /// each call run or failed at most once.
    #[test]
    fn every_accepted_call_is_answered_exactly_once(sizing in sizing(), steps in prop::collection::vec(step(), 0..200)) {
        let mut world = World::new(sizing, 2);
        for step in steps {
            match step {
                Step::Arrive => world.arrive(COMPUTE),
                Step::Up(n) => if let Some(worker) = pick(world.starting.clone(), n) { world.up(worker) },
                Step::CannotStart(n) => if let Some(worker) = pick(world.starting.clone(), n) {
                    world.starting.remove(&worker);
                    world.tell(Event::CannotStart(worker));
                },
                Step::Finish(n) => if let Some(worker) = pick(world.running.keys().copied(), n) { world.finish(worker) },
                Step::Kill(n) => {
                    let all = world.running.keys().chain(&world.idle).chain(&world.starting).copied();
                    if let Some(worker) = pick(all, n) {
                        world.answered += u64::from(world.running.remove(&worker).is_some());
                        world.idle.remove(&worker);
                        world.starting.remove(&worker);
                        world.tell(Event::Down(worker));
                    }
                }
                Step::Leave(n) => if let Some(call) = pick(world.waiting.keys().copied(), n) {
                    world.waiting.remove(&call);
                    world.left += 1;
                    world.tell(Event::Left);
                },
                Step::Spare => world.tell(Event::Spare),
                Step::Wait(ms) => {
                    world.now += millis(u64::from(ms));
                    let load = Load { cpu: millis(u64::from(ms) % 7), asleep: millis(u64::from(ms) % 11) };
                    if world.pool.wake_at().is_some_and(|at| at <= world.now) {
                        world.tell(Event::Tick(load));
                    }
                }
            }
        }
        // From here on everything works, so everything that waits or runs is answered.
        world.pass_by(millis(60_000), millis(10));
        prop_assert_eq!(world.waiting.len() + world.running.len(), 0);
        prop_assert_eq!(world.answered + world.failed + world.left, world.last_call);
        prop_assert_eq!(world.pool.degraded(world.now), None, "probes healed the function");
    }
}
