//! The turns of a call: it gives its thread up each millisecond, and where it cannot, it ends some time after its deadline.
//!
//! A call cannot give its thread up within a function of C that calls back: in `table.sort` and `string.gsub`, and in some
//! metamethods.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mlua::{HookTriggers, Lua, VmState};

/// How many instructions of Lua are between two looks at the clock.
const INSTRUCTIONS: u32 = 10_000;

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
}

impl Turns {
    /// Turns for all coroutines of a VM.
    pub(super) fn install(lua: &Lua) -> mlua::Result<Self> {
        let turn = Turn { began: Instant::now(), is_over: false, deadline: None, is_late: false };
        let turns = Self(Arc::new(Mutex::new(turn)));
        turns.look_every(lua, INSTRUCTIONS)?;
        Ok(turns)
    }

    fn look_every(&self, lua: &Lua, instructions: u32) -> mlua::Result<()> {
        let turns = self.clone();
        lua.set_global_hook(HookTriggers::new().every_nth_instruction(instructions), move |lua, _| {
            let goes_on = turns.turn().look(Instant::now());
            if goes_on.is_none() {
                // Whatever catches this meets it again at its next instruction.
                turns.look_every(lua, 1)?;
            }
            goes_on.ok_or_else(|| {
                mlua::Error::runtime("the call was stopped: it ran too long where it cannot be interrupted")
            })
        })
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
        turn.began = Instant::now();
        turn.is_over = false;
    }

    fn turn(&self) -> std::sync::MutexGuard<'_, Turn> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
