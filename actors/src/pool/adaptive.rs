//! `adaptive`: as many workers as waiting calls would gain from, and no more than were busy lately.
//!
//! How far it grows follows Goetz's rule for thread pools (*Java Concurrency in Practice*, 2006, section 8.2): with `n`
//! processors and calls that wait `w` for each `c` they compute, `n × (1 + w/c)` workers keep the processors busy if calls
//! take turns in perfect order. They do not, so there are as many more as the number of sleepers varies by: the root of it,
//! `√(n × w/c)`, as in square-root staffing (Halfin and Whitt, *Heavy-Traffic Limits for Queues with Many Exponential
//! Servers*, 1981). One more covers the gaps between calls. Calls that only compute settle at `n + 1`; calls that only
//! sleep go up to `max_size`. Both times are measured, so that the pool follows when the guests change.
//!
//! How far it shrinks follows from how many workers ran at once in the last second: a quarter more are kept. When nothing
//! is called at all, that says nothing, and workers go by `idle_timeout` alone.

use std::time::Duration;

use super::{Bounds, Load, Sample};

pub(super) struct Adaptive {
    max_size: usize,
    warm: usize,
    idle_timeout: Duration,
    threads: usize,
    ceiling: usize,
    /// What guests did lately, in seconds on a processor and asleep.
    cpu: f64,
    asleep: f64,
    busy: Recent,
}

/// The most workers that ran at once lately: in the span that goes on, and in the one before.
#[derive(Default)]
struct Recent {
    this: usize,
    last: usize,
    age: Duration,
}

impl Recent {
    /// Half of how long a maximum is remembered, at least.
    const SPAN: Duration = Duration::from_millis(500);

    fn add(&mut self, busy: usize, elapsed: Duration) {
        self.this = self.this.max(busy);
        self.age += elapsed;
        if self.age >= Self::SPAN {
            *self = Self { this: 0, last: self.this, age: Duration::ZERO };
        }
    }

    fn max(&self) -> usize {
        self.this.max(self.last)
    }
}

impl Adaptive {
    /// How often the load is sampled while calls wait: growing is urgent.
    const SAMPLE_EVERY: Duration = Duration::from_millis(10);
    /// How often while calls run and none waits: shrinking is not.
    const LOOK_EVERY: Duration = Duration::from_millis(100);
    /// How soon what guests did counts half.
    const HALF_LIFE: Duration = Duration::from_millis(100);
    /// A sample with less guest time than this says too little.
    const SAMPLE_MIN: Duration = Duration::from_micros(200);

    pub(super) fn new(max_size: usize, warm_start: bool, idle_timeout: Duration, threads: usize) -> Self {
        let threads = threads.max(1);
        let ceiling = (threads + 1).min(max_size);
        Self {
            max_size,
            warm: usize::from(warm_start),
            idle_timeout,
            threads,
            ceiling,
            cpu: 0.0,
            asleep: 0.0,
            busy: Recent::default(),
        }
    }

    /// One sample has too few turns of guests to tell how they share their time, so older ones count, too, but ever less.
    fn add(&mut self, load: Load, elapsed: Duration) {
        let old = 0.5_f64.powf(elapsed.as_secs_f64() / Self::HALF_LIFE.as_secs_f64());
        self.cpu = self.cpu * old + load.cpu.as_secs_f64();
        self.asleep = self.asleep * old + load.asleep.as_secs_f64();
    }

    fn wanted(&self) -> usize {
        let sleepers = self.threads as f64 * self.asleep / self.cpu.max(1e-9);
        // Rounded, because calls that compute sleep a little, too. Casting saturates: all sleep and no work is "as many
        // as there may be".
        let wanted = (self.threads as f64 + sleepers + sleepers.sqrt()).round() as usize;
        wanted.saturating_add(1).min(self.max_size)
    }
}

impl Bounds for Adaptive {
    fn floor(&self) -> usize {
        self.warm
    }

    fn ceiling(&self) -> usize {
        self.ceiling
    }

    fn enough(&self, busy: usize) -> usize {
        let most = self.busy.max().max(busy).max(1);
        most + most / 4
    }

    fn idle_timeout(&self) -> Option<Duration> {
        Some(self.idle_timeout)
    }

    fn sample_every(&self, waiting: bool) -> Option<Duration> {
        Some(if waiting { Self::SAMPLE_EVERY } else { Self::LOOK_EVERY })
    }

    fn sampled(&mut self, Sample { load, busy, elapsed }: Sample) {
        self.busy.add(busy, elapsed);
        if load.cpu + load.asleep < Self::SAMPLE_MIN {
            return;
        }
        self.add(load, elapsed);
        let wanted = self.wanted();
        // At most a doubling up and a quarter down per sample: one odd sample moves little, a real change is followed
        // within a few.
        self.ceiling = if wanted > self.ceiling {
            wanted.min(self.ceiling * 2)
        } else {
            wanted.max(self.ceiling - self.ceiling.div_ceil(4))
        }
        .max(1);
    }
}
