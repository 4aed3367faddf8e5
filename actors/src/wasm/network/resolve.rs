//! Looks names up. Which names a guest may ask for, and which answers it may use, is `policy`'s business.

use std::{
    fmt, io,
    net::{IpAddr, ToSocketAddrs},
    sync::Arc,
};

use futures::future::BoxFuture;
use tokio::sync::Semaphore;

/// Look-ups of the system's resolver that run at once, over all functions. Each takes a thread that may block.
const LOOKUPS_MAX: usize = 128;

/// Looks names up for guests.
pub trait Resolver: Send + Sync + fmt::Debug {
    /// The addresses of a name, which is in lower case and punycode. Must not block; dropping the future gives up.
    ///
    /// # Errors
    /// When nobody knows the name, or nobody could be asked.
    fn resolve(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the system: its hosts file, its name servers, whatever it is configured for. At most 128 look-ups run
/// at once, and others wait.
#[derive(Clone)]
pub struct SystemResolver(Arc<Semaphore>);

impl Default for SystemResolver {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LOOKUPS_MAX)))
    }
}

impl fmt::Debug for SystemResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemResolver")
    }
}

impl Resolver for SystemResolver {
    fn resolve(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let (name, turns) = (name.to_owned(), Arc::clone(&self.0));
        Box::pin(async move {
            let turn = turns.acquire_owned().await.map_err(io::Error::other)?;
            let looking = tokio::task::spawn_blocking(move || {
                // Held by the thread: it goes on when whoever asked has gone.
                let _turn = turn;
                let found = (name.as_str(), 0).to_socket_addrs()?;
                Ok(found.map(|address| address.ip()).collect())
            });
            looking.await.map_err(io::Error::other)?
        })
    }
}
