//! A call that was let in: what its run queue, its worker and its caller share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use crate::{
    call::{CallOptions, Context, Payload, Reply},
    pool::WorkerId,
};

/// Names a call within its run queue. Later calls have greater ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CallId(pub(crate) u64);

/// A call that has its place in the gate.
pub(crate) struct Call {
    pub(crate) context: Arc<Context>,
    pub(crate) arrived: Instant,
    pub(crate) reply: Reply,
    /// When the caller stops waiting.
    pub(super) deadline: Option<Instant>,
    /// When it has waited for too long, if no worker has started it by then.
    pub(super) patience: Option<Instant>,
    /// Its caller is an actor, which cannot say that it went away.
    pub(super) asked: bool,
    /// Set once, by the run queue; 0 before. Read and written with its lock held, as is the next.
    id: AtomicU64,
    /// The worker that it was handed to; 0 before.
    worker: AtomicU64,
}

impl Call {
    pub(crate) fn new(options: CallOptions, now: Instant, reply: Reply) -> Self {
        let deadline = options.deadline(now);
        let mut context = options.context;
        if deadline != context.deadline {
            // Nested calls must end when this one must.
            Arc::make_mut(&mut context).deadline = deadline;
        }
        let patience = context.patience().map(|patience| now + patience);
        let (id, worker) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { context, arrived: now, reply, deadline, patience, asked: false, id, worker }
    }

    /// The same call, of an actor.
    pub(super) fn asked(self) -> Self {
        Self { asked: true, ..self }
    }

    /// Its name in the run queue.
    pub(crate) fn id(&self) -> CallId {
        CallId(self.id.load(Ordering::Relaxed))
    }

    pub(super) fn worker(&self) -> Option<WorkerId> {
        Some(self.worker.load(Ordering::Relaxed)).filter(|worker| *worker != 0).map(WorkerId)
    }

    pub(super) fn name(&self, id: CallId) {
        self.id.store(id.0, Ordering::Relaxed);
    }

    pub(super) fn hand_to(&self, worker: WorkerId) {
        self.worker.store(worker.0, Ordering::Relaxed);
    }
}

/// A call on its way to a worker.
pub(crate) struct Assignment {
    pub(crate) call: Arc<Call>,
    pub(crate) args: Payload,
}
