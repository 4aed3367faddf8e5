//! Why a function cannot be prepared, and what about it deserves a warning. Errors of calls are [`crate::CallError`].

use std::fmt;

use crate::call::ErrorKind;

/// One reason why a function cannot be prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepareError {
    /// The field at fault, as registry files write it: `hash`, `path`, `source`, `wit`, `method`, `imports`,
    /// `wasi.mounts`, `limits.max_module_bytes`, …
    pub field: &'static str,
    /// What is wrong, in a sentence, with what to do about it.
    pub message: String,
    /// What helps to see why: lines to show below the message. Often empty.
    pub notes: Vec<String>,
    /// The kind of error that calls of the function have while it stays so.
    pub kind: ErrorKind,
}

impl PrepareError {
    /// An error without notes.
    pub fn new(field: &'static str, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { field, message: message.into(), notes: Vec::new(), kind }
    }

    /// An `invalid` error without notes, by far the commonest.
    pub fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::new(field, ErrorKind::Invalid, message)
    }

    /// The same error with lines to show below the message.
    #[must_use]
    pub fn with_notes(mut self, notes: impl IntoIterator<Item = String>) -> Self {
        self.notes.extend(notes);
        self
    }
}

impl fmt::Display for PrepareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)?;
        self.notes.iter().try_for_each(|note| write!(f, "\n  {note}"))
    }
}

impl std::error::Error for PrepareError {}

/// Something about a function that works, though perhaps not as its author thinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepareWarning {
    /// The field it is about, as registry files write it.
    pub field: &'static str,
    /// What may surprise, in a sentence.
    pub message: String,
    /// Lines to show below the message, such as what to write in the registry.
    pub notes: Vec<String>,
}

/// The candidates closest to what was written, for `did you mean`.
pub(crate) fn did_you_mean<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(written, candidate), candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}
