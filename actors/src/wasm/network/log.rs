//! Tells whoever reads the log what a function was refused, and how to allow it; bounded, because guests try again.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use super::{super::stdio::Rate, policy::Refusal};
use crate::spec::FunctionId;

/// Refusals of one function that are logged in a second, over all its instances.
const LINES_PER_SECOND_MAX: u32 = 10;

/// The refusals of one function.
pub(super) struct RefusalLog {
    function: FunctionId,
    /// Where the entry lists what may be reached.
    field: &'static str,
    rate: Mutex<Rate>,
}

impl RefusalLog {
    pub(super) fn new(function: &FunctionId, field: &'static str) -> Self {
        Self { function: function.clone(), field, rate: Mutex::new(Rate::new(Instant::now(), LINES_PER_SECOND_MAX)) }
    }

    /// A refusal in words, with what to add where.
    pub(super) fn words(&self, refusal: &Refusal) -> String {
        refusal.words(self.field)
    }

    pub(super) fn refused(&self, refusal: &Refusal) {
        let (more, admitted) = self.rate.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now());
        if more > 0 {
            tracing::warn!(target: "greenroom::guest", function = %self.function, "{more} more refusals were not logged");
        }
        if admitted {
            let words = self.words(refusal);
            tracing::warn!(target: "greenroom::guest", function = %self.function, "`{}`: {words}", self.function);
        }
    }
}
