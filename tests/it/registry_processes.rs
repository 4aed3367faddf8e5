//! Entries of kind `process.wasm`: their fields, the commands that they are, and what may be wrong with them.

use std::{fmt::Write, time::Duration};

use greenroom::registry::{Command, Registry};
use greenroom_actors::spec::{Capability, ProcessSpec, Source};

use crate::registry::{Root, id};

/// A registry with a binary, an environment and a directory, before entries of processes.
const BEFORE: &str = "entries:
  - {name: bin, kind: fs.directory, directory: ., base: module}
  - {name: fixed, kind: env.storage.static, values: {TOKEN: t}}
  - {name: token, kind: env.variable, variable: TOKEN, storage: fixed}
";

fn process(name: &str, fields: &str) -> String {
    format!(
        "  - name: {name}\n    kind: process.wasm\n    fs: bin\n    path: /p.wasm\n    hash: sha256:{}\n{fields}",
        "0".repeat(64)
    )
}

fn root(entries: &str) -> Root {
    let root = Root::with(&format!("{BEFORE}{entries}"));
    root.write("p.wasm", b"\0asm\x01\0\0\0");
    root
}

fn only(fields: &str) -> ProcessSpec {
    let registry = root(&process("p", fields)).sound();
    assert_eq!((registry.processes().len(), registry.functions().len()), (1, 0));
    registry.processes()[0].clone()
}

fn commands(registry: &Registry) -> Vec<Command> {
    registry.commands().to_vec()
}

#[test]
fn a_process_has_the_defaults_of_a_command() {
    let spec = only("");
    assert_eq!((spec.id, spec.code.method.as_str()), (id("myns:p"), "run"));
    assert_eq!(spec.limits, greenroom_actors::spec::Limits::default());
    assert_eq!((spec.code.wasi.program, spec.code.wit, spec.code.sha256), (None, None, Some([0; 32])));
    let Source::File { directory, path } = spec.code.source else { panic!("{:?}", spec.code.source) };
    assert!(directory.ends_with("myns") && path == "/p.wasm", "{}", directory.display());
}

#[test]
fn each_field_of_a_process_lands_in_its_spec() {
    let spec = only(
        "    method: serve\n    wit: \"serve: func();\"\n    imports: [wasi:cli, funcs]\n    limits: {max_execution_ms: 7, max_memory_bytes: 65536}\n    wasi:\n      args: [-v]\n      cwd: /w\n      env: [{id: token, required: true}]\n      mounts: [{fs: bin, guest: /w, read_only: true}]\n      network: {allow: [\"a.example:443\"]}\n",
    );
    assert_eq!((spec.code.method.as_str(), spec.code.wit.as_deref()), ("serve", Some("serve: func();")));
    assert_eq!(spec.code.imports.iter().collect::<Vec<_>>(), [Capability::Cli, Capability::Funcs]);
    assert_eq!(spec.limits.max_execution, Some(Duration::from_millis(7)));
    assert_eq!(spec.limits.max_memory_bytes, 65536);
    let wasi = spec.code.wasi;
    assert_eq!((wasi.args, wasi.cwd.as_deref()), (vec!["-v".to_owned()], Some("/w")));
    assert_eq!((wasi.env[0].name.as_str(), wasi.env[0].required), ("TOKEN", true));
    assert!(wasi.mounts[0].guest == "/w" && wasi.mounts[0].read_only);
    assert_eq!(wasi.network.allow.len(), 1);
}

#[test]
fn a_command_has_a_name_which_is_its_argv_0_and_a_few_words() {
    let short = process("a", "    meta: {command: count}\n");
    let long = process("b", "    meta:\n      note: [1]\n      command: {name: add, short: Adds up, since: 2}\n");
    let registry = root(&format!("{short}{long}{}", process("c", "    meta: {owner: me}\n"))).sound();
    let command = |name: &str, about: Option<&str>, process| Command {
        name: name.to_owned(),
        about: about.map(str::to_owned),
        process: id(process),
    };
    assert_eq!(commands(&registry), [command("add", Some("Adds up"), "myns:b"), command("count", None, "myns:a")]);
    let programs: Vec<_> = registry.processes().iter().map(|process| process.code.wasi.program.as_deref()).collect();
    assert_eq!(programs, [Some("count"), Some("add"), None]);
    let entry = registry.entries().iter().find(|entry| entry.id == id("myns:a")).unwrap();
    assert_eq!((entry.summary.as_str(), entry.inert), ("command count, method run", false));
}

#[test]
fn faults_of_processes() {
    let mut text = String::new();
    let two = format!("{}{}", process("p", "    meta: {command: x}\n"), process("q", "    meta: {command: x}\n"));
    for (name, entries) in [
        ("a pool", process("p", "    pool: {type: lazy}\n")),
        ("a transport", process("p", "    transport: wasi-http\n")),
        ("the name of the list", process("p", "    meta: {command: list}\n")),
        ("a name of two words", process("p", "    meta: {command: \"a b\"}\n")),
        ("a name like an option", process("p", "    meta: {command: {name: --x}}\n")),
        ("a list for a name", process("p", "    meta: {command: [x]}\n")),
        ("nothing for a name", process("p", "    meta: {command: }\n")),
        ("a number for a name", process("p", "    meta: {command: {name: 5}}\n")),
        ("no name", process("p", "    meta: {command: {short: Does it}}\n")),
        ("two of one name", two),
        ("no binary", "  - {name: p, kind: process.wasm}\n".to_owned()),
    ] {
        writeln!(text, "======== {name}\n{}", root(&entries).rendered()).unwrap();
    }
    insta::assert_snapshot!(text);
}
