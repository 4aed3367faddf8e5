//! The root of the tree: one child per function, which is its supervisor, or its dispatcher while nobody has called it.
//! It starts again what ends unasked.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, ActorStatus, RpcReplyPort, SpawnErr, SupervisionEvent};

use crate::{
    function::{Alone, Begun, Function, FunctionParts},
    metrics::Restart,
};

/// What the root is told.
pub(crate) enum RootMessage {
    /// Start this function; say when its dispatcher takes calls, or why it could not be started.
    Add(Arc<FunctionParts>, RpcReplyPort<Result<(), String>>),
    /// Start the supervisor of this dispatcher, whose pool wants its first worker.
    Supervise(ActorId),
    /// Start this function again, after it could not be.
    Revive(Arc<FunctionParts>),
}

pub(crate) struct Root;

#[derive(Default)]
pub(crate) struct RootState {
    functions: HashMap<ActorId, Child>,
}

enum Child {
    Supervisor(Arc<FunctionParts>),
    Dispatcher(Alone),
}

/// How long the root waits before it tries again to start a supervisor that could not be started.
const REVIVE_AFTER: Duration = Duration::from_secs(1);

impl Actor for Root {
    type Msg = RootMessage;
    type State = RootState;
    type Arguments = ();

    async fn pre_start(&self, _myself: ActorRef<RootMessage>, (): ()) -> Result<RootState, ActorProcessingErr> {
        Ok(RootState::default())
    }

    async fn handle(
        &self,
        myself: ActorRef<RootMessage>,
        message: RootMessage,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RootMessage::Add(parts, reply) => {
                let started = match parts.keeps_workers() {
                    true => state.start(&myself, parts).await,
                    false => state.start_alone(&myself, parts).await,
                };
                let started = started.map_err(|error| error.to_string());
                // Whoever asked and went away does not need to know.
                drop(reply.send(started));
            }
            RootMessage::Supervise(dispatcher) => state.supervise(&myself, dispatcher).await,
            RootMessage::Revive(parts) => state.revive(&myself, parts).await,
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<RootMessage>,
        event: SupervisionEvent,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        if is_ending(&myself) {
            return Ok(());
        }
        let (cell, why) = match event {
            SupervisionEvent::ActorTerminated(cell, _, _) => (cell, "it was stopped".to_owned()),
            SupervisionEvent::ActorFailed(cell, error) => (cell, error.to_string()),
            // A start, and what groups and clusters report, changes nothing here.
            _ => return Ok(()),
        };
        let (parts, what) = match state.functions.remove(&cell.get_id()) {
            Some(Child::Supervisor(parts)) => (parts, Restart::Supervisor),
            Some(Child::Dispatcher(alone)) => (alone.parts, Restart::Dispatcher),
            None => return Ok(()),
        };
        tracing::error!(function = %parts.id, why, "the {} of a function ended; starting it again", what.name());
        parts.metrics.restarted(what);
        state.revive(&myself, parts).await;
        Ok(())
    }
}

impl RootState {
    async fn start(&mut self, myself: &ActorRef<RootMessage>, parts: Arc<FunctionParts>) -> Result<(), SpawnErr> {
        let begun = Begun::from(parts.clone());
        let (supervisor, _) = Function::spawn_linked(None, Function, begun, myself.get_cell()).await?;
        self.functions.insert(supervisor.get_id(), Child::Supervisor(parts));
        Ok(())
    }

    /// Starts a function without its supervisor.
    async fn start_alone(&mut self, myself: &ActorRef<RootMessage>, parts: Arc<FunctionParts>) -> Result<(), SpawnErr> {
        let alone = Alone::start(myself, parts).await?;
        self.functions.insert(alone.id(), Child::Dispatcher(alone));
        Ok(())
    }

    async fn supervise(&mut self, myself: &ActorRef<RootMessage>, dispatcher: ActorId) {
        // One that has ended meanwhile has answered its calls, and another is there.
        let Some(Child::Dispatcher(alone)) = self.functions.get(&dispatcher) else { return };
        match alone.supervise(myself).await {
            Ok(supervisor) => {
                if let Some(Child::Dispatcher(alone)) = self.functions.remove(&dispatcher) {
                    self.functions.insert(supervisor, Child::Supervisor(alone.parts));
                }
            }
            // The function ends with all others.
            Err(_) if is_ending(myself) => {}
            Err(error) => {
                tracing::error!(function = %alone.parts.id, %error, "the supervisor could not be started");
                // The dispatcher ends, too. Whether the root hears of it is not known: for a moment it may have been the
                // supervisor's.
                if let Some(Child::Dispatcher(alone)) = self.functions.remove(&dispatcher) {
                    alone.parts.metrics.restarted(Restart::Dispatcher);
                    self.revive(myself, alone.parts).await;
                }
            }
        }
    }

    async fn revive(&mut self, myself: &ActorRef<RootMessage>, parts: Arc<FunctionParts>) {
        // Its old dispatcher, which ends with its supervisor, still has the name for a moment.
        if let Some(old) = ractor::registry::where_is(parts.dispatcher_name()) {
            drop(old.wait(Some(REVIVE_AFTER)).await);
        }
        if let Err(error) = self.start(myself, parts.clone()).await {
            tracing::error!(function = %parts.id, %error, "the supervisor could not be started again; trying later");
            // The timer ends with the root.
            drop(myself.send_after(REVIVE_AFTER, move || RootMessage::Revive(Arc::clone(&parts))));
        }
    }
}

/// Whether the root takes no more messages after this one: its functions are ending as they should.
fn is_ending(myself: &ActorRef<RootMessage>) -> bool {
    myself.get_status() >= ActorStatus::Draining
}
