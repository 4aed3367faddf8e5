//! The commands. Each is a function that is given what it works on; reading the command line is not theirs.

pub mod inspect;
