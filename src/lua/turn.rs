//! The turns of a call: it gives its thread up each millisecond, and where it cannot, it ends some time after its deadline.
//!
//! A call cannot give its thread up within a function of C that calls back: in `table.sort` and `string.gsub`, and in some
//! metamethods.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use mlua::{HookTriggers, Lua, MultiValue, VmState, thread::AsyncThread};

/// How many instructions of Lua are between two looks at the clock. Each may be a concatenation of megabytes: where they take
/// long, there are fewer.
const INSTRUCTIONS: u32 = 1_000;

/// How long a call keeps its thread.
const TURN: Duration = Duration::from_millis(1);

/// How long a call may keep its thread where it cannot give it up.
pub(super) const STUCK_MAX: Duration = Duration::from_secs(10);

/// The turn that a call has.
#[derive(Clone)]
pub(super) struct Turns(Arc<Mutex<Turn>>);

struct Turn {
    began: Instant,
    /// It was to give its thread up, and may not have been able to.
    is_over: bool,
    deadline: Option<Instant>,
    /// It was stopped because of its deadline.
    is_late: bool,
    looked: Instant,
    /// Instructions from one look to the next.
    every: u32,
}

impl Turn {
    /// What a look at the clock leads to; nothing is the end of the call.
    fn look(&mut self, now: Instant) -> Option<VmState> {
        let kept = now.saturating_duration_since(self.began);
        if kept < TURN {
            return Some(VmState::Continue);
        }
        let is_late = self.deadline.is_some_and(|deadline| deadline <= now);
        if self.is_over && (is_late || kept > STUCK_MAX) {
            self.is_late |= is_late;
            return None;
        }
        self.is_over = true;
        Some(VmState::Yield)
    }

    /// How many instructions the next look comes after, when that changes. Whatever catches the end of its call meets it
    /// again at its next instruction.
    fn adapt(&mut self, now: Instant, goes_on: bool) -> Option<u32> {
        let took = now.saturating_duration_since(std::mem::replace(&mut self.looked, now));
        let every = match goes_on {
            false => 1,
            true if took > TURN => (self.every / 8).max(1),
            true if took < TURN / 16 => (self.every * 2).min(INSTRUCTIONS),
            true => self.every,
        };
        (std::mem::replace(&mut self.every, every) != every || !goes_on).then_some(every)
    }
}

impl Turns {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let turn =
            Turn { began: now, is_over: false, deadline: None, is_late: false, looked: now, every: INSTRUCTIONS };
        Self(Arc::new(Mutex::new(turn)))
    }

    /// For all coroutines of a VM, from now on.
    pub(super) fn install(&self, lua: &Lua) -> mlua::Result<()> {
        self.look_every(lua, INSTRUCTIONS)
    }

    fn look_every(&self, lua: &Lua, instructions: u32) -> mlua::Result<()> {
        let turns = self.clone();
        lua.set_global_hook(HookTriggers::new().every_nth_instruction(instructions), move |lua, _| {
            let now = Instant::now();
            let (goes_on, every) = {
                let mut turn = turns.turn();
                let goes_on = turn.look(now);
                let every = turn.adapt(now, goes_on.is_some());
                (goes_on, every)
            };
            if let Some(every) = every {
                turns.look_every(lua, every)?;
                // That goes through all frames, of which there may be many.
                turns.turn().looked = Instant::now();
            }
            goes_on.ok_or_else(stopped)
        })
    }

    /// Whether the turn is over, asked by our own code where one instruction takes long.
    ///
    /// # Errors
    /// When the call has to end, because it does not give its thread up.
    pub(super) fn is_over(&self, lua: &Lua) -> mlua::Result<bool> {
        let goes_on = self.turn().look(Instant::now());
        if goes_on.is_none() {
            self.look_every(lua, 1)?;
        }
        goes_on.map(|state| matches!(state, VmState::Yield)).ok_or_else(stopped)
    }

    /// A call begins, which is to end by then.
    pub(super) fn call(&self, deadline: Option<Instant>) {
        let mut turn = self.turn();
        (turn.deadline, turn.is_late) = (deadline, false);
    }

    /// Whether the call was stopped because of its deadline: whoever set that has answered, or is about to.
    pub(super) fn are_late(&self) -> bool {
        self.turn().is_late
    }

    /// A turn begins.
    pub(super) fn begin(&self) {
        let mut turn = self.turn();
        let now = Instant::now();
        (turn.began, turn.looked, turn.is_over) = (now, now, false);
    }

    /// The next coroutine has what is left of the turn. Whether anything is.
    fn next(&self) -> bool {
        let mut turn = self.turn();
        turn.is_over = false;
        turn.began.elapsed() < TURN
    }

    fn turn(&self) -> std::sync::MutexGuard<'_, Turn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A coroutine of a call, which has its turn with the others: all together have one.
pub(super) struct Turning {
    thread: AsyncThread<MultiValue>,
    turns: Turns,
    /// It gave its thread up in its last turn, perhaps between asking whether what it waits for is there and waiting for it:
    /// a wake in between would be lost.
    asks_again: bool,
}

impl Turning {
    pub(super) fn new(thread: AsyncThread<MultiValue>, turns: &Turns) -> Self {
        Self { thread, turns: turns.clone(), asks_again: false }
    }
}

impl Future for Turning {
    type Output = mlua::Result<MultiValue>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if !this.turns.next() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let polled = Pin::new(&mut this.thread).poll(cx);
        if polled.is_pending() {
            let is_over = this.turns.turn().is_over;
            if is_over || this.asks_again {
                cx.waker().wake_by_ref();
            }
            this.asks_again = is_over;
        }
        polled
    }
}

fn stopped() -> mlua::Error {
    mlua::Error::runtime("the call was stopped: it ran too long where it cannot be interrupted")
}
