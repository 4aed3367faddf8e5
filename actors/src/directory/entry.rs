//! One function as callers meet it: a call passes its gate, goes to its dispatcher, and is cancelled when nobody waits for
//! the answer any more.

use std::{
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
    time::Instant,
};

use ractor::ActorRef;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::{
    call::{Answer, CallError, CallOptions, ErrorKind, Payload, Port, Reply, out_of_patience, trace},
    dispatcher::{Call, CallMessage, Gate, Permit, RunQueue},
    executor::{self, Executor},
    metrics::FunctionMetrics,
    spec::FunctionId,
};

/// What a caller needs of a function.
pub(crate) struct Entry {
    pub(crate) id: FunctionId,
    pub(crate) dispatcher: ActorRef<CallMessage>,
    pub(crate) queue: Arc<RunQueue>,
    pub(crate) executor: Arc<dyn Executor>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) metrics: Arc<FunctionMetrics>,
}

impl Entry {
    /// Counts a call that ends here when the result is an error.
    pub(crate) fn refusing<T>(&self, result: Result<T, CallError>) -> Result<T, CallError> {
        result.inspect_err(|error| self.metrics.answered(Err(error)))
    }

    /// Calls the function with JSON arguments, for a JSON result.
    pub(crate) async fn call_json(&self, args: Vec<Value>, options: CallOptions) -> Result<Value, CallError> {
        let args = self.refusing(executor::fit(Payload::Json(args), &*self.executor))?;
        self.call(args, options).await.map(|answer| executor::json(answer, &*self.executor))
    }

    /// Calls the function with arguments that fit it.
    pub(crate) async fn call(&self, args: Payload, options: CallOptions) -> Result<Answer, CallError> {
        self.start(args, options).await?.await
    }

    /// Lets a call in and leaves it in the run queue.
    pub(crate) async fn start(&self, args: Payload, options: CallOptions) -> Result<Running, CallError> {
        let now = Instant::now();
        let permit = match self.refusing(self.enter(&options, now).await) {
            Ok(permit) => permit,
            Err(error) => {
                // A refusal never waits: a caller that tries again at once would keep its thread from the dispatcher.
                tokio::task::yield_now().await;
                return Err(error);
            }
        };
        let (span, options) = trace::begin(&self.id, options);
        let (sender, answer) = oneshot::channel();
        let reply = Reply::new(Port::Future(sender), permit, span);
        let call = Arc::new(Call::new(options, now, reply));
        let running = Running { dispatcher: self.dispatcher.clone(), call: Some(Arc::downgrade(&call)), answer };
        self.queue.push(call, args);
        Ok(running)
    }

    /// Waits at the gate, where the pool lets calls wait, for as long as the call may.
    async fn enter(&self, options: &CallOptions, now: Instant) -> Result<Permit, CallError> {
        let nested = options.context.depth > 0;
        options.in_time(now)?;
        match self.gate.try_enter(nested) {
            Err(error) if self.gate.lets_wait() && error.kind() == ErrorKind::RateLimited => {}
            entered => return entered,
        }
        let deadline = options.deadline(now);
        let patience = options.context.patience().map(|patience| now + patience);
        let Some(until) = deadline.into_iter().chain(patience).min() else {
            return self.gate.enter(nested).await;
        };
        tokio::time::timeout_at(until.into(), self.gate.enter(nested)).await.unwrap_or_else(|_| {
            if deadline != Some(until) {
                return Err(out_of_patience(&self.id));
            }
            let message = "the caller's timeout passed while the call waited for room in the queue";
            Err(CallError::new(ErrorKind::Timeout, message))
        })
    }
}

/// A call that was let in: a future of its answer. Dropping it before the answer has come cancels the call.
#[derive(Debug)]
pub(crate) struct Running {
    dispatcher: ActorRef<CallMessage>,
    call: Option<Weak<Call>>,
    answer: oneshot::Receiver<Result<Answer, CallError>>,
}

impl Running {
    /// Lets the call go on without anybody who waits for its answer.
    pub(crate) fn detach(mut self) {
        self.call = None;
    }
}

impl Future for Running {
    type Output = Result<Answer, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(cx));
        self.call = None;
        Poll::Ready(answer.unwrap_or_else(|_| Err(CallError::new(ErrorKind::Internal, "the call was lost"))))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            // Without a dispatcher there is nothing to cancel.
            drop(self.dispatcher.cast(CallMessage::cancel(call)));
        }
    }
}
