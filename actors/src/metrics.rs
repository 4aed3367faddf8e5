//! Every metric: its name, unit and labels. Whoever observes something calls a method here; nobody else names a metric.
//!
//! Only the [`metrics`] facade is used: no recorder is installed. Handles are taken once per function, so a recorder must
//! be installed before the runtime starts. A function that was never used has one series, its `ok` calls; the others come
//! with its first use, because a registry may have thousands of functions and few of them be busy. Durations are seconds,
//! sizes bytes.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::{
    Counter, Gauge, Histogram, Label, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use crate::{
    call::{CallError, ErrorKind},
    tree::{LastError, Restarts},
};

const CALLS: &str = "greenroom_calls_total";
const CALL_DURATION: &str = "greenroom_call_duration_seconds";
const QUEUE_WAIT: &str = "greenroom_queue_wait_seconds";
const QUEUE_DEPTH: &str = "greenroom_queue_depth";
const WORKERS: &str = "greenroom_workers";
const WORKER_ENDS: &str = "greenroom_worker_ends_total";
const INSTANCES: &str = "greenroom_instances";
const INSTANCES_MADE: &str = "greenroom_instances_made_total";
const INSTANCES_FAILED: &str = "greenroom_instances_failed_total";
const KILL_LATENESS: &str = "greenroom_kill_lateness_seconds";
const RESTARTS: &str = "greenroom_restarts_total";
const GUEST_MEMORY: &str = "greenroom_guest_memory_bytes";

/// A call named a function that is not there. Its label is `none`: the names that callers make up have no bound.
pub(crate) fn called_nobody() {
    counter!(CALLS, "function" => "none", "outcome" => ErrorKind::NotFound.name()).increment(1);
}

/// Why a worker ended, as the label `reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Killed: `limits.max_execution_ms` or the caller's timeout passed.
    Deadline,
    /// Killed: the caller of its call went away.
    Canceled,
    /// Its pool had no more use for it.
    Idle,
    /// It could not make its instance.
    Instance,
    /// It failed: a fault of the host.
    Crash,
    /// Its function stopped or restarted.
    Shutdown,
}

impl End {
    const ALL: [(Self, &str); 6] = [
        (Self::Deadline, "deadline"),
        (Self::Canceled, "canceled"),
        (Self::Idle, "idle"),
        (Self::Instance, "instance"),
        (Self::Crash, "crash"),
        (Self::Shutdown, "shutdown"),
    ];
}

/// Which actor was started again, as the label `actor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    /// A worker, after it was killed or crashed.
    Worker,
    /// A dispatcher, with all its workers.
    Dispatcher,
    /// A whole function.
    Supervisor,
}

impl Restart {
    const ALL: [Self; 3] = [Self::Worker, Self::Dispatcher, Self::Supervisor];

    /// Its label.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Dispatcher => "dispatcher",
            Self::Supervisor => "supervisor",
        }
    }
}

/// The metrics of one function.
pub(crate) struct FunctionMetrics {
    function: Arc<str>,
    ok: Counter,
    series: OnceLock<Box<Series>>,
    memory_now: AtomicU64,
    restarted: [AtomicU64; 3],
    last_error: Mutex<Option<(Instant, CallError)>>,
}

/// What a function has beside its `ok` calls, from its first use on.
struct Series {
    errors: [Counter; ErrorKind::ALL.len()],
    call_duration: Histogram,
    queue_wait: Histogram,
    queue_depth: Gauge,
    workers: [Gauge; 3],
    ends: [Counter; End::ALL.len()],
    instances_ready: Gauge,
    instances_running: Gauge,
    instances_made: Counter,
    instances_failed: Counter,
    kill_lateness: Histogram,
    restarts: [Counter; 3],
    memory: Gauge,
}

impl Series {
    fn new(function: &Arc<str>) -> Self {
        let labels = |key: &'static str, value: &'static str| {
            [Label::new("function", function.clone()), Label::from_static_parts(key, value)]
        };
        let label =
            |name: &'static str, key: &'static str, value: &'static str| counter!(name, labels(key, value).iter());
        let state = |name: &'static str, state: &'static str| gauge!(name, labels("state", state).iter());
        let one = |name: &'static str| counter!(name, "function" => function.clone());
        Self {
            errors: ErrorKind::ALL.map(|kind| label(CALLS, "outcome", kind.name())),
            call_duration: histogram!(CALL_DURATION, "function" => function.clone()),
            queue_wait: histogram!(QUEUE_WAIT, "function" => function.clone()),
            queue_depth: gauge!(QUEUE_DEPTH, "function" => function.clone()),
            workers: ["starting", "idle", "running"].map(|name| state(WORKERS, name)),
            ends: End::ALL.map(|(_, name)| label(WORKER_ENDS, "reason", name)),
            instances_ready: state(INSTANCES, "ready"),
            instances_running: state(INSTANCES, "running"),
            instances_made: one(INSTANCES_MADE),
            instances_failed: one(INSTANCES_FAILED),
            kill_lateness: histogram!(KILL_LATENESS, "function" => function.clone()),
            restarts: Restart::ALL.map(|actor| label(RESTARTS, "actor", actor.name())),
            memory: gauge!(GUEST_MEMORY, "function" => function.clone()),
        }
    }
}

impl FunctionMetrics {
    pub(crate) fn new(function: &str) -> Self {
        let function = Arc::<str>::from(function);
        Self {
            ok: counter!(CALLS, "function" => function.clone(), "outcome" => "ok"),
            function,
            series: OnceLock::new(),
            memory_now: AtomicU64::new(0),
            restarted: [const { AtomicU64::new(0) }; 3],
            last_error: Mutex::new(None),
        }
    }

    fn series(&self) -> &Series {
        self.series.get_or_init(|| Box::new(Series::new(&self.function)))
    }

    /// A call had its answer.
    pub(crate) fn answered(&self, outcome: Result<(), &CallError>) {
        match outcome {
            Ok(()) => self.ok.increment(1),
            Err(error) => {
                self.series().errors[error.kind() as usize].increment(1);
                self.remember(error);
            }
        }
    }

    /// Keeps an error for whoever looks at the tree. What callers did wrong may quote them, and says nothing of the function;
    /// a full queue is to be seen, and would be told very often.
    fn remember(&self, error: &CallError) {
        use ErrorKind::{Internal, PermissionDenied, Timeout, Unavailable};
        if matches!(error.kind(), Internal | PermissionDenied | Timeout | Unavailable)
            // Of errors at the same time, any is the last.
            && let Ok(mut last) = self.last_error.try_lock()
        {
            *last = Some((Instant::now(), error.clone()));
        }
    }

    /// The last error that says something of the function.
    pub(crate) fn last_error(&self) -> Option<LastError> {
        let last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.map(|(at, error)| LastError {
            kind: error.kind(),
            message: error.message().to_owned(),
            age_ms: u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// A call waited this long for a worker, which has started it.
    pub(crate) fn waited(&self, waited: Duration) {
        self.series().queue_wait.record(waited.as_secs_f64());
    }

    /// A call ran for this long on its worker, and ended well, badly or by being killed.
    pub(crate) fn ran(&self, ran: Duration) {
        self.series().call_duration.record(ran.as_secs_f64());
    }

    /// Calls that wait for a worker, now.
    pub(crate) fn waiting(&self, calls: usize) {
        self.series().queue_depth.set(calls as f64);
    }

    /// Workers that start, idle and run, now.
    pub(crate) fn workers(&self, by_state: [usize; 3]) {
        for (gauge, count) in self.series().workers.iter().zip(by_state) {
            gauge.set(count as f64);
        }
    }

    pub(crate) fn worker_ended(&self, end: End) {
        self.series().ends[end as usize].increment(1);
    }

    /// A worker was dead this long after it should have been.
    pub(crate) fn kill_lateness(&self, late: Duration) {
        self.series().kill_lateness.record(late.as_secs_f64());
    }

    pub(crate) fn restarted(&self, what: Restart) {
        self.series().restarts[what as usize].increment(1);
        self.restarted[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// What was started again so far.
    pub(crate) fn restarts(&self) -> Restarts {
        let so_far = |what: Restart| self.restarted[what as usize].load(Ordering::Relaxed);
        Restarts {
            workers: so_far(Restart::Worker),
            dispatcher: so_far(Restart::Dispatcher),
            supervisor: so_far(Restart::Supervisor),
        }
    }

    pub(crate) fn instance_failed(&self) {
        self.series().instances_failed.increment(1);
    }

    /// An instance was made; it counts until the guard is dropped.
    pub(crate) fn instance_made(self: &Arc<Self>) -> LiveInstance {
        self.series().instances_made.increment(1);
        self.series().instances_ready.increment(1.0);
        LiveInstance { metrics: self.clone(), running: false, memory: 0 }
    }

    fn memory_moved(&self, from: u64, to: u64) {
        let before = self.memory_now.fetch_add(to.wrapping_sub(from), Ordering::Relaxed);
        self.series().memory.set(before.wrapping_add(to).wrapping_sub(from) as f64);
    }
}

/// One live instance, as the gauges count it.
pub(crate) struct LiveInstance {
    metrics: Arc<FunctionMetrics>,
    running: bool,
    memory: u64,
}

impl LiveInstance {
    /// The instance runs a call, or waits for one.
    pub(crate) fn running(&mut self, running: bool) {
        if self.running == running {
            return;
        }
        self.running = running;
        let series = self.metrics.series();
        let (from, to) = match running {
            true => (&series.instances_ready, &series.instances_running),
            false => (&series.instances_running, &series.instances_ready),
        };
        from.decrement(1.0);
        to.increment(1.0);
    }

    /// Another instance takes the place of this one.
    pub(crate) fn replaced(&mut self) {
        self.metrics.series().instances_made.increment(1);
    }

    /// The instance has this much linear memory.
    pub(crate) fn memory(&mut self, bytes: u64) {
        if self.memory == bytes {
            return;
        }
        self.metrics.memory_moved(self.memory, bytes);
        self.memory = bytes;
    }
}

impl Drop for LiveInstance {
    fn drop(&mut self) {
        self.running(false);
        self.metrics.series().instances_ready.decrement(1.0);
        self.memory(0);
    }
}

/// Gives every metric its help text and unit. For embedders to call once, after they install a recorder.
pub fn describe() {
    use metrics::Unit::{Bytes, Seconds};
    describe_counter!(CALLS, "Calls answered, by outcome: ok or the kind of the error.");
    describe_histogram!(CALL_DURATION, Seconds, "How long calls ran on their worker.");
    describe_histogram!(QUEUE_WAIT, Seconds, "How long calls waited before a worker started them.");
    describe_gauge!(QUEUE_DEPTH, "Calls that wait for a worker.");
    describe_gauge!(WORKERS, "Workers by state: starting, idle or running.");
    describe_counter!(WORKER_ENDS, "Workers that ended, by reason.");
    describe_gauge!(INSTANCES, "Live instances by state: ready or running.");
    describe_counter!(INSTANCES_MADE, "Instances made.");
    describe_counter!(INSTANCES_FAILED, "Instances that could not be made.");
    describe_histogram!(KILL_LATENESS, Seconds, "How long after its deadline a killed worker was gone.");
    describe_counter!(RESTARTS, "Actors started again after they ended unasked.");
    describe_gauge!(
        GUEST_MEMORY,
        Bytes,
        "Linear memory of all live instances, with what is ready for guests that grow."
    );
    describe_histogram!(
        "greenroom_compile_seconds",
        Seconds,
        "How long compiling a component, or loading it from the cache, took."
    );
    describe_counter!("greenroom_cache_hits_total", "Modules and components loaded from the compile cache.");
    describe_counter!("greenroom_cache_misses_total", "Modules and components compiled anew.");
}
