//! The world of a guest as its entry describes it: grants that `check` asks for, arguments, directory, environment and
//! mounts, through the library and the command line.

use std::{fs, path::Path};

use greenroom::{ErrorKind, Runtime};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    cli::{greenroom, program},
    registry::Root,
};

/// A registry with the guest that tries what it may be granted, and the fields that follow `method` of each entry.
fn prober(entries: &[(&str, &str)], more: &str) -> Root {
    let root = Root::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("actors/tests/guests/prober.wasm");
    let bytes = fs::read(path).unwrap();
    let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    root.write("wasm/prober.wasm", bytes);
    let mut index = "entries:\n  - name: assets\n    kind: fs.directory\n    directory: ./wasm\n".to_owned();
    for (method, fields) in entries {
        let name = method.replace('-', "_");
        index += &format!(
            "  - name: {name}\n    kind: function.wasm\n    fs: assets\n    path: /prober.wasm\n    hash: \
             sha256:{hash}\n    method: {method}\n{fields}"
        );
    }
    root.write("_index.yaml", index + more);
    root
}

#[test]
fn a_check_asks_for_the_very_grant_that_the_first_use_misses() {
    let all = ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:random"];
    for (group, method, args) in [
        ("wasi:cli", "print", vec!["hello"]),
        ("wasi:clocks", "sleep", vec!["1"]),
        ("wasi:clocks", "poll", vec!["2"]),
        ("wasi:random", "random", vec!["10"]),
        ("wasi:filesystem", "mounts", Vec::new()),
    ] {
        let granted: Vec<_> = all.into_iter().filter(|other| *other != group).collect();
        let fields = format!(
            "    imports: [{}]\n    wasi:\n      mounts:\n        - {{fs: assets, guest: /data, read_only: true}}\n",
            granted.join(", ")
        );
        // Without mounts, asking for them is no use of anything.
        let fields =
            if group == "wasi:filesystem" { fields } else { fields.split("    wasi:").next().unwrap().to_owned() };
        let root = prober(&[(method, &fields)], "");
        let path = root.path().display().to_string();
        let line = format!("imports: [{}]", all.join(", "));

        let text = greenroom(&["check", &path]);
        assert_eq!(text.code, 0, "{text:?}");
        assert!(
            text.stderr.contains(&format!("warning: the component imports {group}, which the entry does not grant"))
        );
        assert!(text.stderr.contains(&format!("to grant it, write `{line}`")), "{}", text.stderr);
        let checked = greenroom(&["check", "--format", "json", &path]).json();
        let diagnostics = checked["diagnostics"].as_array().unwrap();
        assert_eq!(diagnostics.len(), 1, "{diagnostics:?}");
        assert_eq!(diagnostics[0]["severity"], "warning");
        assert!(diagnostics[0].to_string().contains(&line), "{diagnostics:?}");

        let call = |root: &Root| {
            let path = root.path().display().to_string();
            greenroom(&[&["call", &path, method], args.as_slice()].concat())
        };
        let denied = call(&root);
        assert_eq!(denied.code, 7, "{denied:?}");
        assert!(denied.stderr.contains("error[permission_denied]: ") && denied.stderr.contains(&line), "{denied:?}");

        // The line that both print, pasted into the entry, is all that it takes.
        let index = fs::read_to_string(root.path().join("_index.yaml")).unwrap();
        root.write("_index.yaml", index.replace(&format!("imports: [{}]", granted.join(", ")), &line));
        assert_eq!(greenroom(&["check", &path]).stderr, "", "{group}");
        assert_eq!(call(&root).code, 0, "{group}");
    }
}

#[test]
fn arguments_and_the_directory_are_those_of_the_entry() {
    let wasi =
        "    imports: [wasi:cli]\n    wasi:\n      args: [\"--verbose\", \"\", \"two words\"]\n      cwd: /work\n";
    let root = prober(&[("args", wasi), ("cwd", wasi), ("variables", wasi)], "");
    let path = root.path().display().to_string();
    let call = |name: &str| greenroom(&["call", &path, name]).json();
    assert_eq!(call("args"), json!(["args", "--verbose", "", "two words"]));
    assert_eq!(call("cwd"), json!("/work"));
    // Nothing of the host's environment is there that was not given.
    assert_eq!(call("variables"), json!([]));
    let bare = prober(&[("args", "    imports: [wasi:cli]\n"), ("cwd", "    imports: [wasi:cli]\n")], "");
    let path = bare.path().display().to_string();
    assert_eq!(greenroom(&["call", &path, "args"]).json(), json!(["args"]));
    assert_eq!(greenroom(&["call", &path, "cwd"]).json(), json!(null));
    let relative = prober(&[("cwd", "    imports: [wasi:cli]\n    wasi:\n      cwd: work\n")], "");
    let done = greenroom(&["check", &relative.path().display().to_string()]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("`work` is not an absolute path of the guest"), "{done:?}");
}

/// A variable of each storage, and one that none has.
const VARIABLES: &str = "
  - {name: memory, kind: env.storage.memory}
  - {name: file, kind: env.storage.file, file_path: ./settings.env, auto_create: true}
  - {name: process, kind: env.storage.os}
  - {name: fixed, kind: env.storage.static, values: {FIXED: fixed, ROUTED: from the end of the route}}
  - {name: route, kind: env.storage.router, storages: [file, fixed]}
  - {name: in_memory, kind: env.variable, variable: IN_MEMORY, storage: memory}
  - {name: in_file, kind: env.variable, variable: IN_FILE, storage: file}
  - {name: of_process, kind: env.variable, variable: GREENROOM_TEST_VARIABLE, storage: process, default: unset}
  - {name: fixed_one, kind: env.variable, variable: FIXED, storage: fixed}
  - {name: routed, kind: env.variable, variable: ROUTED, storage: route}
  - {name: nowhere, kind: env.variable, variable: NOWHERE, storage: memory}
";

const ENV: &str = "    imports: [wasi:cli]
    wasi:
      env:
        - {id: in_memory}
        - {id: in_file, name: RENAMED}
        - {id: of_process}
        - {id: fixed_one}
        - {id: routed}
        - {id: nowhere}
";

fn variables(fields: &str) -> Root {
    let root = prober(&[("variables", fields)], VARIABLES);
    root.write("settings.env", "IN_FILE=first\n");
    root
}

#[tokio::test]
async fn variables_of_every_storage_are_read_when_the_call_starts_also_on_an_instance_that_serves_many() {
    for (pool, name) in [("", "fresh"), ("    pool: {type: static, size: 1, reuse: 100}\n", "reused")] {
        let root = variables(&format!("{ENV}{pool}"));
        let runtime = Runtime::builder()
            .name(format!("variables-{name}"))
            .guest_threads(1)
            .instances_max(10)
            .registry(root.path())
            .start()
            .await
            .unwrap();
        let seen = async || -> Value { runtime.call("myns:variables", ()).await.unwrap() };
        let pair = |name: &str, value: &str| json!([name, value]);
        let process = pair("GREENROOM_TEST_VARIABLE", "unset");
        let fixed = pair("FIXED", "fixed");
        let routed = pair("ROUTED", "from the end of the route");
        assert_eq!(seen().await, json!([pair("RENAMED", "first"), process, fixed, routed]), "{name}");

        runtime.registry().unwrap().environment().set("IN_MEMORY", "set").unwrap();
        let memory = pair("IN_MEMORY", "set");
        assert_eq!(seen().await, json!([memory, pair("RENAMED", "first"), process, fixed, routed]), "{name}");

        root.write("settings.env", "IN_FILE=second\nROUTED=from its beginning\n");
        let routed = pair("ROUTED", "from its beginning");
        assert_eq!(seen().await, json!([memory, pair("RENAMED", "second"), process, fixed, routed]), "{name}");

        root.write("settings.env", "");
        let routed = pair("ROUTED", "from the end of the route");
        assert_eq!(seen().await, json!([memory, process, fixed, routed]), "{name}");
        runtime.shutdown(std::time::Duration::from_secs(10)).await;
    }
}

#[tokio::test]
async fn a_variable_that_is_required_and_missing_refuses_the_call_until_it_is_there() {
    let fields = "    imports: [wasi:cli]\n    pool: {type: static, size: 1, reuse: 100}\n    wasi:\n      env:\n        - \
                  {id: in_memory, required: true}\n";
    let root = variables(fields);
    let runtime = Runtime::builder()
        .name("required")
        .guest_threads(1)
        .instances_max(10)
        .registry(root.path())
        .start()
        .await
        .unwrap();
    for _ in 0..2 {
        let error = runtime.call::<Value>("myns:variables", ()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains("`myns:in_memory` has no value"), "{error}");
    }
    runtime.registry().unwrap().environment().set("IN_MEMORY", "").unwrap();
    let seen: Value = runtime.call("myns:variables", ()).await.unwrap();
    assert_eq!(seen, json!([["IN_MEMORY", ""]]));
    runtime.shutdown(std::time::Duration::from_secs(10)).await;
}

#[test]
fn a_variable_of_the_process_is_the_command_line_s() {
    let root = variables(ENV);
    let call = |value: Option<&str>| {
        let mut command = program();
        command.args(["call", root.path().to_str().unwrap(), "variables"]);
        match value {
            Some(value) => command.env("GREENROOM_TEST_VARIABLE", value),
            None => command.env_remove("GREENROOM_TEST_VARIABLE"),
        };
        let output = command.output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(call(None).contains(r#"["GREENROOM_TEST_VARIABLE","unset"]"#));
    assert!(call(Some("of the shell")).contains(r#"["GREENROOM_TEST_VARIABLE","of the shell"]"#));
    assert!(call(Some("")).contains(r#"["GREENROOM_TEST_VARIABLE",""]"#));
}

#[tokio::test]
async fn a_mount_that_comes_back_is_used_again_by_a_function_that_runs() {
    let fields = "    imports: [wasi:cli, wasi:filesystem]\n    pool: {type: static, size: 1}\n    wasi:\n      mounts:\n        \
                  - {fs: data, guest: /data}\n";
    let data = "  - {name: data, kind: fs.directory, directory: ./data}\n";
    let root = prober(&[("c-file", fields)], data);
    root.write("data/file", "first");
    let runtime = Runtime::builder()
        .name("mounts")
        .guest_threads(1)
        .instances_max(10)
        .registry(root.path())
        .start()
        .await
        .unwrap();
    let read = async || runtime.call::<Value>("myns:c_file", ("read", "/data/file", "")).await;
    assert_eq!(read().await.unwrap(), json!({"ok": "first"}));
    let place = root.path().join("data");
    fs::rename(&place, root.path().join("away")).unwrap();
    let error = read().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("the mount `/data` of `myns:c_file` cannot be opened"), "{error}");
    root.write("data/file", "second");
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    let found = loop {
        match read().await {
            Ok(found) => break found,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                assert!(tokio::time::Instant::now() < deadline, "{error}");
                tokio::task::yield_now().await;
            }
        }
    };
    assert_eq!(found, json!({"ok": "second"}));
    runtime.shutdown(std::time::Duration::from_secs(10)).await;
}

#[cfg(target_os = "linux")]
#[test]
fn all_guests_together_leave_half_of_the_files_to_the_process() {
    let fields =
        "    imports: [wasi:cli, wasi:filesystem]\n    wasi:\n      mounts:\n        - {fs: assets, guest: /data}\n";
    let root = prober(&[("greedy", fields)], "");
    let call = |times: &str| {
        let mut command = std::process::Command::new("sh");
        let path = root.path();
        command
            .args(["-c", "ulimit -n 120 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_greenroom"), "call", "--no-cache"])
            .args([path.to_str().unwrap(), "greedy", "files", "prober.wasm", times]);
        command.output().unwrap()
    };
    let few = call("50");
    assert_eq!(String::from_utf8_lossy(&few.stdout), "50\n", "{few:?}");
    let many = call("61");
    assert_eq!(many.status.code(), Some(6), "{many:?}");
    let stderr = String::from_utf8(many.stderr).unwrap();
    assert!(stderr.contains("all guests together have 60 files open, and may have no more"), "{stderr}");
}
