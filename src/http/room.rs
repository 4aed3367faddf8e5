//! Room for the bodies that a server holds at once. Bodies that stream take none: nobody holds them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The bodies of requests that a server holds while their calls wait or run, in bytes, all together, unless
/// [`Options::body_bytes`](super::Options) says otherwise.
pub const BODIES_BYTES_MAX: u64 = 256 << 20;

/// The room of one server.
#[derive(Debug)]
pub(super) struct Room {
    taken: AtomicU64,
    bytes_max: u64,
}

impl Room {
    /// Room for so many bytes.
    pub(super) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { taken: AtomicU64::new(0), bytes_max })
    }

    /// A place for one body, with nothing in it.
    pub(super) fn place(self: &Arc<Self>) -> Arc<Place> {
        Arc::new(Place { room: self.clone(), taken: AtomicU64::new(0) })
    }
}

/// What one body takes of the room; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    taken: AtomicU64,
}

/// There is no room for more of a body.
#[derive(Debug, thiserror::Error)]
#[error("the server holds as many bytes of requests as it may")]
pub(super) struct Full;

impl Place {
    /// Takes room for more of the body.
    pub(super) fn grow(&self, bytes: usize) -> Result<(), Full> {
        let bytes = bytes as u64;
        self.taken.fetch_add(bytes, Relaxed);
        let before = self.room.taken.fetch_add(bytes, Relaxed);
        if before.saturating_add(bytes) > self.room.bytes_max { Err(Full) } else { Ok(()) }
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
        let room = Room::new(10);
        let (one, other) = (room.place(), room.place());
        one.grow(9).unwrap();
        other.grow(1).unwrap();
        other.grow(1).unwrap_err();
        drop(other);
        one.grow(1).unwrap();
        drop(one);
        assert_eq!(room.taken.load(Relaxed), 0);
    }
}
