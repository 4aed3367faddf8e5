//! What a dispatcher is told. Actors outside send it calls; everything else comes from within the tree.

use std::{
    sync::{Arc, Weak},
    time::Instant,
};

use ractor::{ActorRef, RpcReplyPort};

use crate::{
    call::{Answer, CallError, CallOptions, Context, Payload, Reply, stopped},
    pool::WorkerId,
    tree::PoolNode,
    worker::{Pulse, WorkerMessage},
};

/// A message to a function's dispatcher.
///
/// Actors send calls; the reply port has exactly one answer, whatever happens:
///
/// ```no_run
/// use greenroom_actors::{Answer, CallError, CallMessage, Payload};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let cell = ractor::registry::where_is("greenroom/myns:compute").ok_or("no such function")?;
/// let dispatcher = ractor::ActorRef::<CallMessage>::from(cell);
/// let args = Payload::Json(vec![6.into(), 7.into()]);
/// let answer: Result<Answer, CallError> = ractor::call!(dispatcher, CallMessage::call, args)?;
/// # Ok(())
/// # }
/// ```
pub struct CallMessage(pub(super) Message);

pub(super) enum Message {
    Call(Box<Call>),
    Ask(Box<Ask>),
    Cancel(Weak<Reply>),
    Up { worker: WorkerId, actor: ActorRef<WorkerMessage>, pulse: Arc<Pulse> },
    Idle(WorkerId),
    CannotStart { worker: WorkerId, error: CallError },
    Down { worker: WorkerId, crash: Option<String> },
    MakeRoom,
    Look(RpcReplyPort<PoolNode>),
    Tick,
}

/// A call that has its place in the gate.
pub(crate) struct Call {
    pub(super) args: Payload,
    pub(super) context: Arc<Context>,
    pub(super) arrived: Instant,
    pub(super) deadline: Option<Instant>,
    /// When it has waited for too long, if no worker has started it by then.
    pub(super) patience: Option<Instant>,
    pub(super) reply: Arc<Reply>,
}

impl Call {
    pub(crate) fn new(args: Payload, options: &CallOptions, now: Instant, reply: Arc<Reply>) -> Self {
        let deadline = options.deadline(now);
        let context = match deadline == options.context.deadline {
            true => options.context.clone(),
            // Nested calls must end when this one must.
            false => Arc::new(Context { deadline, ..(*options.context).clone() }),
        };
        let patience = context.patience().map(|patience| now + patience);
        Self { args, context, arrived: now, deadline, patience, reply }
    }
}

/// A call as an actor sends it. One that is dropped before it was taken in answers `unavailable`.
pub(crate) struct Ask(Option<Asked>);

pub(super) struct Asked {
    pub(super) args: Payload,
    pub(super) options: CallOptions,
    pub(super) port: RpcReplyPort<Result<Answer, CallError>>,
}

impl Ask {
    pub(super) fn take(mut self) -> Option<Asked> {
        self.0.take()
    }
}

impl Drop for Ask {
    fn drop(&mut self) {
        if let Some(Asked { port, .. }) = self.0.take() {
            // An actor that has gone away needs no answer.
            drop(port.send(Err(stopped())));
        }
    }
}

impl CallMessage {
    /// A call with default options. A timeout of the reply port bounds the call too.
    pub fn call(args: Payload, port: RpcReplyPort<Result<Answer, CallError>>) -> Self {
        Self::call_with(args, CallOptions::default(), port)
    }

    /// A call with options.
    pub fn call_with(args: Payload, options: CallOptions, port: RpcReplyPort<Result<Answer, CallError>>) -> Self {
        Self(Message::Ask(Box::new(Ask(Some(Asked { args, options, port })))))
    }

    pub(crate) fn admitted(call: Call) -> Self {
        Self(Message::Call(Box::new(call)))
    }

    pub(crate) fn cancel(reply: Weak<Reply>) -> Self {
        Self(Message::Cancel(reply))
    }

    pub(crate) fn up(worker: WorkerId, actor: ActorRef<WorkerMessage>, pulse: Arc<Pulse>) -> Self {
        Self(Message::Up { worker, actor, pulse })
    }

    pub(crate) fn idle(worker: WorkerId) -> Self {
        Self(Message::Idle(worker))
    }

    pub(crate) fn cannot_start(worker: WorkerId, error: CallError) -> Self {
        Self(Message::CannotStart { worker, error })
    }

    pub(crate) fn down(worker: WorkerId, crash: Option<String>) -> Self {
        Self(Message::Down { worker, crash })
    }

    /// Others wait for a place among all instances.
    pub(crate) fn make_room() -> Self {
        Self(Message::MakeRoom)
    }

    /// Somebody wants to see the pool.
    pub(crate) fn look(port: RpcReplyPort<PoolNode>) -> Self {
        Self(Message::Look(port))
    }

    pub(super) fn tick() -> Self {
        Self(Message::Tick)
    }
}
