//! Why a command failed, how that is printed, and which exit code it gives.

use std::{io, process::ExitCode};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::{
    options::Format,
    output::{harmless, print_to_stderr, stderr_has_colours},
};
use crate::{CallError, StartError, registry::Diagnostics};

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The registry does not load, or what is needed of it does not compile.
    Registry(Diagnostics),
    /// A call has no result; with hints on what to do.
    Call(CallError, Vec<Hint>),
    /// Stdout cannot be written to.
    Stdout(io::Error),
    /// Anything else.
    Other(anyhow::Error),
}

/// Something to know about an error: a label such as `signature`, and a text.
pub(super) type Hint = (&'static str, String);

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(error, Vec::new())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Registry(diagnostics) => Self::Registry(diagnostics),
            other => Self::Other(other.into()),
        }
    }
}

impl Failure {
    /// Prints the failure to stderr and returns the exit code.
    pub(super) fn report(&self, format: Format) -> ExitCode {
        match (self, format) {
            // Whoever reads the other end has seen enough: `greenroom schema | head`.
            (Self::Stdout(error), _) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            (_, Format::Text) => print_to_stderr(&self.text(stderr_has_colours())),
            (_, Format::Json) => print_to_stderr(&self.json().to_string()),
        }
        match self {
            Self::Call(error, _) => ExitCode::from(error.kind().exit_code()),
            Self::Registry(_) | Self::Stdout(_) | Self::Other(_) => ExitCode::FAILURE,
        }
    }

    fn text(&self, colour: bool) -> String {
        let style = if colour { AnsiColor::Red.on_default().bold() } else { Style::new() };
        let error = |label: &str, message: &str| format!("{style}{label}{style:#}: {}", harmless(message));
        match self {
            Self::Registry(diagnostics) => diagnostics.render(colour),
            Self::Call(call, hints) => {
                let mut text = error(&format!("error[{}]", call.kind()), call.message());
                for (label, hint) in hints {
                    text.push_str(&format!("\n  {label}: {}", harmless(hint)));
                }
                for frame in call.backtrace().into_iter().flat_map(str::lines) {
                    text.push_str(&format!("\n  {}", harmless(frame.trim_end())));
                }
                text
            }
            Self::Stdout(io) => error("error", &format!("stdout cannot be written to: {io}")),
            Self::Other(other) => error("error", &format!("{other:#}")),
        }
    }

    /// `{kind, message, retryable, …}`, as all errors of calls serialise.
    fn json(&self) -> Value {
        match self {
            Self::Registry(diagnostics) => json!({
                "kind": "invalid",
                "message": "the registry does not load",
                "retryable": false,
                "diagnostics": diagnostics,
            }),
            Self::Call(error, hints) => {
                let mut value = json!(error);
                for (label, hint) in hints {
                    value[*label] = json!(hint);
                }
                value
            }
            Self::Stdout(error) => json!({ "kind": "internal", "message": error.to_string(), "retryable": false }),
            Self::Other(error) => json!({ "kind": "invalid", "message": format!("{error:#}"), "retryable": false }),
        }
    }
}
