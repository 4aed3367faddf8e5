//! x
pub(crate) struct Permit;
