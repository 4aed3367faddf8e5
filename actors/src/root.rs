//! The root of the tree: one child per function. It starts a function's supervisor again when that ends unasked.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};

use crate::{
    function::{Function, FunctionMessage, FunctionParts},
    metrics::Restart,
};

/// What the root is told.
pub(crate) enum RootMessage {
    /// Start this function; say when its dispatcher takes calls, or why it could not be started.
    Add(Arc<FunctionParts>, RpcReplyPort<Result<(), String>>),
    /// Start this function again, after it could not be.
    Revive(Arc<FunctionParts>),
}

pub(crate) struct Root;

#[derive(Default)]
pub(crate) struct RootState {
    functions: HashMap<ActorId, Arc<FunctionParts>>,
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
                let started = state.start(&myself, parts).await.map(drop).map_err(|(_, error)| error);
                // Whoever asked and went away does not need to know.
                drop(reply.send(started));
            }
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
        let (cell, why) = match event {
            SupervisionEvent::ActorTerminated(cell, _, _) => (cell, "it was stopped".to_owned()),
            SupervisionEvent::ActorFailed(cell, error) => (cell, error.to_string()),
            // A start, and what groups and clusters report, changes nothing here.
            _ => return Ok(()),
        };
        if let Some(parts) = state.functions.remove(&cell.get_id()) {
            tracing::error!(function = %parts.id, why, "the supervisor of a function ended; starting it again");
            parts.metrics.restarted(Restart::Supervisor);
            state.revive(&myself, parts).await;
        }
        Ok(())
    }
}

impl RootState {
    async fn start(
        &mut self,
        myself: &ActorRef<RootMessage>,
        parts: Arc<FunctionParts>,
    ) -> Result<ActorRef<FunctionMessage>, (Arc<FunctionParts>, String)> {
        match Function::spawn_linked(None, Function, Arc::clone(&parts), myself.get_cell()).await {
            Ok((supervisor, _)) => {
                self.functions.insert(supervisor.get_id(), parts);
                Ok(supervisor)
            }
            Err(error) => Err((parts, error.to_string())),
        }
    }

    async fn revive(&mut self, myself: &ActorRef<RootMessage>, parts: Arc<FunctionParts>) {
        if let Err((parts, error)) = self.start(myself, parts).await {
            tracing::error!(function = %parts.id, error, "the supervisor could not be started again; trying later");
            // The timer ends with the root.
            drop(myself.send_after(REVIVE_AFTER, move || RootMessage::Revive(Arc::clone(&parts))));
        }
    }
}
