//! Core modules of WASI preview 1 as C's toolchain leaves them, programs and libraries, through the adapter.

use std::{fs, sync::Arc};

use greenroom_actors::{
    CallError, ErrorKind,
    executor::Executor,
    spec::{Capability, EnvBinding, Variable, WasmSpec},
};
use serde_json::{Value, json};

use super::{fixture::*, log::Log, prober::*};

/// What a program needs that reads no files.
const PROGRAM: &[Capability] = &[Capability::Cli];

#[derive(Debug)]
struct Fixed(&'static str);

impl Variable for Fixed {
    fn id(&self) -> &str {
        "app:fixed"
    }

    fn get(&self) -> Result<Option<String>, String> {
        Ok(Some(self.0.to_owned()))
    }
}

fn program(args: &[&str], granted: &[Capability]) -> WasmSpec {
    let mut spec = guest("plain_command", "run", granted);
    spec.wasi.args = args.iter().map(|arg| (*arg).to_owned()).collect();
    spec
}

/// What a program gave, and what it wrote to stdout.
fn ran(spec: &WasmSpec) -> (Result<Value, CallError>, Vec<String>) {
    let prepared = prepared(spec);
    let log = Log::default();
    let result = log.during(|| call(&prepared, json!([])));
    (result, log.lines().into_iter().map(|(_, line)| line).collect())
}

#[test]
fn a_program_that_prints_needs_the_grant_of_the_command_line_alone() {
    for method in ["run", "_start", "wasi:cli/run#run"] {
        let mut spec = program(&["hello"], PROGRAM);
        spec.method = method.to_owned();
        let (result, lines) = ran(&spec);
        assert_eq!((result.unwrap(), lines), (json!({"ok": null}), vec!["hello".to_owned()]), "{method}");
    }
    let (denied, lines) = ran(&program(&["hello"], &[]));
    let denied = denied.unwrap_err();
    assert_eq!((denied.kind(), lines.len()), (ErrorKind::PermissionDenied, 0));
    assert!(denied.message().ends_with("add `imports: [wasi:cli]`"), "{denied}");
}

#[test]
fn a_program_sees_its_arguments_and_its_variables() {
    let (result, lines) = ran(&program(&["args", "two words", "", "ünï"], PROGRAM));
    result.unwrap();
    assert_eq!(lines, ["f", "args", "two words", "", "ünï"]);
    let mut spec = program(&["env"], PROGRAM);
    let variable: Arc<dyn Variable> = Arc::new(Fixed("a value = with signs"));
    spec.wasi.env = vec![EnvBinding { name: "GREETING".to_owned(), required: true, variable }];
    let (result, lines) = ran(&spec);
    result.unwrap();
    assert_eq!(lines, ["GREETING=a value = with signs"]);
}

#[test]
fn the_standard_input_of_a_function_is_empty() {
    let (result, lines) = ran(&program(&["stdin"], PROGRAM));
    assert_eq!((result.unwrap(), lines.len()), (json!({"ok": null}), 0));
}

#[test]
fn a_program_reads_and_writes_files_of_its_mounts() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("in"), "first\nsecond\n").unwrap();
    let with = |args: &[&str], read_only| {
        let mut spec = program(args, &[Capability::Cli, Capability::Filesystem]);
        spec.wasi.mounts = vec![mount(dir.path(), "/data", read_only)];
        ran(&spec)
    };
    let (result, lines) = with(&["read", "/data/in"], true);
    assert_eq!((result.unwrap(), lines), (json!({"ok": null}), vec!["first".to_owned(), "second".to_owned()]));
    with(&["write", "/data/out"], false).0.unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("out")).unwrap(), "written by a program");
    let (result, lines) = with(&["write", "/data/refused"], true);
    assert!(result.unwrap_err().message().contains("exited with status"));
    assert_eq!(lines, ["/data/refused: Operation not permitted"]);
    assert!(!dir.path().join("refused").exists());
    // Without a mount there is nothing to be read, with or without the grant.
    for granted in [PROGRAM, &[Capability::Cli, Capability::Filesystem]] {
        let (result, lines) = ran(&program(&["read", "/etc/passwd"], granted));
        assert!(result.is_err() && lines[0].starts_with("copy: "), "{lines:?}");
    }
}

#[test]
fn the_status_of_a_program_is_its_outcome_and_its_last_line_is_kept() {
    for (how, status) in [("exit", 0), ("return", 0)] {
        let (result, lines) = ran(&program(&[how, &status.to_string()], PROGRAM));
        assert_eq!(result.unwrap(), json!({"ok": null}), "{how}");
        assert_eq!(lines.len(), usize::from(how == "exit"));
    }
    for (how, status) in [("exit", 1), ("exit", 42), ("return", 1), ("return", 42)] {
        let (result, lines) = ran(&program(&[how, &status.to_string()], PROGRAM));
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert_eq!(error.message(), format!("`app:f`: the guest exited with status {status}"), "{how}");
        assert_eq!(lines, if how == "exit" { vec!["no end of line"] } else { Vec::new() });
    }
}

#[test]
fn a_program_that_aborts_traps() {
    let error = ran(&program(&["abort"], PROGRAM)).0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.message().contains("the guest trapped"), "{error}");
}

#[test]
fn large_output_arrives_whole_and_in_order() {
    let (result, lines) = ran(&program(&["large"], PROGRAM));
    result.unwrap();
    assert_eq!(lines.len(), 100);
    for (number, line) in lines.iter().enumerate() {
        let letter = char::from(b'a' + u8::try_from(number % 26).unwrap());
        assert!(line.len() == 4000 && line.chars().all(|c| c == letter), "line {number}");
    }
}

#[test]
fn clocks_are_denied_to_a_program_until_they_are_granted() {
    let (denied, _) = ran(&program(&["time"], PROGRAM));
    let denied = denied.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
    assert!(denied.message().ends_with("add `imports: [wasi:cli, wasi:clocks]`"), "{denied}");
    let (result, lines) = ran(&program(&["time"], &[Capability::Cli, Capability::Clocks]));
    assert_eq!((result.unwrap(), lines), (json!({"ok": null}), vec!["1".to_owned()]));
}

fn library(method: &str, granted: &[Capability]) -> WasmSpec {
    guest("plain_reactor", method, granted)
}

#[test]
fn a_library_computes_without_any_grant_and_is_made_ready_first() {
    assert_eq!(call(&prepared(&library("add_one", &[])), json!([41])).unwrap(), json!(42));
    assert_eq!(call(&prepared(&library("add-one", &[])), json!([41])).unwrap(), json!(42));
    let count = prepared(&library("count", &[]));
    block_on(async {
        let mut instance = count.function.make().await.unwrap();
        for expected in [41, 42, 43] {
            assert_eq!(run(&count, &mut instance, json!([])).await.unwrap(), json!(expected));
        }
    });
}

#[test]
fn a_library_uses_what_it_is_granted_and_is_denied_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file.txt"), "*").unwrap();
    let variable: Arc<dyn Variable> = Arc::new(Fixed("7"));
    for (method, granted, result) in [
        ("say", Capability::Cli, json!(null)),
        ("variable", Capability::Cli, json!(7)),
        ("dice", Capability::Random, json!(0)),
        ("first_byte", Capability::Filesystem, json!(42)),
    ] {
        let mut spec = library(method, &[granted]);
        spec.wasi.env = vec![EnvBinding { name: "NUMBER".to_owned(), required: false, variable: variable.clone() }];
        if granted == Capability::Filesystem {
            spec.wasi.mounts = vec![mount(dir.path(), "/data", true)];
        }
        let log = Log::default();
        let function = prepared(&spec);
        assert_eq!(log.during(|| call(&function, json!([])).unwrap()), result, "{method}");
        assert_eq!(log.lines().len(), usize::from(method == "say"));
        spec.imports = Capability::ALL.into_iter().filter(|other| *other != granted).collect();
        let denied = call(&prepared(&spec), json!([])).unwrap_err();
        assert_eq!(denied.kind(), ErrorKind::PermissionDenied, "{method}");
    }
}
