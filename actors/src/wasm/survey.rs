//! What the bytes of a component tell before it is compiled, found once for equal bytes: a registry may have thousands of
//! functions of one binary.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use super::{cache::Hash, concurrency, headroom::Headroom};

/// Surveys that are kept. Those of all are forgotten when there are more: they are only a shortcut.
const KEPT_MAX: usize = 1_024;

/// What was found in the bytes of one component.
#[derive(Clone)]
pub(super) struct Survey {
    /// Whether its guests may do several things at once.
    pub(super) is_concurrent: bool,
    /// What its memory may be given beyond what it declares.
    pub(super) headroom: Option<Headroom>,
}

impl Survey {
    fn new(component: &[u8]) -> Self {
        Self { is_concurrent: concurrency::is_needed(component), headroom: Headroom::of(component) }
    }
}

/// The surveys of components, by the hash of their bytes.
#[derive(Default)]
pub(super) struct Surveys(Mutex<HashMap<Hash, Arc<OnceLock<Survey>>>>);

impl Surveys {
    /// What is in these bytes. Whoever asks for the same meanwhile waits.
    pub(super) fn of(&self, sha256: Hash, component: &[u8]) -> Survey {
        let survey = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() >= KEPT_MAX && !kept.contains_key(&sha256) {
                kept.clear();
            }
            Arc::clone(kept.entry(sha256).or_default())
        };
        survey.get_or_init(|| Survey::new(component)).clone()
    }
}
