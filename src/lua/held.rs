//! What an instance holds outside of its VM, for as long as its code does: it counts against the same limit as what is
//! within.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use greenroom_actors::{CallError, ErrorKind};
use mlua::Lua;
use serde_json::Value as Json;

/// The bytes that are held for one VM.
pub(super) struct Ledger {
    held: AtomicU64,
    max: u64,
}

impl Ledger {
    pub(super) fn new(max: u64) -> Arc<Self> {
        Arc::new(Self { held: AtomicU64::new(0), max })
    }

    /// The ledger of a VM.
    pub(super) fn of(lua: &Lua) -> Option<Arc<Self>> {
        lua.app_data_ref::<Arc<Self>>().map(|ledger| Arc::clone(&ledger))
    }

    /// Bytes that may be held, at most.
    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// Whether it is time to look for what is held for nobody.
    pub(super) fn is_half_full(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.max / 2
    }

    /// Holds so many bytes more, if there is room.
    pub(super) fn hold(self: &Arc<Self>, bytes: u64) -> Option<Held> {
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        // Given back when it is dropped, at once if there is no room.
        let held = Held { ledger: Arc::clone(self), bytes };
        (before.saturating_add(bytes) <= self.max).then_some(held)
    }
}

/// Bytes that are held until this is dropped.
pub(super) struct Held {
    ledger: Arc<Ledger>,
    bytes: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ledger.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Holds so many bytes for a VM; what nobody refers to any more makes room first.
///
/// # Errors
/// When there is no room: the function needs more memory than it may have.
pub(super) fn hold(lua: &Lua, bytes: u64) -> Result<Option<Held>, CallError> {
    let Some(ledger) = Ledger::of(lua) else { return Ok(None) };
    if let Some(held) = ledger.hold(bytes) {
        return Ok(Some(held));
    }
    let collected = lua.gc_collect();
    let held = collected.ok().and_then(|()| ledger.hold(bytes));
    held.map(Some).ok_or_else(|| CallError::new(ErrorKind::Internal, "not enough memory"))
}

/// What a tree of JSON takes, in bytes.
pub(super) fn json_bytes(json: &Json) -> u64 {
    let inside = match json {
        Json::String(text) => text.len() as u64,
        Json::Array(items) => items.iter().map(json_bytes).sum(),
        Json::Object(fields) => fields.iter().map(|(name, value)| name.len() as u64 + 96 + json_bytes(value)).sum(),
        _ => 0,
    };
    size_of::<Json>() as u64 + inside
}
