//! The one error of a call. Its kind is the same in Rust, JSON, HTTP and exit codes.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

/// What went wrong, as callers tell errors apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No such entry or route.
    NotFound,
    /// Arguments or configuration do not fit.
    Invalid,
    /// A capability is not granted.
    PermissionDenied,
    /// A deadline passed.
    Timeout,
    /// The queue is full.
    RateLimited,
    /// The function is degraded, or the runtime drains or stops.
    Unavailable,
    /// The caller went away.
    Canceled,
    /// The guest trapped, or Greenroom is at fault.
    Internal,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::NotFound,
        Self::Invalid,
        Self::PermissionDenied,
        Self::Timeout,
        Self::RateLimited,
        Self::Unavailable,
        Self::Canceled,
        Self::Internal,
    ];

    /// The stable name, as JSON and metrics write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::PermissionDenied => "permission_denied",
            Self::Timeout => "timeout",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Canceled => "canceled",
            Self::Internal => "internal",
        }
    }

    /// The exit code of `greenroom call`.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::NotFound => 3,
            Self::Invalid => 2,
            Self::PermissionDenied => 7,
            Self::Timeout => 4,
            Self::RateLimited | Self::Unavailable | Self::Canceled => 6,
            Self::Internal => 5,
        }
    }

    /// Whether the same call may succeed later.
    pub fn retryable(self) -> bool {
        matches!(self, Self::Timeout | Self::RateLimited | Self::Unavailable | Self::Canceled)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a call has no result. Displays as its message; serialises as `{kind, message, retryable, …}`.
#[derive(Clone, PartialEq, Eq)]
pub struct CallError(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    kind: ErrorKind,
    message: String,
    retry_after: Option<Duration>,
    backtrace: Option<String>,
    details: Option<Value>,
}

impl CallError {
    /// An error of a kind. The message is one short sentence, with the next thing to do where there is one.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), retry_after: None, backtrace: None, details: None }))
    }

    /// The same error with a hint of when to try again.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// The same error with the guest's backtrace.
    #[must_use]
    pub fn with_backtrace(mut self, backtrace: impl Into<String>) -> Self {
        self.0.backtrace = Some(backtrace.into());
        self
    }

    /// The same error with more that a program can read, of whoever made it.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.0.details = Some(details);
        self
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What went wrong, in a sentence.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether the same call may succeed later.
    pub fn retryable(&self) -> bool {
        self.0.kind.retryable()
    }

    /// When to try again, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// More that a program can read, if whoever made the error gave it.
    pub fn details(&self) -> Option<&Value> {
        self.0.details.as_ref()
    }

    /// Where the guest was when it trapped, one frame a line.
    pub fn backtrace(&self) -> Option<&str> {
        self.0.backtrace.as_deref()
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.kind, self.0.message)
    }
}

impl std::error::Error for CallError {}

impl Serialize for CallError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", self.0.kind.name())?;
        map.serialize_entry("message", &self.0.message)?;
        map.serialize_entry("retryable", &self.retryable())?;
        if let Some(after) = self.0.retry_after {
            map.serialize_entry("retry_after_ms", &u64::try_from(after.as_millis()).unwrap_or(u64::MAX))?;
        }
        if let Some(details) = &self.0.details {
            map.serialize_entry("details", details)?;
        }
        if let Some(backtrace) = &self.0.backtrace {
            map.serialize_entry("backtrace", backtrace)?;
        }
        map.end()
    }
}
