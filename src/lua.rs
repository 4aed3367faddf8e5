//! Lua.

pub mod pattern;
