//! What `inspect` prints for guests of every toolchain: an entry that works as it is, and grants no more than it must.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use super::built::built;
use crate::{
    cli::{EXAMPLES, greenroom, program},
    registry::Root,
};

/// The entry that `inspect` prints for a file, in a folder with the file. Where it has hosts to list, they are.
fn inspected(file: &Path) -> Root {
    let done = greenroom(&["inspect", file.to_str().unwrap()]);
    assert_eq!(done.code, 0, "{done:?}");
    let (_, entry) = done.stdout.split_once("\n_index.yaml, beside the file\n").expect("it prints an entry");
    let lines = entry.lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line)));
    let lines = lines.map(|line| {
        ["wasi:", "  network:", "    allow:"]
            .iter()
            .fold(line, |line, field| line.replace(&format!("    # {field}"), &format!("    {field}")))
    });
    let root = Root::with(&lines.collect::<String>());
    let place = root.path().join(file.file_name().unwrap());
    std::fs::hard_link(file, &place).or_else(|_| std::fs::copy(file, &place).map(drop)).unwrap();
    root
}

/// Fails unless the entry is sound as it is, and has a warning when any one of its grants is taken away.
fn assert_exact(file: &Path, root: &Root) {
    let path = root.path();
    let check = || greenroom(&["check", path.to_str().unwrap()]);
    let checked = check();
    let name = file.display();
    assert!(checked.code == 0 && checked.stdout.contains(": 0 errors, 0 warnings"), "{name}: {checked:?}");
    let index = path.join("_index.yaml");
    let whole = std::fs::read_to_string(&index).unwrap();
    let grants = whole.lines().filter(|line| line.starts_with("      - wasi:"));
    // Streams and polls come from what else is granted: `wasi:io` by itself is never missed.
    for grant in grants.filter(|line| *line != "      - wasi:io") {
        let without = whole.replace(&format!("{grant}\n"), "");
        assert_ne!(without, whole);
        // A list must not be left empty.
        std::fs::write(&index, without.replace("    imports:\n    pool:", "    pool:")).unwrap();
        let checked = check();
        let group = grant.trim_start_matches([' ', '-']);
        assert!(checked.code == 0, "{name} without {group}: {checked:?}");
        assert!(checked.stderr.contains(&format!("imports {group}, which the entry")), "{name}: {group}: {checked:?}");
    }
    std::fs::write(&index, whole).unwrap();
}

fn example(path: &str) -> PathBuf {
    Path::new(EXAMPLES).join(path)
}

/// Inspects a library, and calls the first of its functions.
fn assert_called(file: &Path, function: &str, args: &[&str], expected: &str) {
    let root = inspected(file);
    assert_exact(file, &root);
    let path = root.path();
    let mut line = vec!["call", path.to_str().unwrap(), function];
    line.extend(args);
    let done = greenroom(&line);
    assert_eq!((done.code, done.stdout.trim_end()), (0, expected), "{}: {done:?}", file.display());
}

#[test]
fn the_entry_of_a_library_works_as_it_is() {
    for (file, function, args, expected) in [
        ("compute/wasm/compute.wasm", "compute", &["6", "7"] as &[&str], "42"),
        ("pipeline/wasm/mapper.wasm", "transform_users", &["[]"], "[]"),
        ("env-and-mounts/wasm/files.wasm", "read_env", &["NOT_GIVEN"], "null"),
        ("rust/wasm/text.wasm", "slugify", &["Two words"], "\"two-words\""),
    ] {
        assert_called(&example(file), function, args, expected);
    }
}

#[test]
fn the_entry_of_a_guest_that_sleeps_lets_it_sleep() {
    let file = example("sleep/wasm/sleep_test.wasm");
    let root = inspected(&file);
    assert_exact(&file, &root);
    let done = greenroom(&["call", root.path().to_str().unwrap(), "sleep_ms", "1"]);
    assert!(done.code == 0 && done.stdout.trim_end().parse::<u64>().unwrap() >= 1, "{done:?}");
}

#[test]
fn the_entry_of_a_guest_in_javascript_works_as_it_is() {
    if let Some(built) = built("javascript") {
        assert_called(&built.join("wasm/scripting.wasm"), "slug", &["Two words"], "\"two-words\"");
    }
}

#[test]
fn the_entry_of_a_guest_in_python_works_as_it_is() {
    if let Some(built) = built("python") {
        assert_called(&built.join("wasm/scripting.wasm"), "slug", &["Two words"], "\"two-words\"");
    }
}

#[test]
fn the_entry_of_a_program_is_a_command() {
    for (name, args, stdin, code, stdout) in [
        ("tally", &["count"] as &[&str], "a b\nc\n", 0, "2 3 6\n"),
        // The adapter in the component knows of success and failure alone.
        ("tally", &["exit", "42"], "", 1, ""),
        ("tally_p1", &["unique"], "b\na\nb\n", 0, "a\nb\n"),
        ("tally_p1", &["exit", "42"], "", 42, ""),
        ("shout", &[], "quiet\n", 0, "QUIET\n"),
        ("shout", &[], "", 1, ""),
    ] {
        let file = example(&format!("commands/wasm/{name}.wasm"));
        let root = inspected(&file);
        assert_exact(&file, &root);
        let mut command = program();
        command.args(["run", root.path().to_str().unwrap(), name]).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = command.spawn().unwrap();
        // Dropped at once, so that its input ends. One that ends without reading closes the pipe first.
        drop(running.stdin.take().unwrap().write_all(stdin.as_bytes()));
        let output = running.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{name} {args:?}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), stdout, "{name} {args:?}");
    }
}
