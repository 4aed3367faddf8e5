//! The requests of a connection of HTTP/2, each a task of its own, and what hyper does not do for them: one whose client
//! takes nothing of its response is reset. Connections as a whole are watched by `timeouts`.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use hyper::rt::Executor;

use super::timeouts::Patience;

tokio::task_local! {
    static HANDED: Arc<Handed>;
}

/// Which piece of a response was handed over, and is not taken yet, as a number; 0 for none.
///
/// hyper asks for the next piece when the client has room for the last one.
#[derive(Default)]
pub(super) struct Handed(AtomicUsize);

impl Handed {
    /// That of the request which is being answered; `None` when it has its connection for itself.
    pub(super) fn current() -> Option<Arc<Self>> {
        HANDED.try_with(Arc::clone).ok()
    }

    /// hyper asks for more: the last piece was taken.
    pub(super) fn taken(&self) {
        self.0.store(0, Relaxed);
    }

    /// hyper has this piece.
    pub(super) fn over(&self, piece: usize) {
        self.0.store(piece, Relaxed);
    }
}

/// Runs the requests of connections.
#[derive(Clone, Copy)]
pub(super) struct Streams {
    /// How long a client may take nothing.
    pub(super) write: Duration,
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, request: F) {
        let write = self.write;
        tokio::spawn(async move {
            let handed = Arc::new(Handed::default());
            let mut request = pin!(HANDED.scope(handed.clone(), request));
            let mut patience = Patience::default();
            let mut last = 0;
            // When its time is up the request is dropped, which resets the stream.
            poll_fn(|cx| {
                if request.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                let piece = handed.0.load(Relaxed);
                if piece != last {
                    last = piece;
                    patience.end();
                }
                if piece == 0 { Poll::Pending } else { patience.poll(cx, write) }
            })
            .await;
        });
    }
}
