//! Guests from real toolchains: what each does, alone and under load, and the entry that `inspect` prints for it.
//!
//! Those in JavaScript and Python are built and not committed; `built` finds them, or says that they are skipped.

pub mod built;
mod inspect;
mod rust;
mod scripting;
mod serving;
