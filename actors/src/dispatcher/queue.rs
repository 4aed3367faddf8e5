//! The run queue of one function: callers leave calls here, and workers take the next one when they are done.
//!
//! It is the shell of [`crate::pool`]: it turns what happens into events and carries out commands, under the one lock that
//! a function has. Whoever brings an event carries out what follows from it, so that a call takes no turn of an actor on
//! its way. Time is the dispatcher's business: it is told when there is an earlier moment to look at the queue.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use ractor::{ActorCell, ActorId, ActorRef};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{Assignment, Call, CallId, CallMessage, Staffing, lanes::Lanes, shown::Shown};
use crate::{
    call::{CallError, ErrorKind, Payload, stopped},
    function::FunctionMessage,
    metrics::{End, FunctionMetrics, Restart},
    pool::{self, Command, Event, Load, Pool, WorkerId},
    spec::{FunctionId, Limits, Sizing},
    tree::PoolNode,
    worker::Pulse,
};

/// What a run queue is made of.
pub(crate) struct QueueParts {
    pub(crate) id: FunctionId,
    pub(crate) sizing: Sizing,
    pub(crate) limits: Limits,
    /// Guest threads, which bound what an adaptive pool gains from more workers.
    pub(crate) threads: usize,
    pub(crate) staffing: Staffing,
    pub(crate) metrics: Arc<FunctionMetrics>,
}

/// The run queue. It lives as long as its dispatcher; calls that are left in it then answer `unavailable`.
pub(crate) struct RunQueue {
    dispatcher: OnceLock<ActorRef<CallMessage>>,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) parts: QueueParts,
    dispatcher: Option<ActorId>,
    pub(super) pool: Pool,
    commands: Vec<Command>,
    /// The calls of which the pool knows how many there are.
    pub(super) waiting: Lanes,
    /// The worker that last became idle on the thread of each lane.
    resting: Vec<Option<WorkerId>>,
    pub(super) staff: FxHashMap<WorkerId, Staff>,
    last_call: u64,
    is_closed: bool,
    /// Why the last instance could not be made.
    pub(super) fault: Option<CallError>,
    /// Workers that were lost and not yet replaced.
    lost: usize,
    /// When the dispatcher will look at the queue.
    pub(super) alarm: Option<Instant>,
    /// When the first of all calls may be late.
    pub(super) due: Option<Instant>,
    shown: Shown,
    /// Workers to wake, and whether to tell the dispatcher of an earlier alarm, once the lock is free.
    woken: SmallVec<[Waker; 2]>,
    rings: bool,
}

/// A worker that has come up.
pub(super) struct Staff {
    actor: ActorCell,
    pub(super) pulse: Arc<Pulse>,
    /// The lane of the thread that it was last seen on.
    lane: usize,
    /// A call that it was given and has not taken yet.
    inbox: Option<Assignment>,
    /// To wake it, when it waits for a call.
    waker: Option<Waker>,
    /// What it runs.
    pub(super) call: Option<Arc<Call>>,
    seen: Load,
    /// Why it was killed, and when it should have been gone.
    pub(super) killed: Option<(End, Instant)>,
}

impl Staff {
    /// How long this call has run; `None` when it has not been started.
    fn ran(&self, call: &Call, now: Instant) -> Option<Duration> {
        self.pulse.started(call.id()).map(|started| now.saturating_duration_since(started))
    }
}

impl RunQueue {
    pub(crate) fn new(parts: QueueParts) -> Self {
        // A pool that runs one call at a time runs them in the order in which they come.
        let lanes = if parts.sizing.workers_max() == 1 { 1 } else { parts.threads + 1 };
        let state = State {
            pool: Pool::new(pool::bounds(parts.sizing, parts.threads)),
            parts,
            dispatcher: None,
            commands: Vec::new(),
            waiting: Lanes::new(lanes),
            resting: vec![None; lanes],
            staff: FxHashMap::default(),
            last_call: 0,
            is_closed: false,
            fault: None,
            lost: 0,
            alarm: None,
            due: None,
            shown: Shown::default(),
            woken: SmallVec::new(),
            rings: false,
        };
        Self { dispatcher: OnceLock::new(), state: Mutex::new(state) }
    }

    /// The dispatcher is there: the pool starts.
    pub(super) fn open(&self, dispatcher: ActorRef<CallMessage>) {
        let id = dispatcher.get_id();
        self.dispatcher.get_or_init(|| dispatcher);
        let now = Instant::now();
        self.with(now, |state| {
            state.dispatcher = Some(id);
            state.on(now, Event::Start, None);
        });
    }

    /// The function has a supervisor now, which starts workers.
    pub(crate) fn supervised(&self, supervisor: ActorRef<FunctionMessage>) {
        self.lock().parts.staffing.supervised(supervisor);
    }

    /// Leaves a call. One that comes too late answers `unavailable`.
    pub(crate) fn push(&self, call: Arc<Call>, args: Payload) {
        self.with(call.arrived, |state| {
            if state.is_closed {
                // Dropped without the lock.
                return Some((call, args));
            }
            state.arrived(call, args);
            None
        });
    }

    /// A worker is ready for calls.
    pub(crate) fn up(&self, worker: WorkerId, actor: ActorCell, pulse: Arc<Pulse>) {
        let now = Instant::now();
        self.with(now, |state| {
            let staff = Staff {
                actor,
                pulse,
                lane: state.waiting.here(),
                inbox: None,
                waker: None,
                call: None,
                seen: Load::default(),
                killed: None,
            };
            state.staff.insert(worker, staff);
            state.on(now, Event::Up(worker), None);
        });
    }

    /// A worker has answered its call: the next one, if one waits.
    pub(crate) fn turn(&self, now: Instant, worker: WorkerId) -> Option<Assignment> {
        self.with(now, |state| {
            // A worker that was killed in the meantime takes no more calls.
            let staff = state.staff.get_mut(&worker).filter(|staff| staff.killed.is_none())?;
            let done = staff.call.take();
            let here = state.waiting.here();
            staff.lane = here;
            state.on(now, Event::Idle(worker), None);
            let next = state.staff.get_mut(&worker).and_then(|staff| staff.inbox.take());
            if next.is_none() {
                state.resting[here] = Some(worker);
            }
            drop(done);
            next
        })
    }

    /// The next call of an idle worker; `None` once the pool has let it go.
    pub(crate) async fn next(&self, worker: WorkerId) -> Option<Assignment> {
        std::future::poll_fn(|cx| self.poll_next(cx, worker)).await
    }

    fn poll_next(&self, cx: &Context<'_>, worker: WorkerId) -> Poll<Option<Assignment>> {
        let mut state = self.lock();
        let Some(staff) = state.staff.get_mut(&worker) else { return Poll::Ready(None) };
        if let Some(next) = staff.inbox.take() {
            return Poll::Ready(Some(next));
        }
        match &mut staff.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// A worker could not make its instance and goes. The call that it was given hears why.
    pub(crate) fn cannot_start(&self, worker: WorkerId, error: CallError) {
        let now = Instant::now();
        self.with(now, |state| state.cannot_start(now, worker, error));
    }

    /// A worker is gone, and crashed if there is a reason.
    pub(crate) fn down(&self, worker: WorkerId, crash: Option<String>) {
        let now = Instant::now();
        self.with(now, |state| state.down(now, worker, crash));
    }

    pub(super) fn caller_left(&self, call: &Arc<Call>) {
        let now = Instant::now();
        self.with(now, |state| state.caller_left(now, call));
    }

    pub(super) fn make_room(&self) {
        let now = Instant::now();
        self.with(now, |state| state.on(now, Event::Spare, None));
    }

    pub(super) fn look(&self) -> PoolNode {
        self.lock().look(Instant::now())
    }

    /// When the dispatcher is to look at the queue.
    pub(super) fn alarm(&self) -> Option<Instant> {
        self.lock().alarm
    }

    /// The time of the alarm has come.
    pub(super) fn tick(&self) {
        let now = Instant::now();
        self.with(now, |state| state.tick(now));
    }

    /// Takes no more calls; those that wait or run answer `unavailable`. The workers are left to the supervisor.
    pub(super) fn close(&self) {
        let now = Instant::now();
        let (waiting, staff) = self.with(now, |state| {
            state.is_closed = true;
            (state.waiting.take_all(), std::mem::take(&mut state.staff))
        });
        for waiting in waiting {
            waiting.call.reply.send(Err(stopped()));
        }
        for staff in staff.into_values() {
            if let Some(call) = &staff.call {
                let message = "the function was stopped while it ran this call; it may have done a part of it";
                call.reply.send_after(staff.ran(call, now), Err(CallError::new(ErrorKind::Unavailable, message)));
            }
        }
    }

    /// Does something with the lock held, and without it what follows.
    fn with<R>(&self, now: Instant, act: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = act(&mut state);
        state.settle(now);
        let (woken, rings) = (std::mem::take(&mut state.woken), std::mem::take(&mut state.rings));
        drop(state);
        woken.into_iter().for_each(Waker::wake);
        if rings && let Some(dispatcher) = self.dispatcher.get() {
            // A dispatcher that is gone closes its queue.
            drop(dispatcher.cast(CallMessage::wind()));
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Tells the pool, and carries out what it says. Calls that the pool fails hear of `fault`, if there is a fresh one.
    pub(super) fn on(&mut self, now: Instant, event: Event, fault: Option<&CallError>) {
        let mut commands = std::mem::take(&mut self.commands);
        self.pool.on(now, event, &mut commands);
        for command in commands.drain(..) {
            match command {
                Command::Spawn { worker, probe } => {
                    if self.lost > 0 {
                        self.lost -= 1;
                        self.parts.metrics.restarted(Restart::Worker);
                    }
                    // The pool wants nothing before the dispatcher is there.
                    if let Some(dispatcher) = self.dispatcher {
                        self.parts.staffing.ask(dispatcher, worker, probe);
                    }
                }
                Command::Retire(worker) => {
                    if let Some(staff) = self.staff.remove(&worker) {
                        self.woken.extend(staff.waker);
                        self.parts.metrics.worker_ended(End::Idle);
                    }
                }
                Command::Run(worker) => self.hand_out(now, worker),
                Command::FailAll => {
                    let error = fault.cloned().unwrap_or_else(|| self.degraded(now));
                    for failed in self.waiting.take_all() {
                        failed.call.reply.send(Err(error.clone()));
                    }
                }
            }
        }
        self.commands = commands;
    }

    /// What is left to do before the lock is free: the metrics, and the alarm.
    fn settle(&mut self, now: Instant) {
        if self.is_closed {
            return self.shown.nothing(&self.parts.metrics, now);
        }
        let later = self.shown.tell(&self.parts.metrics, now, self.pool.waiting(), self.pool.census());
        self.look_at(later);
        self.look_at(self.pool.wake_at());
    }

    /// The dispatcher is to look at the queue by then.
    pub(super) fn look_at(&mut self, at: Option<Instant>) {
        if let Some(at) = at
            && self.alarm.is_none_or(|alarm| at < alarm)
        {
            self.alarm = Some(at);
            self.rings = true;
        }
    }

    /// A call may be late by then.
    pub(super) fn watch(&mut self, due: Option<Instant>) {
        self.due = self.due.into_iter().chain(due).min();
        self.look_at(due);
    }

    fn arrived(&mut self, call: Arc<Call>, args: Payload) {
        self.last_call += 1;
        let id = CallId(self.last_call);
        call.name(id);
        self.watch(self.next_look(call.arrived, &call));
        let (now, here) = (call.arrived, self.waiting.here());
        self.waiting.push(here, Assignment { call, args });
        let near = self.resting[here].take();
        self.on(now, Event::Arrived { near }, None);
    }

    fn hand_out(&mut self, now: Instant, worker: WorkerId) {
        let Some(staff) = self.staff.get_mut(&worker) else { return };
        let Some(assignment) = self.waiting.next(staff.lane) else { return };
        assignment.call.hand_to(worker);
        staff.call = Some(Arc::clone(&assignment.call));
        staff.inbox = Some(assignment);
        self.woken.extend(staff.waker.take());
        self.watch(self.parts.limits.max_execution.and_then(|max| now.checked_add(max)));
    }

    fn cannot_start(&mut self, now: Instant, worker: WorkerId, error: CallError) {
        tracing::warn!(function = %self.parts.id, %error, "no instance can be made");
        if let Some(call) = self.staff.remove(&worker).and_then(|staff| staff.call) {
            call.reply.send(Err(error.clone()));
        }
        self.parts.metrics.worker_ended(End::Instance);
        self.fault = Some(error.clone());
        self.on(now, Event::CannotStart(worker), Some(&error));
    }

    fn down(&mut self, now: Instant, worker: WorkerId, crash: Option<String>) {
        if let Some(staff) = self.staff.remove(&worker) {
            match staff.killed {
                Some((end, due)) => {
                    self.parts.metrics.kill_lateness(now.saturating_duration_since(due));
                    self.parts.metrics.worker_ended(end);
                }
                None => self.parts.metrics.worker_ended(End::Crash),
            }
            let why = crash.unwrap_or_else(|| "it was killed".to_owned());
            if let Some(call) = &staff.call {
                let ran = staff.ran(call, now);
                tracing::error!(function = %self.parts.id, why, "a worker failed during a call");
                let message = format!("the worker that ran this call failed: {why}");
                call.reply.send_after(ran, Err(CallError::new(ErrorKind::Internal, message)));
            }
            self.lost += 1;
        }
        self.on(now, Event::Down(worker), None);
    }

    /// Answers a call at once and kills the worker that runs it.
    pub(super) fn end_early(&mut self, now: Instant, call: &Arc<Call>, error: CallError, end: End, due: Instant) {
        let id = call.id();
        let worker = call.worker();
        let ran = worker.and_then(|worker| self.staff.get(&worker)).and_then(|staff| staff.ran(call, now));
        // A worker that has answered in the meantime is no longer on this call and must not be killed.
        if !call.reply.send_after(ran, Err(error)) {
            return;
        }
        match worker.and_then(|worker| self.staff.get_mut(&worker)) {
            Some(staff) => {
                (staff.call, staff.inbox) = (None, None);
                staff.killed = Some((end, due));
                staff.actor.kill();
            }
            None => {
                drop(self.waiting.take(id));
                self.on(now, Event::Left, None);
            }
        }
    }

    /// What a call hears that cannot run because no instance can be made.
    fn degraded(&self, now: Instant) -> CallError {
        let after = self.pool.degraded(now).unwrap_or_default();
        let why = self.fault.as_ref().map_or("no instance can be made", CallError::message);
        let message = format!("`{}` is degraded: {why}; trying again in {} ms", self.parts.id, after.as_millis());
        // What the entry must change first is not `unavailable`, which callers would try again.
        let kind = match self.fault.as_ref().map(CallError::kind) {
            Some(kind @ (ErrorKind::PermissionDenied | ErrorKind::Invalid)) => kind,
            _ => ErrorKind::Unavailable,
        };
        CallError::new(kind, message).with_retry_after(after)
    }

    pub(super) fn load(&mut self, now: Instant) -> Load {
        let mut sum = Load::default();
        for staff in self.staff.values_mut() {
            let load = staff.pulse.load(now);
            sum.cpu += load.cpu.saturating_sub(staff.seen.cpu);
            sum.asleep += load.asleep.saturating_sub(staff.seen.asleep);
            staff.seen = load;
        }
        sum
    }
}
