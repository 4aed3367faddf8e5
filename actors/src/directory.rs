//! Where to find a function by its id: its gate, its dispatcher and its signature.

mod entry;

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use dashmap::DashMap;
pub(crate) use entry::{Entry, Running};
use futures::future::BoxFuture;
use rustc_hash::FxBuildHasher;
use serde_json::Value;

use crate::{
    call::{CallError, CallOptions, Context, ErrorKind, Functions},
    dispatcher::{CallMessage, Gate},
    executor::{Executor, Reservation},
    metrics,
    spec::FunctionId,
};

/// The functions of one runtime. A function whose dispatcher starts again takes the place of its old entry.
#[derive(Default)]
pub(crate) struct Directory {
    entries: DashMap<FunctionId, Arc<Entry>, FxBuildHasher>,
    room_asked: Mutex<Option<Instant>>,
}

impl Directory {
    /// How often functions are asked to give up idle instances while somebody waits for a place.
    const MAKE_ROOM_EVERY: Duration = Duration::from_millis(10);

    /// The name of a function's dispatcher in ractor's registry.
    pub(crate) fn actor_name(runtime: &str, id: &FunctionId) -> String {
        format!("{runtime}/{id}")
    }

    pub(crate) fn insert(&self, entry: Entry) {
        self.entries.insert(entry.id.clone(), Arc::new(entry));
    }

    pub(crate) fn find(&self, id: &str) -> Result<Arc<Entry>, CallError> {
        self.entries.get(id).map(|entry| entry.clone()).ok_or_else(|| self.not_found(id))
    }

    pub(crate) fn ids(&self) -> Vec<FunctionId> {
        let mut ids: Vec<_> = self.entries.iter().map(|entry| entry.key().clone()).collect();
        ids.sort();
        ids
    }

    /// All functions, in the order of their ids.
    pub(crate) fn entries(&self) -> Vec<Arc<Entry>> {
        let mut entries: Vec<_> = self.entries.iter().map(|entry| entry.value().clone()).collect();
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        entries
    }

    pub(crate) fn gates(&self) -> Vec<Arc<Gate>> {
        self.entries.iter().map(|entry| entry.gate.clone()).collect()
    }

    /// Asks every function to give up an instance that idles, because somebody waits for a place. Asking again soon does
    /// nothing: many may wait, and there are many to ask.
    fn make_room(&self) {
        let now = Instant::now();
        let mut asked = self.room_asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.is_some_and(|asked| now.saturating_duration_since(asked) < Self::MAKE_ROOM_EVERY) {
            return;
        }
        *asked = Some(now);
        for entry in &self.entries {
            // A dispatcher that is gone has no instances.
            drop(entry.dispatcher.cast(CallMessage::make_room()));
        }
    }

    /// Waits for a place among all instances. That is nobody's fault, so no bound is set on it here; instances that idle
    /// elsewhere are asked to go.
    pub(crate) async fn place(&self, executor: &dyn Executor) -> Result<Reservation, CallError> {
        let mut place = executor.reserve();
        // Mostly there is one: then no timer is set.
        if let Poll::Ready(place) = futures::poll!(&mut place) {
            return place;
        }
        loop {
            match tokio::time::timeout(Self::MAKE_ROOM_EVERY, &mut place).await {
                Ok(place) => return place,
                Err(_) => self.make_room(),
            }
        }
    }

    fn not_found(&self, id: &str) -> CallError {
        metrics::called_nobody();
        CallError::new(ErrorKind::NotFound, format!("there is no function `{id}`"))
    }
}

impl Functions for Directory {
    fn call_nested<'a>(
        &'a self,
        id: &'a str,
        args: Vec<Value>,
        context: Context,
    ) -> BoxFuture<'a, Result<Value, CallError>> {
        Box::pin(async move {
            let entry = self.find(id)?;
            entry.call_json(args, CallOptions::default().with_context(context)).await
        })
    }
}
