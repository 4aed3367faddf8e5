//! Whom a run queue asks for workers: its function's supervisor, or, while there is none, the root for one.
//!
//! An actor takes some kilobytes, and a function whose pool keeps no worker may never be called. So its supervisor comes
//! with the first worker that is wanted.

use ractor::{ActorId, ActorRef};

use crate::{function::FunctionMessage, pool::WorkerId, root::RootMessage};

pub(crate) enum Staffing {
    /// The supervisor starts workers.
    Supervised(ActorRef<FunctionMessage>),
    /// The root starts a supervisor, which then hears of the workers that were wanted meanwhile.
    Alone(ActorRef<RootMessage>, Vec<FunctionMessage>),
}

impl Staffing {
    /// Asks for a worker of this dispatcher.
    pub(super) fn ask(&mut self, dispatcher: ActorId, worker: WorkerId, probe: bool) {
        let wanted = FunctionMessage::Spawn { dispatcher, worker, probe };
        // A supervisor or a root that is gone takes the dispatcher, and with it the queue, along.
        match self {
            Self::Supervised(supervisor) => drop(supervisor.cast(wanted)),
            Self::Alone(root, before) => {
                if before.is_empty() {
                    drop(root.cast(RootMessage::Supervise(dispatcher)));
                }
                before.push(wanted);
            }
        }
    }

    /// The supervisor is there.
    pub(super) fn supervised(&mut self, supervisor: ActorRef<FunctionMessage>) {
        if let Self::Alone(_, wanted) = std::mem::replace(self, Self::Supervised(supervisor.clone())) {
            wanted.into_iter().for_each(|wanted| drop(supervisor.cast(wanted)));
        }
    }
}
