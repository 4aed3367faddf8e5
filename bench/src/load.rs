//! Callers in a closed loop: each has its next call as soon as it has its answer.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use hdrhistogram::Histogram;

use crate::lab::Lab;

/// What part of a round goes by before calls are counted.
const UNCOUNTED_PART: u32 = 5;

const BEFORE: u8 = 0;
const COUNTING: u8 = 1;
const OVER: u8 = 2;

/// The time in which calls are counted, as one caller sees it, and what the caller counted.
pub struct Window {
    phase: Arc<AtomicU8>,
    calls: u64,
    /// In nanoseconds.
    latencies: Option<Histogram<u64>>,
}

/// What callers counted together.
pub struct Counted {
    /// Calls that were answered while calls were counted.
    pub calls: u64,
    /// How long calls were counted.
    pub time: Duration,
    /// How long the calls took, in nanoseconds, if they were timed.
    latencies: Option<Histogram<u64>>,
}

impl Window {
    /// One that is over: what was begun is finished, and nothing is counted.
    pub fn over() -> Self {
        window(&Arc::new(AtomicU8::new(OVER)))
    }

    /// Whether callers go on.
    pub fn is_open(&self) -> bool {
        self.phase.load(Ordering::Relaxed) != OVER
    }

    /// Counts a call that was answered.
    pub fn count(&mut self) {
        self.calls += u64::from(self.phase.load(Ordering::Relaxed) == COUNTING);
    }

    /// Counts a call that was answered and began then.
    pub fn count_since(&mut self, began: Instant) {
        if self.phase.load(Ordering::Relaxed) == COUNTING {
            self.calls += 1;
            let nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            if self.latencies.is_none() {
                self.latencies = histogram();
            }
            if let Some(latencies) = &mut self.latencies {
                latencies.saturating_record(nanos);
            }
        }
    }
}

impl Counted {
    /// Calls a second.
    pub fn per_second(&self) -> f64 {
        self.calls as f64 / self.time.as_secs_f64()
    }

    /// What this part of the calls, 0 to 1, took at most, in seconds.
    ///
    /// # Errors
    /// When no call was timed.
    pub fn latency(&self, part: f64) -> anyhow::Result<f64> {
        let latencies = self.latencies.as_ref().context("no call was answered in time to be counted")?;
        Ok(latencies.value_at_quantile(part) as f64 / 1e9)
    }
}

/// Runs callers as tasks for this long, and adds up what they counted: beside the functions of a runtime, or on the
/// callers' own threads where there is none, or the lab says so.
///
/// # Errors
/// The first error of a caller.
pub fn tasks<C, F>(
    lab: &Lab,
    beside: Option<&greenroom_actors::Runtime>,
    callers: usize,
    time: Duration,
    caller: C,
) -> anyhow::Result<Counted>
where
    C: Fn(Window) -> F,
    F: Future<Output = anyhow::Result<Window>> + Send + 'static,
{
    let phase = Arc::new(AtomicU8::new(BEFORE));
    let beside = beside.filter(|_| !lab.is_apart);
    lab.callers.block_on(async {
        let tasks: Vec<_> = (0..callers)
            .map(|_| caller(window(&phase)))
            .map(|caller| match beside {
                Some(runtime) => runtime.spawn_beside(caller),
                None => tokio::spawn(caller),
            })
            .collect();
        tokio::time::sleep(time / UNCOUNTED_PART).await;
        let counting = Counting::start(&phase);
        tokio::time::sleep(time - time / UNCOUNTED_PART).await;
        let mut counted = counting.end(&phase);
        for task in tasks {
            counted.add(task.await.context("a caller panicked")??);
        }
        Ok(counted)
    })
}

/// Runs callers on plain threads for this long, and adds up what they counted.
///
/// # Errors
/// The first error of a caller.
pub fn threads<C>(callers: &mut [C], time: Duration) -> anyhow::Result<Counted>
where
    C: FnMut(Window) -> anyhow::Result<Window> + Send,
{
    let phase = Arc::new(AtomicU8::new(BEFORE));
    std::thread::scope(|scope| {
        let threads: Vec<_> = callers
            .iter_mut()
            .map(|caller| {
                let window = window(&phase);
                scope.spawn(move || caller(window))
            })
            .collect();
        std::thread::sleep(time / UNCOUNTED_PART);
        let counting = Counting::start(&phase);
        std::thread::sleep(time - time / UNCOUNTED_PART);
        let mut counted = counting.end(&phase);
        for thread in threads {
            counted.add(thread.join().map_err(|_| anyhow::anyhow!("a caller panicked"))??);
        }
        Ok(counted)
    })
}

struct Counting(Instant);

impl Counting {
    fn start(phase: &AtomicU8) -> Self {
        phase.store(COUNTING, Ordering::Relaxed);
        Self(Instant::now())
    }

    fn end(self, phase: &AtomicU8) -> Counted {
        phase.store(OVER, Ordering::Relaxed);
        Counted { calls: 0, time: self.0.elapsed(), latencies: None }
    }
}

impl Counted {
    fn add(&mut self, window: Window) {
        self.calls += window.calls;
        match (&mut self.latencies, window.latencies) {
            (Some(all), Some(more)) => *all += more,
            (all @ None, more) => *all = more,
            (Some(_), None) => {}
        }
    }
}

fn window(phase: &Arc<AtomicU8>) -> Window {
    Window { phase: Arc::clone(phase), calls: 0, latencies: None }
}

/// Up to a minute, within 1 %. Only bounds that contradict each other are refused.
fn histogram() -> Option<Histogram<u64>> {
    Histogram::new_with_max(60_000_000_000, 2).ok()
}
