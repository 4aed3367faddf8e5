//! What is written to stdout and stderr, and how. What it says is for the commands.

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use anstream::{AutoStream, ColorChoice};
use anyhow::Context;
use serde::Serialize;

use super::{failure::Failure, options::Format};

/// Prints what a command found, for people or for programs.
pub(super) fn print(format: Format, what: &(impl fmt::Display + Serialize)) -> Result<ExitCode, Failure> {
    match format {
        Format::Text => print_text(what.to_string().trim_end()),
        Format::Json => print_json(what),
    }
}

/// Prints JSON on one line.
pub(super) fn print_json(what: &(impl Serialize + ?Sized)) -> Result<ExitCode, Failure> {
    print_text(&serde_json::to_string(what).context("the output cannot be written as JSON")?)
}

/// Prints a text and a line break.
pub(super) fn print_text(text: &str) -> Result<ExitCode, Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(Failure::Stdout)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a text and a line break to stderr. When that cannot be done there is nobody left to tell.
pub(super) fn print_to_stderr(text: &str) {
    let mut stderr = io::stderr().lock();
    drop(writeln!(stderr, "{}", text.trim_end()).and_then(|()| stderr.flush()));
}

/// Whether stderr takes colours.
pub(super) fn stderr_has_colours() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// A text from a guest or a file as a terminal may see it: without control characters other than line breaks and tabs.
pub(super) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => out.push(character),
            other if other.is_control() => out.extend(other.escape_default()),
            other => out.push(other),
        }
    }
    out
}

/// `1 call`, `2 calls`.
pub(super) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_cannot_steer_the_terminal() {
        assert_eq!(harmless("a\u{1b}[2Jb\n\tc\u{9b}"), "a\\u{1b}[2Jb\n\tc\\u{9b}");
    }
}
