//! Whom a run queue asks for workers: its function's supervisor, or, while there is none, the root for one.
//!
//! An actor takes some kilobytes, and a function whose pool keeps no worker may never be called. So its supervisor comes
//! with the first worker that is wanted.

use ractor::{ActorId, ActorRef};

use crate::{function::FunctionMessage, root::RootMessage};

pub(crate) enum Staffing {
    /// The supervisor starts workers.
    Supervised(ActorRef<FunctionMessage>),
    /// The root starts a supervisor, which then hears of the workers that were wanted meanwhile.
    Alone(ActorRef<RootMessage>, Vec<FunctionMessage>),
}

impl Staffing {
    /// Asks for a worker. Returns whether a supervisor must be asked for, because this is the first.
    pub(super) fn ask(&mut self, message: FunctionMessage) -> bool {
        match self {
            // A supervisor that is gone takes its dispatcher, and with it the queue, along.
            Self::Supervised(supervisor) => drop(supervisor.cast(message)),
            Self::Alone(_, wanted) => {
                wanted.push(message);
                return wanted.len() == 1;
            }
        }
        false
    }

    /// Asks the root for a supervisor of this dispatcher.
    pub(super) fn call_for_supervisor(&self, dispatcher: ActorId) {
        if let Self::Alone(root, _) = self {
            // A root that is gone takes the dispatcher, and with it the queue, along.
            drop(root.cast(RootMessage::Supervise(dispatcher)));
        }
    }

    /// The supervisor is there.
    pub(super) fn supervised(&mut self, supervisor: ActorRef<FunctionMessage>) {
        if let Self::Alone(_, wanted) = std::mem::replace(self, Self::Supervised(supervisor)) {
            for message in wanted {
                self.ask(message);
            }
        }
    }
}
