//! The dispatcher of one function: queues calls, hands them to workers, enforces deadlines by killing workers.
//!
//! It is the shell of [`crate::pool`]: it turns messages into events, carries out commands, and keeps the clock. It spawns
//! nothing itself: workers belong to the function's supervisor.

mod clock;
mod gate;
mod look;
mod message;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use clock::Clock;
pub(crate) use gate::{Gate, Permit};
pub use message::CallMessage;
pub(crate) use message::{Ask, Call};
use message::{Asked, Message};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use crate::{
    call::{CallError, CallOptions, ErrorKind, Port, Reply, out_of_patience, trace},
    executor::Executor,
    function::FunctionMessage,
    metrics::{End, FunctionMetrics, Restart},
    pool::{self, CallId, Command, Event, Load, Pool, WorkerId},
    spec::{FunctionId, Limits, Sizing},
    worker::{Assignment, Pulse, WorkerMessage},
};

/// What a dispatcher is made of.
pub(crate) struct DispatcherParts {
    pub(crate) id: FunctionId,
    pub(crate) sizing: Sizing,
    pub(crate) limits: Limits,
    /// Guest threads, which bound what an adaptive pool gains from more workers.
    pub(crate) threads: usize,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) supervisor: ActorRef<FunctionMessage>,
    pub(crate) metrics: Arc<FunctionMetrics>,
}

pub(crate) struct Dispatcher;

pub(crate) struct DispatcherState {
    parts: DispatcherParts,
    pool: Pool,
    commands: Vec<Command>,
    calls: HashMap<CallId, Pending>,
    last_call: u64,
    workers: HashMap<WorkerId, Staff>,
    clock: Clock,
    /// Calls whose callers are actors. Those cannot say that they went away, so they are looked after.
    asked: usize,
    swept: Instant,
    /// Why the last instance could not be made.
    fault: Option<CallError>,
    /// Workers that were lost and not yet replaced.
    lost: usize,
}

/// A call that has no answer yet, as far as the dispatcher knows.
struct Pending {
    reply: Arc<Reply>,
    /// What a worker needs; taken at the hand-out.
    call: Option<Call>,
    worker: Option<WorkerId>,
    /// When the caller stops waiting.
    deadline: Option<Instant>,
    /// When the call has waited for too long, if no worker has started it by then.
    patience: Option<Instant>,
    /// When the call will have run for too long, as far as is known.
    limit: Option<Instant>,
    asked: bool,
}

/// A worker that has come up.
struct Staff {
    actor: ActorRef<WorkerMessage>,
    pulse: Arc<Pulse>,
    call: Option<CallId>,
    seen: Load,
    /// Why it was killed, and when it should have been gone.
    killed: Option<(End, Instant)>,
}

/// How often callers that are actors are looked after.
const SWEEP_EVERY: Duration = Duration::from_millis(50);

impl Actor for Dispatcher {
    type Msg = CallMessage;
    type State = DispatcherState;
    type Arguments = DispatcherParts;

    async fn pre_start(
        &self,
        myself: ActorRef<CallMessage>,
        parts: DispatcherParts,
    ) -> Result<DispatcherState, ActorProcessingErr> {
        let pool = Pool::new(pool::bounds(parts.sizing, parts.threads));
        let mut state = DispatcherState {
            pool,
            commands: Vec::new(),
            calls: HashMap::new(),
            last_call: 0,
            workers: HashMap::new(),
            clock: Clock::new(myself),
            asked: 0,
            swept: Instant::now(),
            fault: None,
            lost: 0,
            parts,
        };
        state.on(Instant::now(), Event::Start, None);
        Ok(state)
    }

    async fn handle(
        &self,
        _myself: ActorRef<CallMessage>,
        message: CallMessage,
        state: &mut DispatcherState,
    ) -> Result<(), ActorProcessingErr> {
        let now = Instant::now();
        match message.0 {
            Message::Call(call) => state.arrived(now, *call, false),
            Message::Ask(ask) => state.asked(now, *ask),
            Message::Cancel(reply) => state.caller_left(now, &reply),
            Message::Up { worker, actor, pulse } => {
                let staff = Staff { actor, pulse, call: None, seen: Load::default(), killed: None };
                state.workers.insert(worker, staff);
                state.on(now, Event::Up(worker), None);
            }
            Message::Idle(worker) => state.idle(now, worker),
            Message::CannotStart { worker, error } => state.cannot_start(now, worker, error),
            Message::Down { worker, crash } => state.down(now, worker, crash),
            Message::MakeRoom => state.on(now, Event::Spare, None),
            // Whoever looked and went away has seen enough.
            Message::Look(port) => drop(port.send(state.look(now))),
            Message::Tick => state.tick(now),
        }
        state.parts.metrics.census(state.pool.waiting(), state.pool.census());
        state.wind_clock();
        Ok(())
    }
}

impl DispatcherState {
    /// Tells the pool, and carries out what it says. Calls that the pool fails hear of `fault`, if there is a fresh one.
    fn on(&mut self, now: Instant, event: Event, fault: Option<&CallError>) {
        let mut commands = std::mem::take(&mut self.commands);
        self.pool.on(now, event, &mut commands);
        for command in commands.drain(..) {
            match command {
                Command::Spawn { worker, probe } => {
                    if self.lost > 0 {
                        self.lost -= 1;
                        self.parts.metrics.restarted(Restart::Worker);
                    }
                    // A supervisor that is gone takes this dispatcher with it.
                    drop(self.parts.supervisor.cast(FunctionMessage::Spawn { worker, probe }));
                }
                Command::Retire(worker) => {
                    if let Some(staff) = self.workers.remove(&worker) {
                        staff.actor.stop(None);
                        self.parts.metrics.worker_ended(End::Idle);
                    }
                }
                Command::Run(call, worker) => self.hand_out(now, call, worker),
                Command::Fail(call) => {
                    let error = fault.cloned().unwrap_or_else(|| self.degraded(now));
                    if let Some(pending) = self.close(call) {
                        pending.reply.send(Err(error));
                    }
                }
            }
        }
        self.commands = commands;
    }

    fn arrived(&mut self, now: Instant, call: Call, asked: bool) {
        self.last_call += 1;
        let id = CallId(self.last_call);
        call.reply.name(id);
        let Call { deadline, patience, .. } = call;
        self.clock.add(deadline, id);
        self.clock.add(patience, id);
        self.asked += usize::from(asked);
        let reply = call.reply.clone();
        let pending = Pending { reply, call: Some(call), worker: None, deadline, patience, limit: None, asked };
        self.calls.insert(id, pending);
        self.on(now, Event::Arrived(id), None);
    }

    /// A call message from an actor. It comes past the gate, so it is let in here.
    fn asked(&mut self, now: Instant, ask: Ask) {
        let Some(Asked { args, options, port }) = ask.take() else { return };
        let timeout = port.get_timeout().into_iter().chain(options.timeout).min();
        let options = CallOptions { timeout, ..options };
        let admitted = crate::executor::fit(args, &*self.parts.executor)
            .and_then(|args| self.parts.gate.try_enter(options.context.depth > 0).map(|permit| (args, permit)));
        match admitted {
            Ok((args, permit)) => {
                let (span, options) = trace::begin(&self.parts.id, options);
                let reply = Arc::new(Reply::new(Port::Actor(port), permit, self.parts.metrics.clone(), span));
                self.arrived(now, Call::new(args, &options, now, reply), true);
            }
            Err(error) => {
                self.parts.metrics.answered(Err(&error));
                // An actor that has gone away needs no answer.
                drop(port.send(Err(error)));
            }
        }
    }

    fn caller_left(&mut self, now: Instant, reply: &std::sync::Weak<Reply>) {
        // A reply that is gone, or has no id, has been answered.
        let Some(id) = reply.upgrade().and_then(|reply| reply.id()) else { return };
        let error = CallError::new(ErrorKind::Canceled, "the caller went away");
        self.end_early(now, id, error, End::Canceled, now);
    }

    fn hand_out(&mut self, now: Instant, id: CallId, worker: WorkerId) {
        let (Some(pending), Some(staff)) = (self.calls.get_mut(&id), self.workers.get_mut(&worker)) else { return };
        let Some(Call { args, context, arrived, reply, .. }) = pending.call.take() else { return };
        pending.worker = Some(worker);
        staff.call = Some(id);
        if let Some(limit) = self.parts.limits.max_execution {
            pending.limit = now.checked_add(limit);
            self.clock.add(pending.limit, id);
        }
        // A worker that is gone is reported by its supervisor, and its call is answered then.
        drop(staff.actor.cast(WorkerMessage::Run(Assignment { id, args, context, arrived, reply })));
    }

    fn idle(&mut self, now: Instant, worker: WorkerId) {
        // A worker that was killed in the meantime takes no more calls.
        let Some(staff) = self.workers.get_mut(&worker).filter(|staff| staff.killed.is_none()) else { return };
        if let Some(call) = staff.call.take() {
            self.close(call);
        }
        self.on(now, Event::Idle(worker), None);
    }

    fn cannot_start(&mut self, now: Instant, worker: WorkerId, error: CallError) {
        tracing::warn!(function = %self.parts.id, %error, "no instance can be made");
        if let Some(call) = self.workers.remove(&worker).and_then(|staff| staff.call)
            && let Some(pending) = self.close(call)
        {
            pending.reply.send(Err(error.clone()));
        }
        self.parts.metrics.worker_ended(End::Instance);
        self.fault = Some(error.clone());
        self.on(now, Event::CannotStart(worker), Some(&error));
    }

    fn down(&mut self, now: Instant, worker: WorkerId, crash: Option<String>) {
        if let Some(staff) = self.workers.remove(&worker) {
            match staff.killed {
                Some((end, due)) => {
                    self.parts.metrics.kill_lateness(now.saturating_duration_since(due));
                    self.parts.metrics.worker_ended(end);
                }
                None => self.parts.metrics.worker_ended(End::Crash),
            }
            let why = crash.unwrap_or_else(|| "it was killed".to_owned());
            if let Some((call, pending)) = staff.call.and_then(|call| Some((call, self.close(call)?))) {
                tracing::error!(function = %self.parts.id, why, "a worker failed during a call");
                let message = format!("the worker that ran this call failed: {why}");
                let ran = staff.pulse.started(call).map(|started| now.saturating_duration_since(started));
                pending.reply.send_after(ran, Err(CallError::new(ErrorKind::Internal, message)));
            }
            self.lost += 1;
        }
        self.on(now, Event::Down(worker), None);
    }

    fn tick(&mut self, now: Instant) {
        for id in self.clock.due(now) {
            self.check(now, id);
        }
        if self.asked > 0 && now.saturating_duration_since(self.swept) >= SWEEP_EVERY {
            self.swept = now;
            let gone = self.calls.iter().filter(|(_, pending)| pending.asked && !pending.reply.is_awaited());
            for id in gone.map(|(id, _)| *id).collect::<Vec<_>>() {
                let error = CallError::new(ErrorKind::Canceled, "the caller went away");
                self.end_early(now, id, error, End::Canceled, now);
            }
        }
        let load = if self.pool.samples_load() { self.load(now) } else { Load::default() };
        self.on(now, Event::Tick(load), None);
    }

    /// Ends the call if one of its deadlines has passed, or sets the clock anew.
    fn check(&mut self, now: Instant, id: CallId) {
        let Some(pending) = self.calls.get_mut(&id) else { return };
        if let Some(deadline) = pending.deadline.filter(|deadline| *deadline <= now) {
            let state = if pending.worker.is_some() { "running" } else { "waiting in the queue" };
            let message = format!("the caller's timeout passed while the call was {state}");
            return self.end_early(now, id, CallError::new(ErrorKind::Timeout, message), End::Deadline, deadline);
        }
        let started = pending.worker.and_then(|worker| self.workers.get(&worker)?.pulse.started(id));
        if let Some(patience) = pending.patience.filter(|patience| *patience <= now && started.is_none()) {
            let error = out_of_patience(&self.parts.id);
            return self.end_early(now, id, error, End::Deadline, patience);
        }
        let Some(max) = self.parts.limits.max_execution.filter(|_| pending.worker.is_some()) else { return };
        // The time runs from the moment the worker starts the call, which may be later than the hand-out.
        let limit = started.unwrap_or(now) + max;
        if limit <= now {
            let message = format!("the call ran longer than limits.max_execution_ms ({} ms)", max.as_millis());
            return self.end_early(now, id, CallError::new(ErrorKind::Timeout, message), End::Deadline, limit);
        }
        pending.limit = Some(limit);
        self.clock.add(pending.limit, id);
    }

    /// Answers a call at once and kills the worker that runs it.
    fn end_early(&mut self, now: Instant, id: CallId, error: CallError, end: End, due: Instant) {
        // A worker that has answered in the meantime is no longer on this call and must not be killed.
        let Some(pending) = self.calls.get(&id) else { return };
        let worker = pending.worker;
        let started = worker.and_then(|worker| self.workers.get(&worker)).and_then(|staff| staff.pulse.started(id));
        let ran = started.map(|started| now.saturating_duration_since(started));
        if !pending.reply.send_after(ran, Err(error)) {
            return;
        }
        self.close(id);
        match worker.and_then(|worker| self.workers.get_mut(&worker)) {
            Some(staff) => {
                staff.call = None;
                staff.killed = Some((end, due));
                staff.actor.kill();
            }
            None => self.on(now, Event::Left(id), None),
        }
    }

    /// Forgets a call and its deadlines.
    fn close(&mut self, id: CallId) -> Option<Pending> {
        let pending = self.calls.remove(&id)?;
        self.clock.remove(pending.deadline, id);
        self.clock.remove(pending.patience, id);
        self.clock.remove(pending.limit, id);
        self.asked -= usize::from(pending.asked);
        Some(pending)
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

    fn load(&mut self, now: Instant) -> Load {
        let mut sum = Load::default();
        for staff in self.workers.values_mut() {
            let load = staff.pulse.load(now);
            sum.cpu += load.cpu.saturating_sub(staff.seen.cpu);
            sum.asleep += load.asleep.saturating_sub(staff.seen.asleep);
            staff.seen = load;
        }
        sum
    }

    fn wind_clock(&mut self) {
        let sweep = (self.asked > 0).then(|| self.swept + SWEEP_EVERY);
        let wake = [self.pool.wake_at(), sweep].into_iter().flatten().min();
        self.clock.wind(wake);
    }
}
