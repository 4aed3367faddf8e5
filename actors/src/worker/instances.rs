//! The instances of one function: how many may live, and those kept ready beside the workers' own.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use futures::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    call::{Answer, CallError, Context, ErrorKind, Payload},
    directory::Directory,
    executor::{Executor, Instance, Reservation},
    metrics::{FunctionMetrics, LiveInstance},
    spec::{FunctionId, Limits, Sizing},
};

/// An instance that waits for a call. Its fields drop in this order: the store first, then what counts it.
pub(crate) struct Ready {
    instance: Box<dyn Instance>,
    live: LiveInstance,
    served: u32,
    _places: Places,
}

/// Room for one instance; given back when dropped.
pub(super) struct Places {
    _all: Reservation,
    _own: OwnedSemaphorePermit,
}

impl Ready {
    pub(super) async fn run(&mut self, args: Payload, context: &Arc<Context>) -> Result<Answer, CallError> {
        self.live.running(true);
        let result = self.instance.run(args, context).await;
        self.live.memory(self.instance.memory_bytes());
        self.served += 1;
        result
    }

    /// It waits for a call.
    pub(super) fn rest(&mut self) {
        self.live.running(false);
    }
}

/// Makes and counts the instances of one function.
pub(crate) struct Instances {
    id: FunctionId,
    executor: Arc<dyn Executor>,
    metrics: Arc<FunctionMetrics>,
    directory: Arc<Directory>,
    make_max: Duration,
    /// One permit per live instance of this function.
    own: Arc<Semaphore>,
    spares: Mutex<Vec<Ready>>,
    spares_max: usize,
}

impl Instances {
    pub(crate) fn new(
        id: FunctionId,
        executor: Arc<dyn Executor>,
        sizing: Sizing,
        limits: &Limits,
        directory: Arc<Directory>,
        metrics: Arc<FunctionMetrics>,
    ) -> Self {
        Self {
            id,
            executor,
            metrics,
            directory,
            make_max: limits.make_max(),
            own: Arc::new(Semaphore::new(sizing.instances_max())),
            spares: Mutex::default(),
            spares_max: sizing.instances_max() - sizing.workers_max(),
        }
    }

    /// Makes an instance ahead of any call; gives up after the time that making one may take.
    pub(super) async fn make_ahead(&self) -> Result<Ready, CallError> {
        let places = self.places().await?;
        self.make_in(places, Some(self.make_max), None).await
    }

    /// Makes an instance in place of one that has served, which goes first: a function never has more than it may.
    pub(super) async fn make_again(
        &self,
        Ready { instance, live, served: _, _places: places }: Ready,
    ) -> Result<Ready, CallError> {
        drop(instance);
        if self.executor.is_crowded() {
            // Others may have the place now.
            drop((live, places));
            return self.make_ahead().await;
        }
        self.make_in(places, Some(self.make_max), Some(live)).await
    }

    /// Makes one more instance to keep ready, if one is wanted and there is room at once: a worker that waited for room
    /// here would keep its calls waiting. Returns whether it did.
    pub(super) async fn make_spare(&self) -> bool {
        if !self.wants_spare() {
            return false;
        }
        let (Ok(own), Some(Ok(all))) = (self.own.clone().try_acquire_owned(), self.executor.reserve().now_or_never())
        else {
            return false;
        };
        // A failure is not lost: the next call of some worker meets it.
        let made = self.make_in(Places { _all: all, _own: own }, Some(self.make_max), None).await;
        made.map(|ready| self.put_spare(ready)).is_ok()
    }

    /// Makes an instance for a call, in these places. `watched` calls have a deadline that others enforce; for the rest the
    /// time that making one may take is the bound.
    pub(super) async fn make_for_call(&self, places: Places, watched: bool) -> Result<Ready, CallError> {
        self.make_in(places, (!watched).then_some(self.make_max), None).await
    }

    /// Waits for a place among the instances of the function, and among all.
    pub(super) async fn places(&self) -> Result<Places, CallError> {
        let closed = |_| CallError::new(ErrorKind::Unavailable, format!("`{}` is shutting down", self.id));
        let own = self.own.clone().acquire_owned().await.map_err(closed)?;
        Ok(Places { _all: self.directory.place(&*self.executor).await?, _own: own })
    }

    async fn make_in(
        &self,
        places: Places,
        bound: Option<Duration>,
        before: Option<LiveInstance>,
    ) -> Result<Ready, CallError> {
        let mut making = self.executor.make();
        // Mostly made at once: then no timer is set.
        let made = match (futures::poll!(&mut making), bound) {
            (Poll::Ready(made), _) => Ok(made),
            (Poll::Pending, Some(bound)) => tokio::time::timeout(bound, making).await,
            (Poll::Pending, None) => Ok(making.await),
        };
        let made = made.unwrap_or_else(|_| {
            let message =
                format!("making an instance of `{}` took longer than {} ms", self.id, self.make_max.as_millis());
            Err(CallError::new(ErrorKind::Timeout, message))
        });
        match made {
            Ok(instance) => {
                let mut live = match before {
                    Some(mut live) => {
                        live.replaced();
                        live
                    }
                    None => self.metrics.instance_made(),
                };
                live.memory(instance.memory_bytes());
                Ok(Ready { instance, live, served: 0, _places: places })
            }
            Err(error) => {
                self.metrics.instance_failed();
                Err(error)
            }
        }
    }

    /// Whether an instance that has served this well may serve another call.
    pub(super) fn serves_again(&self, ready: &Ready) -> bool {
        ready.served < self.executor.reuse()
    }

    pub(super) fn take_spare(&self) -> Option<Ready> {
        self.lock().pop()
    }

    pub(super) fn wants_spare(&self) -> bool {
        self.spares_max > 0 && self.lock().len() < self.spares_max
    }

    fn put_spare(&self, ready: Ready) {
        let mut spares = self.lock();
        if spares.len() < self.spares_max {
            spares.push(ready);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Ready>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
