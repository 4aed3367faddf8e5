//! Looking at the tree: every dispatcher is asked at once, and none is waited for longer than a moment.

use std::time::Duration;

use ractor::rpc::CallResult;

use super::Runtime;
use crate::{
    directory::Entry,
    dispatcher::CallMessage,
    tree::{FunctionNode, FunctionState, Tree},
};

/// How long a dispatcher may take to answer. One that takes longer is shown as silent.
const ANSWER_MAX: Duration = Duration::from_secs(1);

impl Runtime {
    /// Looks at the tree: every function with its state, calls, workers, restarts and last error. Takes a second at most:
    /// a dispatcher that has not answered by then is [silent](FunctionState::Silent).
    pub async fn tree(&self) -> Tree {
        let entries = self.0.directory.entries();
        let functions = futures::future::join_all(entries.iter().map(|entry| look(entry))).await;
        Tree {
            runtime: self.name().to_owned(),
            guest_threads: self.guest_threads(),
            instances_available: self.instances_available(),
            functions,
        }
    }
}

async fn look(entry: &Entry) -> FunctionNode {
    let pool = match entry.dispatcher.call(CallMessage::look, Some(ANSWER_MAX)).await {
        Ok(CallResult::Success(pool)) => Some(pool),
        _ => None,
    };
    let state = match &pool {
        None => FunctionState::Silent,
        Some(pool) if pool.degraded.is_some() => FunctionState::Degraded,
        Some(_) => FunctionState::Ready,
    };
    FunctionNode {
        id: entry.id.clone(),
        state,
        calls: entry.gate.inside(),
        calls_max: entry.gate.capacity(),
        pool,
        restarts: entry.metrics.restarts(),
        last_error: entry.metrics.last_error(),
    }
}
