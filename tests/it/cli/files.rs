//! `new`, `schema`, `completions` and `inspect`: the commands that make or read files.

use std::fs;

use super::{EXAMPLES, greenroom};
use crate::registry::Root;

#[test]
fn a_new_registry_is_sound_and_runs() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("deep/hello");
    let root = root.to_str().unwrap();
    let made = greenroom(&["new", root]);
    assert_eq!(made.code, 0, "{made:?}");
    for next in ["check", "call", "run"] {
        assert!(made.stdout.contains(&format!("\n  greenroom {next} {root}")), "{made:?}");
    }
    let checked = greenroom(&["check", root]);
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""), "{checked:?}");
    assert_eq!(greenroom(&["call", root, "app:add", "-3", "4"]).stdout, "1\n");
    assert_eq!(greenroom(&["call", root, "app:greet", "wörld"]).stdout, "\"Hello, wörld!\"\n");
    // More than the memory has at first.
    let long = "x".repeat(100_000);
    assert_eq!(greenroom(&["call", root, "greet", &long]).stdout, format!("\"Hello, {long}!\"\n"));
}

#[test]
fn new_refuses_a_folder_with_something_in_it_and_leaves_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mine.txt"), "mine").unwrap();
    let done = greenroom(&["new", dir.path().to_str().unwrap()]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("is not empty"), "{done:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let file = greenroom(&["new", dir.path().join("mine.txt").to_str().unwrap()]);
    assert_eq!(file.code, 1);
    assert!(file.stderr.contains("is a file"), "{file:?}");

    let empty = tempfile::tempdir().unwrap();
    let done = greenroom(&["new", "--format", "json", empty.path().to_str().unwrap()]);
    assert_eq!(done.json()["files"], serde_json::json!(["_index.yaml", "greet.wat"]));
}

#[test]
fn the_schema_is_the_library_s_and_valid() {
    let printed = greenroom(&["schema"]).json();
    assert_eq!(printed, greenroom::registry::schema());
    jsonschema::validator_for(&printed).unwrap();
}

#[test]
fn completions_are_there_for_each_shell() {
    for (shell, sign) in [("bash", "complete -F"), ("zsh", "#compdef greenroom"), ("fish", "complete -c greenroom")] {
        let done = greenroom(&["completions", shell]);
        assert_eq!(done.code, 0);
        for word in [sign, "inspect", "concurrency", "no-cache"] {
            assert!(done.stdout.contains(word), "{shell}: {word}");
        }
    }
    let other = greenroom(&["completions", "cmd.exe"]);
    assert_eq!(other.code, 2);
    assert!(other.stderr.contains("bash"), "{other:?}");
}

#[test]
fn inspect_shows_what_is_in_a_file_and_the_entry_that_runs_it() {
    let file = "compute/wasm/compute.wasm";
    let hash = "f108e2bb033a6faf604c7ffa1a5cddb1958aa9218dfb9914244328a1e7d48d66";
    let text = greenroom(&["inspect", file]);
    assert_eq!(text.code, 0);
    for part in ["13700 bytes", hash, "compute: func(a: s32, b: s32) -> s32", "imports\n  none", "_index.yaml"] {
        assert!(text.stdout.contains(part), "{part}: {}", text.stdout);
    }
    let json = greenroom(&["inspect", "--format=json", file]).json();
    assert_eq!((json["size"].as_u64(), json["sha256"].as_str()), (Some(13_700), Some(hash)));

    let root = Root::with(json["entry"].as_str().unwrap());
    root.write("compute.wasm", fs::read(format!("{EXAMPLES}/{file}")).unwrap());
    let called = greenroom(&["call", root.path().to_str().unwrap(), "compute", "6", "7"]);
    assert_eq!(called.stdout, "42\n", "{called:?}");
}

#[test]
fn what_cannot_be_inspected_is_exit_code_1() {
    let done = greenroom(&["inspect", "README.md"]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("README.md is not WebAssembly"), "{done:?}");
    let json = greenroom(&["inspect", "--format=json", "nowhere.wasm"]);
    assert_eq!(json.code, 1);
    assert!(json.error_json()["message"].as_str().unwrap().contains("cannot read nowhere.wasm"), "{json:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn what_has_no_end_is_not_inspected_to_its_end() {
    let done = greenroom(&["inspect", "/dev/zero"]);
    assert_eq!((done.code, done.stdout.as_str()), (1, ""));
    assert!(done.stderr.starts_with("error: /dev/zero is larger than 268435456 bytes"), "{done:?}");
    let done = greenroom(&["inspect", "/"]);
    assert_eq!(done.stderr.matches("directory").count(), 1, "{done:?}");
}
