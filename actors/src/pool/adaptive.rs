//! `adaptive`: as many workers as waiting calls would gain from.
//!
//! The size follows Goetz's rule for thread pools (*Java Concurrency in Practice*, 2006, section 8.2): with `n` processors
//! and calls that wait `w` for each `c` they compute, `n × (1 + w/c)` workers keep the processors busy, and one more covers
//! the gaps between calls. Calls that only compute settle at `n + 1`; calls that only sleep go up to `max_size`.

use std::time::Duration;

use super::{Bounds, Load};

pub(super) struct Adaptive {
    max_size: usize,
    warm: usize,
    idle_timeout: Duration,
    threads: usize,
    ceiling: usize,
}

impl Adaptive {
    /// How often the load is sampled while calls wait.
    const SAMPLE_EVERY: Duration = Duration::from_millis(10);
    /// A sample with less guest time than this says too little.
    const SAMPLE_MIN: Duration = Duration::from_micros(200);

    pub(super) fn new(max_size: usize, warm_start: bool, idle_timeout: Duration, threads: usize) -> Self {
        let threads = threads.max(1);
        let ceiling = (threads + 1).min(max_size);
        Self { max_size, warm: usize::from(warm_start), idle_timeout, threads, ceiling }
    }

    fn wanted(&self, load: Load) -> usize {
        let (cpu, asleep) = (load.cpu.as_secs_f64(), load.asleep.as_secs_f64());
        // Casting saturates: all sleep and no work is "as many as there may be".
        let wanted = (self.threads as f64 * (1.0 + asleep / cpu.max(1e-9))).ceil() as usize;
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

    fn idle_timeout(&self) -> Option<Duration> {
        Some(self.idle_timeout)
    }

    fn sample_every(&self) -> Option<Duration> {
        Some(Self::SAMPLE_EVERY)
    }

    fn sampled(&mut self, load: Load) {
        if load.cpu + load.asleep < Self::SAMPLE_MIN {
            return;
        }
        let wanted = self.wanted(load);
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
