//! The gate of one function: bounds the calls that wait or run, before they reach a mailbox.
//!
//! Mailboxes of actors are unbounded; this is what bounds them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use crate::{
    call::{CallError, ErrorKind},
    spec::{FunctionId, OnFull, PoolSpec},
};

/// The room of one call. Comes back when the call is answered.
#[derive(Debug)]
pub(crate) struct Permit {
    _room: OwnedSemaphorePermit,
}

/// The gate of one function.
#[derive(Debug)]
pub(crate) struct Gate {
    id: FunctionId,
    room: Arc<Semaphore>,
    capacity: u32,
    buffer: usize,
    on_full: OnFull,
    draining: AtomicBool,
}

impl Gate {
    pub(crate) fn new(id: FunctionId, pool: &PoolSpec) -> Self {
        let capacity = u32::try_from(pool.buffer.saturating_add(pool.sizing.workers_max())).unwrap_or(u32::MAX);
        let room = Arc::new(Semaphore::new(capacity as usize));
        Self { id, room, capacity, buffer: pool.buffer, on_full: pool.on_full, draining: AtomicBool::new(false) }
    }

    /// Takes room for a call, or says at once why there is none.
    pub(crate) fn try_enter(&self) -> Result<Permit, CallError> {
        self.open()?;
        match self.room.clone().try_acquire_owned() {
            Ok(room) => Ok(Permit { _room: room }),
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {
                self.open()?;
                Err(self.full())
            }
        }
    }

    /// Takes room for a call; waits for it where the pool says `on_full: wait`.
    pub(crate) async fn enter(&self) -> Result<Permit, CallError> {
        match (self.try_enter(), self.on_full) {
            (Err(error), OnFull::Wait) if error.kind() == ErrorKind::RateLimited => {
                let room = self.room.clone().acquire_owned().await;
                // A gate that closed meanwhile is not full: trying again would not help.
                self.open()?;
                room.map(|room| Permit { _room: room }).map_err(|_| self.full())
            }
            (result, _) => result,
        }
    }

    /// Lets no call in from now on, and returns when the last one inside has been answered.
    pub(crate) async fn drain(&self) {
        self.close();
        if let Ok(all) = self.room.acquire_many(self.capacity).await {
            // Whoever looked whether the gate is open just before it closed meets a closed semaphore.
            self.room.close();
            drop(all);
        }
    }

    /// Calls that run or wait. Meant for a closed gate that nobody drains at the moment: a drain holds room itself.
    pub(crate) fn inside(&self) -> usize {
        (self.capacity as usize).saturating_sub(self.room.available_permits())
    }

    /// Lets no call in from now on.
    pub(crate) fn close(&self) {
        self.draining.store(true, Ordering::Release);
    }

    fn open(&self) -> Result<(), CallError> {
        if !self.draining.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(CallError::new(ErrorKind::Unavailable, format!("`{}` is shutting down and takes no new calls", self.id)))
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
    use futures::FutureExt;

    use super::*;
    use crate::spec::PoolSpec;

    fn gate(on_full: OnFull) -> Gate {
        let pool = PoolSpec { on_full, ..PoolSpec::fixed(1, 1).with_buffer(1) };
        Gate::new("t:gate".parse().expect("an id"), &pool)
    }

    #[tokio::test]
    async fn a_full_gate_refuses_and_room_comes_back() {
        let gate = gate(OnFull::Refuse);
        let first = gate.enter().await.expect("room for the running call");
        let _second = gate.enter().await.expect("room for the waiting call");
        let refused = gate.enter().await.expect_err("no room for a third");
        assert_eq!(refused.kind(), ErrorKind::RateLimited);
        assert!(refused.message().contains("pool.buffer is 1"), "{refused}");
        drop(first);
        gate.enter().await.expect("room came back");
    }

    #[tokio::test]
    async fn a_drain_that_is_given_up_leaves_the_calls_inside_countable() {
        let gate = gate(OnFull::Refuse);
        let _inside = gate.enter().await.expect("room");
        assert!(gate.drain().now_or_never().is_none());
        assert_eq!(gate.inside(), 1);
    }

    #[tokio::test]
    async fn a_waiting_gate_lets_the_call_in_when_room_comes_back() {
        let gate = Arc::new(gate(OnFull::Wait));
        let first = gate.enter().await.expect("room");
        let _second = gate.enter().await.expect("room");
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter().await.map(drop) }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(first);
        waiting.await.expect("no panic").expect("room came back");
    }

    #[tokio::test]
    async fn draining_ends_with_the_last_call_and_lets_nobody_in() {
        let gate = Arc::new(gate(OnFull::Refuse));
        let inside = gate.enter().await.expect("room");
        let drained = tokio::spawn({
            let gate = gate.clone();
            async move { gate.drain().await }
        });
        tokio::task::yield_now().await;
        assert_eq!(gate.enter().await.expect_err("closed").kind(), ErrorKind::Unavailable);
        assert!(!drained.is_finished());
        drop(inside);
        drained.await.expect("no panic");
        assert_eq!(gate.inside(), 0);
        assert_eq!(gate.enter().await.expect_err("closed").kind(), ErrorKind::Unavailable);
    }
}
