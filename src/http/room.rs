//! Room for what a server holds of requests at once: bodies, and the arguments that are made of them. Bodies that stream
//! take none: nobody holds them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::problem::Problem;
use crate::{CallError, ErrorKind};

/// What a server holds of requests while their calls wait or run, in bytes, all together, unless
/// [`Options::body_bytes`](super::Options) says otherwise.
pub const BODIES_BYTES_MAX: u64 = 512 << 20;

/// What one byte of a body may take, with the arguments that are made of it: a number in a list has a value of its own.
const BYTES_PER_BYTE: u64 = 64;

/// The room of one server.
#[derive(Debug)]
pub(super) struct Room {
    taken: AtomicU64,
    bytes_max: u64,
}

impl Room {
    /// Room for so many bytes, or for the largest body with its arguments when that is more.
    pub(super) fn new(bytes_max: u64, largest: u64) -> Arc<Self> {
        Arc::new(Self { taken: AtomicU64::new(0), bytes_max: bytes_max.max(largest.saturating_mul(BYTES_PER_BYTE)) })
    }

    /// A place for one request, with nothing in it.
    pub(super) fn place(self: &Arc<Self>) -> Arc<Place> {
        Arc::new(Place { room: self.clone(), taken: AtomicU64::new(0) })
    }
}

/// What one request takes of the room; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    taken: AtomicU64,
}

/// There is no room for more of a request.
#[derive(Debug, thiserror::Error)]
#[error("the server holds as many bytes of requests as it may")]
pub(super) struct Full;

impl Place {
    /// Takes room for more of the request.
    pub(super) fn grow(&self, bytes: u64) -> Result<(), Full> {
        self.taken.fetch_add(bytes, Relaxed);
        let before = self.room.taken.fetch_add(bytes, Relaxed);
        if before.saturating_add(bytes) > self.room.bytes_max { Err(Full) } else { Ok(()) }
    }
}

impl From<Full> for Problem {
    fn from(full: Full) -> Self {
        CallError::new(ErrorKind::RateLimited, full.to_string()).into()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(*self.taken.get_mut(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_comes_back_with_the_request_that_took_it() {
        let room = Room::new(10, 0);
        let (one, other) = (room.place(), room.place());
        one.grow(9).unwrap();
        other.grow(1).unwrap();
        other.grow(1).unwrap_err();
        drop(other);
        one.grow(1).unwrap();
        drop(one);
        assert_eq!(room.taken.load(Relaxed), 0);
        Room::new(10, 2).place().grow(2 * BYTES_PER_BYTE).unwrap();
    }
}
