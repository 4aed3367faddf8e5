//! The gate of one function: bounds the calls that wait or run, before they reach a mailbox.
//!
//! Mailboxes of actors are unbounded; this is what bounds them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::sync::{Semaphore, TryAcquireError};

use crate::{
    call::{CallError, ErrorKind},
    metrics::FunctionMetrics,
    spec::{FunctionId, OnFull, PoolSpec},
};

/// The room of one call. Comes back when the call is answered.
pub(crate) struct Permit {
    gate: Arc<Gate>,
}

impl Permit {
    /// Whom to tell of the call.
    pub(crate) fn metrics(&self) -> &FunctionMetrics {
        &self.gate.metrics
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.inside.fetch_sub(1, Ordering::AcqRel);
        if let Some(turns) = &self.gate.turns {
            turns.add_permits(1);
        }
    }
}

/// Set in the count of those inside once nobody may come in any more.
const LOCKED: usize = 1 << (usize::BITS - 1);

/// The gate of one function.
pub(crate) struct Gate {
    id: FunctionId,
    metrics: Arc<FunctionMetrics>,
    capacity: usize,
    buffer: usize,
    closed: AtomicBool,
    /// Calls that run or wait, and `LOCKED`.
    inside: AtomicUsize,
    /// Where the pool lets callers wait for room: as many permits as there is room, given in turn.
    turns: Option<Semaphore>,
}

impl Gate {
    pub(crate) fn new(id: FunctionId, pool: &PoolSpec, metrics: Arc<FunctionMetrics>) -> Self {
        let capacity = pool.buffer.saturating_add(pool.sizing.workers_max()).min(Semaphore::MAX_PERMITS);
        let turns = (pool.on_full == OnFull::Wait).then(|| Semaphore::new(capacity));
        let (closed, inside) = (AtomicBool::new(false), AtomicUsize::new(0));
        Self { id, metrics, capacity, buffer: pool.buffer, closed, inside, turns }
    }

    /// Takes room for a call, or says at once why there is none. A closed gate lets `nested` calls in all the same: the
    /// calls that make them were let in before, and are to finish.
    pub(crate) fn try_enter(self: &Arc<Self>, nested: bool) -> Result<Permit, CallError> {
        self.open(nested)?;
        match self.turns.as_ref().map(Semaphore::try_acquire) {
            None => {}
            Some(Ok(turn)) => turn.forget(),
            Some(Err(TryAcquireError::Closed)) => return Err(self.stopping()),
            Some(Err(TryAcquireError::NoPermits)) => {
                self.open(nested)?;
                return Err(self.full());
            }
        }
        self.come_in(nested)
    }

    /// Takes room for a call; waits for it where the pool says `on_full: wait`.
    pub(crate) async fn enter(self: &Arc<Self>, nested: bool) -> Result<Permit, CallError> {
        let Some(turns) = &self.turns else { return self.try_enter(nested) };
        self.open(nested)?;
        let turn = turns.acquire().await.map_err(|_| self.stopping())?;
        // A gate that closed meanwhile is not full: trying again would not help.
        self.open(nested)?;
        turn.forget();
        self.come_in(nested)
    }

    fn come_in(self: &Arc<Self>, nested: bool) -> Result<Permit, CallError> {
        let enter = |inside| (inside < self.capacity).then_some(inside + 1);
        match self.inside.fetch_update(Ordering::AcqRel, Ordering::Acquire, enter) {
            Ok(_) => Ok(Permit { gate: Arc::clone(self) }),
            Err(inside) if inside & LOCKED != 0 => Err(self.stopping()),
            Err(_) => {
                self.open(nested)?;
                Err(self.full())
            }
        }
    }

    /// Lets no call in from now on, but nested ones.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Lets nobody in from now on, not even who looked just before whether the gate is open.
    pub(crate) fn lock(&self) {
        self.close();
        self.inside.fetch_or(LOCKED, Ordering::AcqRel);
        if let Some(turns) = &self.turns {
            turns.close();
        }
    }

    /// Whether callers may wait for room.
    pub(crate) fn lets_wait(&self) -> bool {
        self.turns.is_some()
    }

    /// Calls that may run or wait.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Calls that run or wait.
    pub(crate) fn inside(&self) -> usize {
        self.inside.load(Ordering::Acquire) & !LOCKED
    }

    fn open(&self, nested: bool) -> Result<(), CallError> {
        if nested || !self.closed.load(Ordering::Acquire) { Ok(()) } else { Err(self.stopping()) }
    }

    fn stopping(&self) -> CallError {
        CallError::new(ErrorKind::Unavailable, format!("`{}` is shutting down and takes no new calls", self.id))
    }

    fn full(&self) -> CallError {
        let message = format!(
            "the queue of `{}` is full: {} calls run or wait (pool.buffer is {})",
            self.id, self.capacity, self.buffer
        );
        CallError::new(ErrorKind::RateLimited, message).with_retry_after(std::time::Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::PoolSpec;

    fn gate(on_full: OnFull) -> Arc<Gate> {
        let pool = PoolSpec { on_full, ..PoolSpec::fixed(1, 1).with_buffer(1) };
        let metrics = Arc::new(FunctionMetrics::new("t:gate"));
        Arc::new(Gate::new("t:gate".parse().expect("an id"), &pool, metrics))
    }

    #[tokio::test]
    async fn a_full_gate_refuses_and_room_comes_back() {
        let gate = gate(OnFull::Refuse);
        let first = gate.enter(false).await.expect("room for the running call");
        let _second = gate.enter(false).await.expect("room for the waiting call");
        let refused = gate.enter(false).await.map(drop).expect_err("no room for a third");
        assert_eq!(refused.kind(), ErrorKind::RateLimited);
        assert!(refused.message().contains("pool.buffer is 1"), "{refused}");
        drop(first);
        gate.enter(false).await.expect("room came back");
    }

    #[tokio::test]
    async fn a_closed_gate_lets_nested_calls_in_until_it_is_locked() {
        let gate = gate(OnFull::Refuse);
        let inside = gate.enter(false).await.expect("room");
        gate.close();
        assert_eq!(gate.inside(), 1);
        assert_eq!(gate.enter(false).await.map(drop).expect_err("closed").kind(), ErrorKind::Unavailable);
        let nested = gate.enter(true).await.expect("the call that makes it was let in before");
        assert_eq!(gate.inside(), 2);
        drop((inside, nested));
        assert_eq!(gate.inside(), 0);
        gate.lock();
        assert_eq!(gate.enter(true).await.map(drop).expect_err("locked").kind(), ErrorKind::Unavailable);
        assert_eq!(gate.inside(), 0);
    }

    #[tokio::test]
    async fn whoever_waits_at_a_gate_that_closes_hears_that_it_stops() {
        let gate = gate(OnFull::Wait);
        let inside = [gate.enter(false).await.expect("room"), gate.enter(false).await.expect("room")];
        let waiting = |nested| {
            let gate = gate.clone();
            tokio::spawn(async move { gate.enter(nested).await.map(drop) })
        };
        let (outside, nested) = (waiting(false), waiting(true));
        tokio::task::yield_now().await;
        gate.close();
        drop(inside);
        assert_eq!(outside.await.expect("no panic").expect_err("closed").kind(), ErrorKind::Unavailable);
        nested.await.expect("no panic").expect("nested calls finish");
    }

    #[tokio::test]
    async fn a_waiting_gate_lets_the_call_in_when_room_comes_back() {
        let gate = gate(OnFull::Wait);
        let first = gate.enter(false).await.expect("room");
        let _second = gate.enter(false).await.expect("room");
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter(false).await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        waiting.await.expect("no panic").expect("room came back");
    }
}
