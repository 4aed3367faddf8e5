//! Why a value does not fit its type, and where in the arguments or the result.

use std::fmt;

use serde::{
    de::{self, Expected, Unexpected},
    ser,
};

use crate::call::{CallError, ErrorKind};

/// A value that does not fit. Displays as its path and what is wrong:
/// `args[0].users[3].tags: expected list<string>, got number`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", Path(&.0.path), .0.problem)]
pub struct ValueError(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    problem: String,
    /// Innermost first: it is built on the way out, so that values that fit pay nothing.
    path: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Root(&'static str),
    Name(String),
    Index(usize),
}

impl ValueError {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self(Box::new(Inner { problem: problem.into(), path: Vec::new() }))
    }

    pub(super) fn mismatch(expected: impl fmt::Display, got: impl fmt::Display) -> Self {
        Self::new(format!("expected {expected}, got {got}"))
    }

    /// The same error, seen from the sequence that holds the value.
    pub(super) fn in_index(mut self, index: usize) -> Self {
        self.0.path.push(Step::Index(index));
        self
    }

    /// The same error, seen from the object that holds the value.
    #[must_use]
    pub fn in_name(mut self, name: &str) -> Self {
        self.0.path.push(Step::Name(name.to_owned()));
        self
    }

    /// The same error with the root of its path.
    pub(super) fn in_root(mut self, root: &'static str) -> Self {
        self.0.path.push(Step::Root(root));
        self
    }

    /// Whether the error is about a part of the value and not about the whole.
    pub(super) fn has_path(&self) -> bool {
        !self.0.path.is_empty()
    }

    /// What is wrong, without the path.
    pub fn problem(&self) -> &str {
        &self.0.problem
    }

    /// Where the value stands: `args[0].users[3].tags`; empty when the error is about all of the arguments.
    pub fn path(&self) -> String {
        let mut path = Path(&self.0.path).to_string();
        path.truncate(path.len().saturating_sub(": ".len()));
        path
    }
}

impl ser::Error for ValueError {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self::new(problem.to_string())
    }
}

impl de::Error for ValueError {
    fn custom<T: fmt::Display>(problem: T) -> Self {
        Self::new(problem.to_string())
    }

    fn invalid_type(got: Unexpected<'_>, expected: &dyn Expected) -> Self {
        match got {
            Unexpected::Unit | Unexpected::Option => Self::mismatch(expected, "null"),
            Unexpected::Seq => Self::mismatch(expected, "array"),
            Unexpected::Map => Self::mismatch(expected, "object"),
            Unexpected::Str(text) => Self::mismatch(expected, format_args!("string {}", Shown(text))),
            got => Self::mismatch(expected, got),
        }
    }

    fn invalid_value(got: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(got, expected)
    }
}

impl From<ValueError> for CallError {
    fn from(error: ValueError) -> Self {
        Self::new(ErrorKind::Invalid, error.to_string())
    }
}

/// A path from its root, with a colon after it unless it is empty.
struct Path<'e>(&'e [Step]);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().rev().enumerate() {
            match step {
                Step::Root(root) => f.write_str(root)?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Name(name) if is_word(name) => write!(f, "{}{name}", if i == 0 { "" } else { "." })?,
                Step::Name(name) => write!(f, "[{}]", Shown(name))?,
            }
        }
        if self.0.is_empty() { Ok(()) } else { f.write_str(": ") }
    }
}

fn is_word(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= SHOWN_MAX
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// How much of a user's text an error repeats, in characters.
const SHOWN_MAX: usize = 40;

/// A user's text in quotes, escaped and cut where it is long.
pub(super) struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(SHOWN_MAX) {
            Some((end, _)) => write!(f, "{:?}…", &self.0[..end]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// A type in a signature that no call can carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{path}` has the type {name}, which calls cannot carry; export a function that takes and returns plain values"
)]
pub struct UnsupportedType {
    /// Where it stands: the parameter's name, or `result`, and the way into it (`[]` is any element).
    pub path: String,
    /// The type's WIT name.
    pub name: &'static str,
}

impl From<UnsupportedType> for CallError {
    fn from(error: UnsupportedType) -> Self {
        Self::new(ErrorKind::Invalid, error.to_string())
    }
}
