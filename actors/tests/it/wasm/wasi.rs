//! The world of a guest: preview 1 modules, arguments, environment, mounts, output.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use greenroom_actors::{
    ErrorKind,
    executor::Executor,
    spec::{Capability, EnvBinding, Mount, Variable, WasmSpec},
    wasm::{LINE_BYTES_MAX, LINES_PER_SECOND_MAX},
};
use serde_json::{Value, json};

use super::{fixture::*, log::Log};

/// What a preview 1 module needs to print. The adapter looks for mounts first, and is told of none.
const PRINTING: &[Capability] = &[Capability::Cli];

/// A preview 1 program that writes a line and ends with the status it is built with.
fn program(status: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          (data (i32.const 64) "hello\n")
          (func (export "_start")
            (i32.store (i32.const 0) (i32.const 64))
            (i32.store (i32.const 4) (i32.const 6))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
            {status}))"#
    )
}

fn granting(mut spec: WasmSpec, granted: &[Capability]) -> WasmSpec {
    spec.imports = granted.iter().copied().collect();
    spec
}

#[test]
fn a_preview_1_program_runs_by_either_name_of_its_start() {
    for method in ["run", "_start", "wasi:cli/run#run"] {
        let prepared = prepare(&granting(text(&program(""), method), PRINTING));
        let log = Log::default();
        assert_eq!(log.during(|| call(&prepared, json!([])).unwrap()), json!({"ok": null}), "{method}");
        assert_eq!(log.lines(), [("app:f stdout".to_owned(), "hello".to_owned())]);
    }
}

#[test]
fn the_exit_of_a_program_is_its_result() {
    let outcome = |status| {
        let source = program(&format!("(call $exit (i32.const {status}))"));
        call(&prepare(&granting(text(&source, "run"), PRINTING)), json!([]))
    };
    assert_eq!(outcome(0).unwrap(), json!({"ok": null}));
    let error = outcome(1).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Internal, "`app:f`: the guest exited with status 1"));
}

#[test]
fn a_program_that_writes_without_a_grant_is_denied() {
    let prepared = prepare(&text(&program(""), "run"));
    assert_eq!(prepared.warnings[0].notes, ["to grant it, write `imports: [wasi:cli, wasi:filesystem]`"]);
    assert_eq!(call(&prepared, json!([])).unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[test]
fn a_preview_1_library_has_functions_with_and_without_wit() {
    let source = r#"(module
      (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (memory (export "memory") 1)
      (global $ready (mut i32) (i32.const 0))
      (func (export "_initialize") (global.set $ready (i32.const 1)))
      (func (export "is_ready") (result i32) (global.get $ready))
      (func (export "random") (result i32) (call $random (i32.const 0) (i32.const 8))))"#;
    let ready = prepare(&text(source, "is_ready"));
    assert_eq!(call(&ready, json!([])).unwrap(), json!(1));
    let random = with_wit(text(source, "random"), "random: func() -> u32;");
    assert_eq!(call(&prepare(&granting(random.clone(), &[Capability::Random])), json!([])).unwrap(), json!(0));
    assert_eq!(call(&prepare(&random), json!([])).unwrap_err().kind(), ErrorKind::PermissionDenied);
}

/// Writes `param` lines of one byte to stderr, then a line without an end of `param` bytes.
const WRITES: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func $bytes (param $length i32)
    (i32.store (i32.const 4) (local.get $length))
    (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func (export "lines") (param $n i32)
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store16 (i32.const 16) (i32.const 0x0a78))
    (loop $again
      (call $bytes (i32.const 2))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func (export "long") (param $n i32)
    (i32.store (i32.const 0) (i32.const 16))
    (memory.fill (i32.const 16) (i32.const 0x79) (i32.const 65536))
    (call $bytes (local.get $n))))"#;

#[test]
fn lines_of_output_are_bounded_in_length() {
    let prepared = prepare(&granting(text(WRITES, "long"), PRINTING));
    let log = Log::default();
    log.during(|| call(&prepared, json!([LINE_BYTES_MAX + 10])).unwrap());
    let expected = format!("{} … (10 bytes more)", "y".repeat(LINE_BYTES_MAX));
    assert_eq!(log.lines(), [("app:f stderr".to_owned(), expected)]);
}

#[test]
fn lines_of_output_are_bounded_in_rate() {
    let prepared = prepare(&granting(text(WRITES, "lines"), PRINTING));
    let log = Log::default();
    let many = 20 * LINES_PER_SECOND_MAX;
    log.during(|| {
        call(&prepared, json!([many])).unwrap();
        // What was dropped last is told when the function goes.
        drop(prepared);
    });
    let lines = log.lines();
    let written = lines.iter().filter(|(_, text)| text == "x").count();
    let dropped: usize = lines
        .iter()
        .filter_map(|(_, text)| text.split_once(" lines of output were dropped")?.0.parse::<usize>().ok())
        .sum();
    assert!(written >= LINES_PER_SECOND_MAX as usize && dropped > 0, "{written} written, {dropped} dropped");
    assert_eq!(written + dropped, many as usize);
}

/// Returns what `wasi:cli/environment` says.
const ENVIRONMENT: &str = r#"(component
  (import "wasi:cli/environment@0.2.3" (instance $e
    (export "get-environment" (func (result (list (tuple string string)))))
    (export "get-arguments" (func (result (list string))))
    (export "initial-cwd" (func (result (option string))))))
  (core module $mem
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 64))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $mem (instantiate $mem))
  (core func $env (canon lower (func $e "get-environment") (memory (core memory $mem "memory")) (realloc (core func $mem "realloc"))))
  (core func $args (canon lower (func $e "get-arguments") (memory (core memory $mem "memory")) (realloc (core func $mem "realloc"))))
  (core func $cwd (canon lower (func $e "initial-cwd") (memory (core memory $mem "memory")) (realloc (core func $mem "realloc"))))
  (core module $m
    (import "h" "env" (func $env (param i32)))
    (import "h" "args" (func $args (param i32)))
    (import "h" "cwd" (func $cwd (param i32)))
    (func (export "env") (result i32) (call $env (i32.const 8)) (i32.const 8))
    (func (export "args") (result i32) (call $args (i32.const 8)) (i32.const 8))
    (func (export "cwd") (result i32) (call $cwd (i32.const 8)) (i32.const 8)))
  (core instance $i (instantiate $m (with "h" (instance
    (export "env" (func $env)) (export "args" (func $args)) (export "cwd" (func $cwd))))))
  (func (export "env") (result (list (tuple string string))) (canon lift (core func $i "env") (memory (core memory $mem "memory"))))
  (func (export "args") (result (list string)) (canon lift (core func $i "args") (memory (core memory $mem "memory"))))
  (func (export "cwd") (result (option string)) (canon lift (core func $i "cwd") (memory (core memory $mem "memory")))))"#;

#[test]
fn a_guest_sees_its_arguments_and_its_directory() {
    let mut spec = granting(text(ENVIRONMENT, "args"), &[Capability::Cli]);
    spec.wasi.args = vec!["--verbose".to_owned()];
    assert_eq!(call(&prepare(&spec), json!([])).unwrap(), json!(["f", "--verbose"]));
    spec.method = "cwd".to_owned();
    assert_eq!(call(&prepare(&spec), json!([])).unwrap(), json!(null));
    spec.wasi.cwd = Some("/app".to_owned());
    assert_eq!(call(&prepare(&spec), json!([])).unwrap(), json!("/app"));
}

#[derive(Debug, Default)]
struct Setting(Mutex<Option<Result<String, String>>>);

impl Setting {
    fn set(&self, value: Result<&str, &str>) {
        *self.0.lock().unwrap() = Some(value.map(str::to_owned).map_err(str::to_owned));
    }
}

impl Variable for Setting {
    fn id(&self) -> &str {
        "app:setting"
    }

    fn get(&self) -> Result<Option<String>, String> {
        self.0.lock().unwrap().clone().transpose()
    }
}

fn with_variable(required: bool) -> (WasmSpec, Arc<Setting>) {
    let setting = Arc::new(Setting::default());
    let mut spec = granting(text(ENVIRONMENT, "env"), &[Capability::Cli]);
    spec.reuse = 10;
    let variable = Arc::clone(&setting);
    spec.wasi.env = vec![EnvBinding { name: "SETTING".to_owned(), required, variable }];
    (spec, setting)
}

#[test]
fn the_environment_is_looked_up_anew_for_each_call_on_an_instance() {
    let (spec, setting) = with_variable(false);
    let prepared = prepare(&spec);
    assert_eq!(prepared.function.reuse(), 10);
    block_on(async {
        let mut instance = prepared.function.make().await.unwrap();
        assert_eq!(run(&prepared, &mut instance, json!([])).await.unwrap(), json!([]));
        for value in ["one", "two"] {
            setting.set(Ok(value));
            assert_eq!(run(&prepared, &mut instance, json!([])).await.unwrap(), json!([["SETTING", value]]));
        }
    });
}

#[test]
fn a_required_variable_without_a_value_fails_the_call_and_not_the_instance() {
    let (spec, setting) = with_variable(true);
    let prepared = prepare(&spec);
    block_on(async {
        let mut instance = prepared.function.make().await.unwrap();
        let error = run(&prepared, &mut instance, json!([])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(
            error.message(),
            "`app:f` requires the environment variable `SETTING`, but `app:setting` has no value; set it, or drop `required: true`"
        );
        setting.set(Ok(""));
        assert_eq!(run(&prepared, &mut instance, json!([])).await.unwrap(), json!([["SETTING", ""]]));
        setting.set(Err("the file is locked"));
        let error = run(&prepared, &mut instance, json!([])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().ends_with("cannot be read: the file is locked"), "{error}");
    });
}

/// Opens `f.txt` of the first mount: `create` makes it, `open` reads it. The result is the error number of preview 1.
const OPENS: &str = r#"(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "f.txt../f.txt")
  (func (export "create") (result i32)
    (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 1)
      (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 8)))
  (func (export "open") (result i32)
    (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8)))
  (func (export "escape") (result i32)
    (call $open (i32.const 3) (i32.const 0) (i32.const 69) (i32.const 8) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8))))"#;

fn opens(method: &str, mount: &std::path::Path, read_only: bool) -> WasmSpec {
    let mut spec = granting(text(OPENS, method), &[Capability::Filesystem, Capability::Cli]);
    spec.wasi.mounts = vec![Mount { host: mount.to_owned(), guest: "/data".to_owned(), read_only }];
    spec
}

#[test]
fn a_mount_is_written_unless_it_is_read_only() {
    let outer = tempfile::tempdir().unwrap();
    let mount = outer.path().join("data");
    fs::create_dir(&mount).unwrap();
    fs::write(outer.path().join("f.txt"), "outside").unwrap();
    let errno = |method, read_only| call(&prepare(&opens(method, &mount, read_only)), json!([])).unwrap();
    let (ok, missing) = (json!(0), json!(44));

    assert_ne!(errno("create", true), ok);
    assert!(!mount.join("f.txt").exists());
    assert_eq!(errno("open", true), missing);
    assert_eq!(errno("create", false), ok);
    assert!(mount.join("f.txt").exists());
    assert_eq!(errno("open", true), ok);
    assert_ne!(errno("escape", false), ok);
}

#[test]
fn a_mount_needs_the_grant_of_the_filesystem() {
    let mount = tempfile::tempdir().unwrap();
    let mut spec = opens("create", mount.path(), false);
    spec.imports = [Capability::Cli].into_iter().collect();
    let error = call(&prepare(&spec), json!([])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.message().ends_with("add `imports: [wasi:cli, wasi:filesystem]`"), "{error}");
}

#[test]
fn a_mount_that_does_not_exist_is_met_at_start_and_one_that_goes_later_by_the_call() {
    let outer = tempfile::tempdir().unwrap();
    let mount = outer.path().join("data");
    let error = refused(&opens("open", &mount, false));
    assert_eq!((error.field, error.kind), ("wasi.mounts", ErrorKind::NotFound));
    assert!(error.message.starts_with("the mount `/data` cannot be opened: "), "{error}");
    fs::write(&mount, "a file").unwrap();
    assert!(refused(&opens("open", &mount, false)).message.ends_with("it is no directory"));

    fs::remove_file(&mount).unwrap();
    fs::create_dir(&mount).unwrap();
    let prepared = prepare(&opens("open", &mount, false));
    fs::remove_dir(&mount).unwrap();
    let error = call(&prepared, Value::Array(Vec::new())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().starts_with("the mount `/data` of `app:f` cannot be opened: "), "{error}");
}
