//! The turns of a worker: how long it keeps its thread, and how long an answer may stay with it.
//!
//! Where calls are short and others wait, a worker gives several answers together: each answer wakes a thread, and threads
//! that are woken for one answer at a time spend their time on being woken.

use std::{
    future::Future,
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use crate::call::Settled;

/// Answers that are given together, at most.
const ANSWERS_MAX: usize = 16;

/// How long an answer may wait for others, and how long a call may take whose answer does.
const ANSWER_WAIT: Duration = Duration::from_micros(50);
const SHORT_CALL: Duration = Duration::from_micros(20);

/// How long a worker keeps its thread while others may want it.
const TURN: Duration = Duration::from_millis(1);

#[derive(Default)]
pub(super) struct Turns {
    answers: Vec<Settled>,
    /// When the first of them came.
    since: Option<Instant>,
    /// When the worker last had its thread from others; `None` until that is known.
    began: Option<Instant>,
}

impl Turns {
    /// The worker has waited, so that others could have its thread.
    pub(super) fn begin(&mut self) {
        self.began = None;
    }

    /// Gives an answer, or keeps it for a moment when more are to come soon.
    pub(super) fn answer(&mut self, answer: Option<Settled>, now: Instant, started: Instant, more: bool) {
        self.answers.extend(answer);
        let since = *self.since.get_or_insert(now);
        let keep = more
            && self.answers.len() < ANSWERS_MAX
            && now.saturating_duration_since(started) < SHORT_CALL
            && now.saturating_duration_since(since) < ANSWER_WAIT;
        if !keep {
            self.give();
        }
    }

    fn give(&mut self) {
        self.answers.clear();
        self.since = None;
    }

    /// Lets others have the thread, if it is time. Returns whether it was.
    pub(super) async fn give_way(&mut self, now: Instant) -> bool {
        let began = *self.began.get_or_insert(now);
        if now.saturating_duration_since(began) < TURN {
            return false;
        }
        self.give();
        tokio::task::yield_now().await;
        self.begin();
        true
    }

    /// Awaits something; where that takes more than one turn, no answer waits for it.
    pub(super) async fn patient<F: Future>(&mut self, future: F) -> F::Output {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            let poll = future.as_mut().poll(cx);
            if matches!(poll, Poll::Pending) {
                self.give();
                self.begin();
            }
            poll
        })
        .await
    }
}
