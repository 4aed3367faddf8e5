//! What a dispatcher is told. Actors outside send it calls; everything else comes from within the tree.

use std::sync::Weak;

use ractor::RpcReplyPort;

use super::Call;
use crate::{
    call::{Answer, CallError, CallOptions, Payload, stopped},
    tree::PoolNode,
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
    Ask(Box<Ask>),
    Cancel(Weak<Call>),
    MakeRoom,
    Look(RpcReplyPort<PoolNode>),
    /// The run queue is to be looked at sooner than was known.
    Wind,
    Tick,
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

    /// The caller of this call went away.
    pub(crate) fn cancel(call: Weak<Call>) -> Self {
        Self(Message::Cancel(call))
    }

    /// Others wait for a place among all instances.
    pub(crate) fn make_room() -> Self {
        Self(Message::MakeRoom)
    }

    /// Somebody wants to see the pool.
    pub(crate) fn look(port: RpcReplyPort<PoolNode>) -> Self {
        Self(Message::Look(port))
    }

    pub(super) fn wind() -> Self {
        Self(Message::Wind)
    }

    pub(super) fn tick() -> Self {
        Self(Message::Tick)
    }
}
