//! The program as its users run it: how the commands are started here, and what all of them have in common.

mod admin;
pub mod bench;
pub mod call;
pub mod check;
pub mod command;
pub mod files;
pub mod load;
pub mod run;

use assert_cmd::Command;
use serde_json::Value;

/// The folder of examples.
pub const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/registry-examples");

/// One cache for all tests, so that equal code is compiled once.
pub const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/cache");

/// The program, in the folder of examples.
pub fn program() -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_greenroom"));
    command.current_dir(EXAMPLES).env("GREENROOM_CACHE_DIR", CACHE).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

/// What a finished command left.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    /// Stdout as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The last line of stderr as JSON.
    pub fn error_json(&self) -> Value {
        let last = self.stderr.lines().last().unwrap_or_default();
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Runs the program to its end.
pub fn greenroom(args: &[&str]) -> Done {
    let output = Command::from_std(program()).args(args).output().unwrap();
    Done {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let all = greenroom(&["--help"]);
    assert_eq!(all.code, 0);
    for command in ["call", "check", "run", "bench", "inspect", "new", "schema", "completions"] {
        assert!(all.stdout.contains(&format!("\n  {command} ")), "{all:?}");
        let help = greenroom(&[command, "--help"]);
        assert_eq!(help.code, 0);
        assert!(help.stdout.contains(&format!("\n  greenroom {command}")), "{}", help.stdout);
    }
    let call = greenroom(&["call", "--help"]).stdout;
    assert!(call.contains("Options go before the first ARG"), "{call}");
    for code in 0..=7 {
        assert!(call.contains(&format!("\n  {code}  ")), "{call}");
    }
    for documented in ["--cache-dir", "--no-cache", "1 GiB", "GREENROOM_CACHE_DIR", "--allow-unknown-kinds"] {
        assert!(call.contains(documented), "{documented}: {call}");
    }
}

#[test]
fn a_misspelt_command_or_option_is_a_usage_error() {
    let done = greenroom(&["chek", "compute"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("'check'"), "{done:?}");
    assert_eq!(greenroom(&["check", "--formt", "json", "compute"]).code, 2);
    assert_eq!(greenroom(&[]).code, 2);
}

#[test]
fn nothing_is_coloured_when_nobody_would_see_it() {
    let commands: [&[&str]; 8] = [
        &["check", "document/entries"],
        &["check", "nowhere"],
        &["call", "limits", "divide", "1", "0"],
        &["call", "--log", "trace", "answer", "answer"],
        &["inspect", "compute/wasm/compute.wasm"],
        &["bench", "compute", "lazy", "6", "7", "-d", "50ms"],
        &["--help"],
        &["call", "compute"],
    ];
    for args in commands {
        let done = greenroom(args);
        assert!(!done.stdout.contains('\u{1b}') && !done.stderr.contains('\u{1b}'), "{args:?}: {done:?}");
    }
    for args in [&["--color", "always", "check", "nowhere"], &["call", "--color=always", "nowhere", "x"]] {
        assert!(greenroom(args).stderr.contains('\u{1b}'), "{args:?}");
    }
}

#[test]
fn a_closed_pipe_ends_a_command_quietly() {
    for args in [&["schema"] as &[&str], &["completions", "zsh"], &["check", "compute"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = program().args(args).stdout(writer).stderr(std::process::Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    }
}

#[test]
fn logs_go_to_stderr_at_the_level_and_in_the_form_that_is_asked_for() {
    assert_eq!(greenroom(&["call", "answer", "answer"]).stderr, "");
    let debug = greenroom(&["call", "--log", "debug", "answer", "answer"]);
    assert_eq!(debug.stdout, "42\n");
    assert!(debug.stderr.contains("DEBUG") && debug.stderr.contains("calling"), "{debug:?}");
    let json = greenroom(&["call", "--log=debug", "--log-format=json", "answer", "answer"]);
    let mut lines = json.stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert!(lines.any(|line| line["message"] == "calling" && line["function"] == "answer:answer"), "{json:?}");
    let wrong = greenroom(&["call", "--log", "louder=yes", "answer", "answer"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.stderr.contains("write a level (error, warn"), "{wrong:?}");
}

#[test]
fn compiled_code_is_kept_where_it_is_said_to_be_or_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let by_variable = dir.path().join("variable");
    let by_option = dir.path().join("option");
    let call = |args: &[&str]| {
        let mut command = program();
        command.env("GREENROOM_CACHE_DIR", &by_variable).arg("call").args(args).args(["answer", "answer"]);
        let output = command.output().unwrap();
        assert_eq!(output.stdout, b"42\n", "{output:?}");
    };
    call(&["--no-cache"]);
    assert!(!by_variable.exists());
    call(&["--cache-dir", by_option.to_str().unwrap()]);
    assert!(!by_variable.exists());
    assert!(by_option.read_dir().unwrap().next().is_some());
    call(&[]);
    assert!(by_variable.read_dir().unwrap().next().is_some());
}
