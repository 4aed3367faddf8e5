//! x
mod gate;
pub(crate) use gate::Permit;
