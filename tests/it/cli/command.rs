//! `greenroom run ROOT NAME`: one program with the terminal's streams, and its exit code.

use std::{
    fs,
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, Stdio},
};

use serde_json::json;

use super::{Done, greenroom, program, run::signal};

/// Starts a command of the example with pipes for its streams.
fn start(args: &[&str]) -> Child {
    let mut command = program();
    command.args(["run", "commands"]).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs a command of the example to its end.
fn run(args: &[&str], input: &str) -> Done {
    let mut child = start(args);
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Done {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn the_commands_of_a_registry_are_listed() {
    let done = greenroom(&["run", "commands", "list"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    let rows: Vec<Vec<_>> = done.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["command", "does", "entry"]);
    assert_eq!((rows[1][0], *rows[1].last().unwrap()), ("shout", "commands:shout"));

    let rows = greenroom(&["run", "--format=json", "commands", "list"]).json();
    assert_eq!(
        rows[0],
        json!({"name": "shout", "about": "Puts standard input in capitals", "entry": "commands:shout"})
    );
    assert!(greenroom(&["run", "compute", "list"]).stdout.starts_with("no commands; an entry of kind process.wasm"));
}

#[test]
fn a_command_has_the_streams_and_arguments_of_the_command_line() {
    let done = run(&["tally", "count"], "one two\nthree\n");
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (0, "2 3 14\n", ""));
    // By the id of its entry, or its name.
    assert_eq!(run(&["commands:tally_p1", "count"], "one\n").stdout, "1 1 4\n");
    assert_eq!(run(&["tally_p1", "count"], "one\n").stdout, "1 1 4\n");
    // What looks like an option is the command's own.
    let done = run(&["tally-p1", "--help", "--metrics"], "");
    assert_eq!((done.code, done.stdout.as_str()), (2, ""));
    assert_eq!(
        done.stderr,
        "tally: `--help` is no command, or has other arguments; there are count [FILE…], unique [FILE…], env NAME and \
         exit STATUS\n"
    );
    // More than any buffer holds, and than the memory that it starts with.
    for lines in [1_000, 10_000, 40_000, 100_000] {
        let lines: String = (0..lines).map(|line| format!("{line:06}\n")).collect();
        for name in ["tally", "tally-p1"] {
            let done = run(&[name, "unique"], &lines);
            assert!(done.code == 0 && done.stdout == lines, "{name}: {} bytes: {}", done.stdout.len(), done.stderr);
            let done = run(&[name, "count"], &lines);
            let count = lines.len() / 7;
            assert_eq!((done.code, done.stdout), (0, format!("{count} {count} {}\n", lines.len())), "{name}");
        }
    }
}

#[test]
fn the_exit_code_is_the_commands_own() {
    for (args, code) in [
        (["tally-p1", "exit", "0"], 0),
        (["tally-p1", "exit", "42"], 42),
        (["tally-p1", "exit", "255"], 255),
        (["tally", "exit", "0"], 0),
        // A component says of failure only that it is one.
        (["tally", "exit", "42"], 1),
    ] {
        let done = run(&args, "");
        assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (code, "", ""), "{args:?}");
    }
    let done = run(&["tally-p1", "count", "/texts/none.txt"], "");
    assert_eq!(done.code, 1);
    assert!(done.stderr.starts_with("tally: /texts/none.txt: "), "{done:?}");
}

#[test]
fn what_a_command_says_is_there_before_it_ends_and_a_signal_ends_it() {
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let mut child = start(&["shout"]);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"are you there?\n").unwrap();
        let mut answer = [0; 15];
        child.stdout.as_mut().unwrap().read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"ARE YOU THERE?\n");
        // It waits for more.
        signal(&child, name);
        let status = child.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(code), None), "{name}");
        drop(stdin);
    }
}

#[test]
fn a_command_whose_reader_is_gone_sees_its_output_closed() {
    let mut child = start(&["tally", "unique"]);
    drop(child.stdout.take());
    let lines: String = (0..40_000).map(|line| format!("{line:06}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.starts_with("tally: "), "{stderr}");
}

#[test]
fn what_is_no_command_says_what_there_is() {
    let done = greenroom(&["run", "commands", "taly"]);
    assert_eq!((done.code, done.stdout.as_str()), (3, ""));
    assert_eq!(done.stderr, "error[not_found]: there is no command `taly`; did you mean `tally`?\n");
    let done = greenroom(&["run", "commands", "something"]);
    assert!(done.stderr.contains("`greenroom run ROOT list` shows those that there are"), "{done:?}");
    let done = greenroom(&["run", "commands", "poem"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("`commands:poem` is a function, which is called: `greenroom call ROOT"), "{done:?}");
    let done = greenroom(&["call", "commands", "tally"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("cannot be called; run it: `greenroom run ROOT commands:tally`"), "{done:?}");
    // What is for the tree alone is refused, and not ignored.
    for option in ["--metrics=off", "--drain=1"] {
        let done = greenroom(&["run", option, "commands", "tally"]);
        assert_eq!(done.code, 2);
        assert!(done.stderr.contains("cannot be used with"), "{done:?}");
    }
}

#[test]
fn a_command_that_comes_to_no_end_of_its_own_fails_as_a_call_does() {
    let root = tempfile::tempdir().unwrap();
    let mut index = String::from("namespace: app\nentries:\n  - {name: bin, kind: fs.directory, directory: .}\n");
    for (name, body, more) in [
        ("trap", "unreachable", ""),
        ("slow", "(loop $again (br $again))", "    limits: {max_execution_ms: 100}\n"),
        ("denied", "(drop (call $random (i32.const 0) (i32.const 8)))", ""),
    ] {
        let text = format!(
            r#"(module
              (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
              (memory (export "memory") 1) (func (export "_start") {body}))"#
        );
        let file = root.path().join(format!("{name}.wasm"));
        fs::write(&file, wat::parse_str(text).unwrap()).unwrap();
        let hash = greenroom(&["inspect", "--format=json", file.to_str().unwrap()]).json()["sha256"].clone();
        let hash = hash.as_str().unwrap();
        index.push_str(&format!(
            "  - name: {name}\n    kind: process.wasm\n    fs: bin\n    path: /{name}.wasm\n    hash: sha256:{hash}\n{more}"
        ));
    }
    fs::write(root.path().join("_index.yaml"), index).unwrap();
    for (name, code, said) in [
        ("trap", 5, "error[internal]: `app:trap`: the guest trapped: it reached code that must not be reached"),
        ("slow", 4, "error[timeout]: the process `app:slow` ran longer than limits.max_execution_ms (100 ms)"),
        ("denied", 7, "error[permission_denied]: function `app:denied` used `wasi:random/random@0.2"),
    ] {
        let done = greenroom(&["run", root.path().to_str().unwrap(), name]);
        assert_eq!((done.code, done.stdout.as_str()), (code, ""), "{done:?}");
        assert!(done.stderr.starts_with(said), "{done:?}");
    }
}

#[test]
fn a_command_calls_functions_of_its_registry() {
    let done = greenroom(&["run", "funcs", "self-test"]);
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (0, "", ""), "{done:?}");
}

#[test]
fn what_a_program_gives_back_as_its_error_is_shown() {
    let copy = crate::examples::Copy::new();
    let root = copy.root("funcs");
    // Without the function that it calls.
    let index = fs::read_to_string(root.join("_index.yaml")).unwrap().replace("name: compute", "name: computed");
    fs::write(root.join("_index.yaml"), index).unwrap();
    let done = greenroom(&["run", root.to_str().unwrap(), "self-test"]);
    assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{done:?}");
    assert!(
        done.stderr.contains("the program failed: \"not_found: there is no function `funcs:compute`\""),
        "{done:?}"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn output_that_cannot_be_written_fails_the_command() {
    // However little it is: the last that is written, too.
    for (args, input) in [(["tally", "unique"], "a\n"), (["tally-p1", "unique"], "a\n")] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = program();
        command.args(["run", "commands"]).args(args).stdin(Stdio::piped()).stdout(full).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && !stderr.is_empty(), "{args:?}: {:?} {stderr}", output.status);
    }
}

#[test]
fn the_list_takes_no_arguments() {
    let done = greenroom(&["run", "commands", "list", "all"]);
    assert_eq!(
        (done.code, done.stderr.as_str()),
        (2, "error[invalid]: `list` takes no arguments, and was given `all`\n")
    );
}
