//! Instances that serve several calls: WASI works in the second and later calls as in the first, and what a guest keeps is
//! its own until its instance goes.

use std::{fs, path::Path};

use greenroom_actors::{
    ErrorKind,
    executor::{Executor, Instance},
    spec::Capability,
    wasm::Prepared,
};
use serde_json::{Value, json};

use super::{fixture::*, log::Log, prober::*};

const ALL: [Capability; 4] = [Capability::Cli, Capability::Clocks, Capability::Filesystem, Capability::Random];

fn reusable(method: &str, dir: &Path) -> (Prepared, Box<dyn Instance>) {
    let mut spec = prober(method, &ALL);
    spec.reuse = 100;
    spec.wasi.mounts = vec![mount(dir, "/data", false)];
    let prepared = prepared(&spec);
    let instance = block_on(prepared.function.make()).unwrap();
    (prepared, instance)
}

fn again(made: &mut (Prepared, Box<dyn Instance>), args: &Value) -> Value {
    block_on(run(&made.0, &mut made.1, args.clone())).unwrap()
}

#[test]
fn every_group_works_in_every_call_of_an_instance() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "content").unwrap();
    for (method, args, expected) in [
        ("print", json!(["a line"]), json!(null)),
        ("complain", json!(["a line"]), json!(null)),
        ("read-stdin", json!([]), json!("")),
        ("args", json!([]), json!(["f"])),
        ("sleep", json!([1_000]), json!(null)),
        ("poll", json!([10]), json!([9])),
        ("random", json!([100]), json!(100)),
        ("mounts", json!([]), json!(["/data"])),
        ("file", json!(["read", "/data", "file", "/data", ""]), json!({"ok": "content"})),
        ("file", json!(["read", "/data", "missing", "/data", ""]), json!({"err": "no-entry"})),
        ("c-file", json!(["read", "/data/file", ""]), json!({"ok": "content"})),
        ("c-file", json!(["create", "/data/new", ""]), json!({"ok": ""})),
        ("c-file", json!(["list", "/data", ""]), json!({"ok": "4"})),
    ] {
        let mut made = reusable(method, dir.path());
        let log = Log::default();
        log.during(|| {
            for call in 0..300 {
                let given = again(&mut made, &args);
                // Whoever lists the folder sees the file that was made before.
                assert_eq!(given, expected, "{method}, call {call}");
            }
        });
        let lines = if ["print", "complain"].contains(&method) { 300 } else { 0 };
        assert_eq!(log.lines().len(), lines, "{method}");
    }
}

#[test]
fn a_failed_call_ends_an_instance_and_the_next_is_as_new() {
    let dir = tempfile::tempdir().unwrap();
    let mut served = reusable("served", dir.path());
    for expected in 0..3 {
        assert_eq!(again(&mut served, &json!([])), json!(expected));
    }
    let mut exit = reusable("exit", dir.path());
    for message in ["the guest exited with status 1", "an instance whose last call failed was called again"] {
        let error = block_on(run(&exit.0, &mut exit.1, json!([false]))).unwrap_err();
        assert!(error.kind() == ErrorKind::Internal && error.message().contains(message), "{error}");
    }
    assert_eq!(again(&mut reusable("served", dir.path()), &json!([])), json!(0));
}

/// How often this process has a file open.
#[cfg(target_os = "linux")]
fn open(file: &Path) -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    links.filter(|link| link == file).count()
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_that_a_guest_keeps_open_is_open_until_its_instance_goes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().canonicalize().unwrap().join("file");
    fs::write(&file, "first").unwrap();
    let mut made = reusable("file", dir.path());
    assert_eq!(again(&mut made, &json!(["hold", "/data", "file", "/data", ""])), json!({"ok": ""}));
    assert_eq!(open(&file), 1);
    fs::write(&file, "second").unwrap();
    assert_eq!(again(&mut made, &json!(["read-held", "/data", "", "/data", ""])), json!({"ok": "second"}));
    drop(made);
    assert_eq!(open(&file), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_guest_never_closes_adds_up_to_the_bound_and_goes_with_the_instance() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().canonicalize().unwrap().join("file");
    fs::write(&file, "").unwrap();
    let mut made = reusable("greedy", dir.path());
    for calls in 1..=2 {
        assert_eq!(again(&mut made, &json!(["files", "file", 100])), json!(100));
        assert_eq!(open(&file), calls * 100);
    }
    let error = block_on(run(&made.0, &mut made.1, json!(["files", "file", 100]))).unwrap_err();
    assert!(error.message().contains("the guest has 256 files open"), "{error}");
    drop(made);
    assert_eq!(open(&file), 0);
}
