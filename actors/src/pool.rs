//! How a pool behaves: a plain state machine, events in, commands out.
//!
//! It decides which workers run calls, and when workers come and go. It has no clock, no I/O and no actors: the
//! dispatcher feeds it and carries out what it says, and tests simulate it. What tells the four kinds apart is only how
//! many workers they want, so each kind is one small [`Bounds`]; queue, hand-out and degradation are written once, here.

mod adaptive;
mod fixed;
mod inline;
mod lazy;
#[cfg(test)]
mod simulation;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use rustc_hash::FxHashMap;

use crate::spec::Sizing;

/// Names a worker within its dispatcher. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WorkerId(pub(crate) u64);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The function starts.
    Start,
    /// A call was accepted and waits. Of several idle workers, this one would rather have it, if it is idle.
    Arrived { near: Option<WorkerId> },
    /// A waiting call was answered without having run.
    Left,
    /// A spawned worker is ready for calls.
    Up(WorkerId),
    /// A worker has answered its call and takes the next.
    Idle(WorkerId),
    /// A worker could not make its instance and is gone.
    CannotStart(WorkerId),
    /// A worker is gone for any other reason.
    Down(WorkerId),
    /// Others wait for a place among all instances: give up what is not needed.
    Spare,
    /// Time has passed, and this is what the guests did in it.
    Tick(Load),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Start a worker; say `Up` when it is ready. A probe makes an instance first even where none is kept.
    Spawn { worker: WorkerId, probe: bool },
    /// Stop this idle worker. It counts as gone already.
    Retire(WorkerId),
    /// Run a call that waits on this worker. Which one is the queue's business.
    Run(WorkerId),
    /// Answer all calls that wait with the reason why no instance can be made.
    FailAll,
}

/// What running guests did since the last sample, summed over workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Load {
    /// Time on a processor.
    pub(crate) cpu: Duration,
    /// Time asleep: waiting for something other than a processor.
    pub(crate) asleep: Duration,
}

/// What a pool tells its bounds from time to time while it has calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// What the guests did since the last sample.
    pub(crate) load: Load,
    /// The most workers that ran calls at once since then.
    pub(crate) busy: usize,
    /// How long ago that was.
    pub(crate) elapsed: Duration,
}

/// How many workers a kind of pool wants. The only thing in which the kinds differ.
pub(crate) trait Bounds: Send {
    /// Workers that are kept whatever happens.
    fn floor(&self) -> usize;

    /// Workers at most, now.
    fn ceiling(&self) -> usize;

    /// Workers that are enough for what was called lately, when at most `busy` ran at once since the last sample. While
    /// no call waits, idle ones beyond go at once. Default is as many as there are.
    fn enough(&self, _busy: usize) -> usize {
        usize::MAX
    }

    /// How long a worker above the floor may be idle; `None` is for ever.
    fn idle_timeout(&self) -> Option<Duration>;

    /// How often a sample is wanted while calls wait, or only run; `None` is never.
    fn sample_every(&self, _waiting: bool) -> Option<Duration> {
        None
    }

    /// Takes a sample.
    fn sampled(&mut self, _sample: Sample) {}
}

/// The bounds of a pool of this shape, on a machine with this many guest threads.
pub(crate) fn bounds(sizing: Sizing, threads: usize) -> Box<dyn Bounds> {
    match sizing {
        Sizing::Inline => Box::new(inline::Inline),
        Sizing::Lazy { max_size, idle_timeout } => Box::new(lazy::Lazy { max_size, idle_timeout }),
        Sizing::Static { workers, .. } => Box::new(fixed::Static { workers }),
        Sizing::Adaptive { max_size, warm_start, idle_timeout } => {
            Box::new(adaptive::Adaptive::new(max_size, warm_start, idle_timeout, threads))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worker {
    Starting,
    Idle,
    Running,
}

/// Set while no instance can be made.
#[derive(Debug, Clone, Copy)]
struct Degraded {
    probe_at: Instant,
    backoff: Duration,
}

/// One function's pool.
pub(crate) struct Pool {
    bounds: Box<dyn Bounds>,
    workers: FxHashMap<WorkerId, Worker>,
    starting: usize,
    /// Idle workers, the longest idle first. The last is used first, so that the surplus at the front grows old.
    idle: VecDeque<(WorkerId, Instant)>,
    /// Calls that wait.
    waiting: usize,
    degraded: Option<Degraded>,
    /// When the last sample was taken; `None` while nothing is called.
    sampled_at: Option<Instant>,
    /// The most workers that ran at once since then.
    busy: usize,
    last_worker: u64,
}

impl Pool {
    /// The first pause between probes of a function whose instances cannot be made.
    pub(crate) const BACKOFF_MIN: Duration = Duration::from_millis(100);
    /// The longest pause between probes.
    pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(10);

    pub(crate) fn new(bounds: Box<dyn Bounds>) -> Self {
        Self {
            bounds,
            workers: FxHashMap::default(),
            starting: 0,
            idle: VecDeque::new(),
            waiting: 0,
            degraded: None,
            sampled_at: None,
            busy: 0,
            last_worker: 0,
        }
    }

    /// Takes in what happened and says what is to be done.
    pub(crate) fn on(&mut self, now: Instant, event: Event, out: &mut Vec<Command>) {
        match event {
            Event::Start => {}
            Event::Spare => self.spare(out),
            Event::Arrived { near } => {
                self.waiting += 1;
                if let Some(near) = near
                    && self.workers.get(&near) == Some(&Worker::Idle)
                    && let Some(place) = self.idle.iter().rposition(|(idle, _)| *idle == near)
                {
                    // The last is used first.
                    self.idle.swap(place, self.idle.len() - 1);
                }
            }
            Event::Left => self.waiting = self.waiting.saturating_sub(1),
            Event::Up(worker) => {
                if self.replace(worker, Worker::Idle) == Some(Worker::Starting) {
                    self.starting -= 1;
                    self.degraded = None;
                    self.idle.push_back((worker, now));
                }
            }
            Event::Idle(worker) => {
                if matches!(self.replace(worker, Worker::Idle), Some(Worker::Running)) {
                    self.idle.push_back((worker, now));
                }
            }
            Event::Down(worker) => self.forget(worker),
            Event::CannotStart(worker) => {
                self.forget(worker);
                self.degrade(now);
            }
            Event::Tick(load) => self.sample(now, load),
        }
        self.settle(now, out);
    }

    /// When a `Tick` is due, if nothing else happens.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        let probe = self.degraded.filter(|_| self.starting == 0).map(|degraded| degraded.probe_at);
        let surplus = self.workers.len() > self.bounds.floor();
        let idle = self.bounds.idle_timeout().filter(|_| surplus).and_then(|timeout| {
            let (_, since) = self.idle.front()?;
            since.checked_add(timeout)
        });
        let sample = self.sampled_at.and_then(|at| at.checked_add(self.sample_every()?));
        [probe, idle, sample].into_iter().flatten().min()
    }

    /// Whether `Tick` should carry a load.
    pub(crate) fn samples_load(&self) -> bool {
        self.sample_every().is_some()
    }

    fn sample_every(&self) -> Option<Duration> {
        self.bounds.sample_every(self.waiting > 0)
    }

    fn sample(&mut self, now: Instant, load: Load) {
        let Some(at) = self.sampled_at else { return };
        // After a while without any call there is nothing to sample, until the next one.
        self.sampled_at = (self.busy > 0 || self.waiting > 0).then_some(now);
        if self.sampled_at.is_some() {
            self.bounds.sampled(Sample { load, busy: self.busy, elapsed: now.saturating_duration_since(at) });
        }
        self.busy = 0;
    }

    /// How long until instances are tried again, while none can be made.
    pub(crate) fn degraded(&self, now: Instant) -> Option<Duration> {
        self.degraded.map(|degraded| degraded.probe_at.saturating_duration_since(now))
    }

    /// Calls that wait for a worker.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Workers by state: starting, idle, running.
    pub(crate) fn census(&self) -> [usize; 3] {
        [self.starting, self.idle.len(), self.workers.len() - self.starting - self.idle.len()]
    }

    fn settle(&mut self, now: Instant, out: &mut Vec<Command>) {
        self.retire(now, out);
        while self.waiting > 0
            && let Some((worker, _)) = self.idle.pop_back()
        {
            self.waiting -= 1;
            self.replace(worker, Worker::Running);
            out.push(Command::Run(worker));
        }
        if let Some(degraded) = self.degraded {
            // Nobody is left who could run them, and the next attempt is some way off.
            if self.workers.len() == self.starting && self.waiting > 0 {
                self.waiting = 0;
                out.push(Command::FailAll);
            }
            if self.starting == 0 && now >= degraded.probe_at {
                self.spawn(out);
            }
            return;
        }
        let ceiling = self.bounds.ceiling();
        while self.workers.len() < self.bounds.floor() || self.waiting > self.starting && self.workers.len() < ceiling {
            self.spawn(out);
        }
        let [_, _, running] = self.census();
        self.busy = self.busy.max(running);
        if self.sampled_at.is_none() && self.samples_load() && (running > 0 || self.waiting > 0) {
            self.sampled_at = Some(now);
        }
    }

    fn retire(&mut self, now: Instant, out: &mut Vec<Command>) {
        while let Some(&(worker, since)) = self.idle.front() {
            let enough = if self.waiting == 0 { self.bounds.enough(self.busy) } else { usize::MAX };
            let surplus = self.workers.len() > self.bounds.ceiling().min(enough).max(self.bounds.floor());
            let old = self.workers.len() > self.bounds.floor()
                && self.waiting == 0
                && self.bounds.idle_timeout().is_some_and(|timeout| now.saturating_duration_since(since) >= timeout);
            if !surplus && !old {
                break;
            }
            self.idle.pop_front();
            self.workers.remove(&worker);
            out.push(Command::Retire(worker));
        }
    }

    /// Lets the longest idle worker go, whose instance takes a place that others wait for.
    fn spare(&mut self, out: &mut Vec<Command>) {
        if self.workers.len() > self.bounds.floor()
            && let Some((worker, _)) = self.idle.pop_front()
        {
            self.workers.remove(&worker);
            out.push(Command::Retire(worker));
        }
    }

    fn spawn(&mut self, out: &mut Vec<Command>) {
        self.last_worker += 1;
        let worker = WorkerId(self.last_worker);
        self.workers.insert(worker, Worker::Starting);
        self.starting += 1;
        out.push(Command::Spawn { worker, probe: self.degraded.is_some() });
    }

    fn degrade(&mut self, now: Instant) {
        // One instance that failed among others that work is bad luck, not degradation.
        if self.workers.len() > self.starting {
            return;
        }
        let backoff = match self.degraded {
            // Several workers of one attempt fail one after another: that is one failure.
            Some(degraded) if now < degraded.probe_at => return,
            Some(degraded) => (degraded.backoff * 2).min(Self::BACKOFF_MAX),
            None => Self::BACKOFF_MIN,
        };
        self.degraded = Some(Degraded { probe_at: now + backoff, backoff });
    }

    fn replace(&mut self, worker: WorkerId, state: Worker) -> Option<Worker> {
        let slot = self.workers.get_mut(&worker)?;
        Some(std::mem::replace(slot, state))
    }

    fn forget(&mut self, worker: WorkerId) {
        match self.workers.remove(&worker) {
            Some(Worker::Starting) => self.starting -= 1,
            Some(Worker::Idle) => self.idle.retain(|(idle, _)| *idle != worker),
            Some(Worker::Running) | None => {}
        }
    }
}
