//! `greenroom call`: arguments, results, errors and their exit codes.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::{Value, json};

use super::{EXAMPLES, greenroom, program};
use crate::registry::Root;

/// Functions of what the examples have not: takes a string, spins without end, does not compile.
const ODD: &str = "entries:
  - name: good
    kind: function.wat
    source: |
      (module (func (export \"good\") (result i32) i32.const 1))
    method: good
  - name: bad
    kind: function.wat
    source: |
      (module (func (export \"bad\") (result i32)))
    method: bad
  - name: spin
    kind: function.wat
    source: |
      (module (func (export \"spin\") (loop $again br $again)))
    method: spin
";

fn with_files(imports: &str) -> Root {
    let root = Root::new();
    root.write("wasm/files.wasm", fs::read(format!("{EXAMPLES}/env-and-mounts/wasm/files.wasm")).unwrap());
    let entry = |name: &str, method: &str| {
        let hash = "71ca462fb0789b0076d29fc00fd0057e210b6f2f9dd6e25bfbb784fdb9e4edab";
        format!(
            "  - name: {name}\n    kind: function.wasm\n    fs: assets\n    path: /files.wasm\n    hash: sha256:{hash}\n    \
             method: {method}\n    imports: [{imports}]\n"
        )
    };
    let assets = "entries:\n  - name: assets\n    kind: fs.directory\n    directory: ./wasm\n";
    root.write("_index.yaml", format!("{assets}{}{}", entry("print", "print"), entry("read_env", "read-env")));
    root
}

#[test]
fn the_result_is_json_on_stdout() {
    let cases: [(&[&str], Value); 5] = [
        (&["answer", "answer:answer"], json!(42)),
        (&["compute", "compute:lazy", "6", "7"], json!(42)),
        (&["strings", "strings:shout", "hello"], json!("HELLO")),
        (&["strings", "strings:shout", "\"hello\""], json!("HELLO")),
        (
            &["strings", "strings:add_up", "[{\"name\": \"tea\", \"price\": 3, \"count\": 2}]"],
            json!({ "total": 6, "items": 2, "dearest": "tea" }),
        ),
    ];
    for (args, result) in cases {
        let done = greenroom(&[&["call"], args].concat());
        assert_eq!((done.code, done.json(), done.stderr.as_str()), (0, result, ""), "{args:?}");
        assert_eq!(done.stdout.lines().count(), 1);
    }
}

#[test]
fn a_function_without_a_result_gives_null() {
    let root = Root::with(
        "entries:\n  - name: f\n    kind: function.wat\n    source: (module (func (export \"f\")))\n    method: f\n",
    );
    assert_eq!(greenroom(&["call", root.path().to_str().unwrap(), "f"]).stdout, "null\n");
}

#[test]
fn arguments_may_start_with_a_dash() {
    for args in [
        &["call", "compute", "compute:lazy", "-6", "7"] as &[&str],
        &["call", "compute", "compute:lazy", "6", "-7"],
        &["call", "compute", "compute:lazy", "--", "-6", "7"],
        &["call", "--timeout", "20s", "compute", "compute:lazy", "-6", "7"],
        &["call", "compute", "--timeout=20", "compute:lazy", "-6", "7"],
        &["call", "compute", "compute:lazy", "--timeout=20000ms", "-6", "7"],
        &["--format", "json", "call", "compute", "compute:lazy", "-6", "7"],
    ] {
        let done = greenroom(args);
        assert_eq!((done.code, done.stdout.as_str()), (0, "-42\n"), "{args:?}: {done:?}");
    }
    let words = greenroom(&["call", "strings", "shout", "-x --y"]);
    assert_eq!(words.stdout, "\"-X --Y\"\n", "{words:?}");
}

#[test]
fn an_option_behind_the_arguments_is_an_argument_and_the_error_says_so() {
    let done = greenroom(&["call", "compute", "compute:lazy", "6", "7", "--timeout", "2s"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("`--timeout` was taken as an argument; options go before the first ARG"), "{done:?}");
}

#[test]
fn a_name_alone_is_enough_when_only_one_function_has_it() {
    assert_eq!(greenroom(&["call", "compute", "lazy", "6", "7"]).stdout, "42\n");
    let root = Root::new();
    let function = "kind: function.wat\n    source: (module (func (export \"f\")))\n    method: f\n";
    root.write("a/_index.yaml", format!("entries:\n  - name: f\n    {function}"));
    root.write("b/_index.yaml", format!("entries:\n  - name: f\n    {function}"));
    let done = greenroom(&["call", root.path().to_str().unwrap(), "f"]);
    assert_eq!(done.code, 2);
    assert_eq!(done.stderr, "error[invalid]: `f` may be `a:f` or `b:f`; write the whole id\n");
    assert_eq!(greenroom(&["call", root.path().to_str().unwrap(), "b:f"]).code, 0);
}

#[test]
fn an_unknown_function_is_not_found_and_the_error_offers_others() {
    let cases = [
        ("compute:lzy", "did you mean `compute:lazy`?"),
        ("adaptiv", "did you mean `compute:adaptive`?"),
        ("zzz", "there is `compute:adaptive`, `compute:inline`, `compute:lazy` and `compute:static`"),
    ];
    for (id, advice) in cases {
        let done = greenroom(&["call", "compute", id, "6", "7"]);
        assert_eq!(done.code, 3);
        assert_eq!(done.stderr, format!("error[not_found]: there is no function `{id}`; {advice}\n"));
    }
    let done = greenroom(&["call", "compute", "compute:assets"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("`compute:assets` is of kind fs.directory, which cannot be called"), "{done:?}");
}

#[test]
fn wrong_arguments_are_invalid_and_the_error_shows_the_signature() {
    let signature = "\n  signature: compute:lazy: func(a: s32, b: s32) -> s32\n";
    for (args, message) in [
        (&["6"] as &[&str], "expected 2 arguments"),
        (&["6", "7", "8"], "expected 2 arguments"),
        (&["6", "seven"], "args[1]: expected s32, got string"),
        (&["6", "3000000000"], "args[1]"),
        (&["6", "[7"], "args[1] was taken as a string, as it is not JSON"),
    ] {
        let done = greenroom(&[&["call", "compute", "compute:lazy"], args].concat());
        assert_eq!((done.code, done.stdout.as_str()), (2, ""), "{args:?}");
        assert!(done.stderr.starts_with("error[invalid]: "), "{done:?}");
        assert!(done.stderr.contains(message) && done.stderr.contains(signature), "{args:?}: {done:?}");
    }
}

#[test]
fn a_missing_variable_is_invalid() {
    let root = with_files("wasi:cli, wasi:filesystem");
    let index = fs::read_to_string(root.path().join("_index.yaml")).unwrap();
    let variable = "  - name: storage\n    kind: env.storage.memory\n  - name: key\n    kind: env.variable\n    \
                    storage: storage\n";
    let wasi = "    wasi:\n      env:\n        - id: key\n          name: KEY\n          required: true\n";
    root.write("_index.yaml", format!("{index}{wasi}{variable}"));
    let done = greenroom(&["call", root.path().to_str().unwrap(), "read_env", "KEY"]);
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.stderr.contains("error[invalid]: ") && done.stderr.contains("myns:key"), "{done:?}");
}

#[test]
fn a_deadline_that_passes_is_a_timeout() {
    let own = greenroom(&["call", "limits", "limits:spin"]);
    assert_eq!(own.code, 4);
    assert!(own.stderr.contains("error[timeout]: ") && own.stderr.contains("max_execution_ms"), "{own:?}");
    let caller = greenroom(&["call", "--timeout", "20ms", "limits", "limits:spin"]);
    assert_eq!(caller.code, 4);
    assert!(caller.stderr.contains("the caller's timeout"), "{caller:?}");
    assert_eq!(greenroom(&["call", "--timeout", "0", "limits", "limits:spin"]).code, 2);
}

#[test]
fn a_trap_is_internal_and_shows_where_the_guest_was() {
    let done = greenroom(&["call", "limits", "limits:divide", "1", "0"]);
    assert_eq!(done.code, 5);
    assert!(done.stderr.starts_with("error[internal]: "), "{done:?}");
    assert!(done.stderr.contains("integer division by zero"), "{done:?}");
    assert!(done.stderr.contains("\n      0: ") && done.stderr.contains("wasm function"), "{done:?}");
}

#[test]
fn a_capability_that_is_not_granted_is_permission_denied() {
    let root = with_files("wasi:filesystem");
    let done = greenroom(&["call", root.path().to_str().unwrap(), "myns:read_env", "HOME"]);
    assert_eq!(done.code, 7, "{done:?}");
    assert!(done.stderr.starts_with("error[permission_denied]: "), "{done:?}");
    assert!(done.stderr.contains("imports: ["), "{done:?}");
}

#[test]
fn what_the_guest_prints_is_seen_on_stderr() {
    let root = with_files("wasi:cli");
    let done = greenroom(&["call", root.path().to_str().unwrap(), "print", "said by the guest"]);
    assert_eq!((done.code, done.stdout.as_str()), (0, "null\n"), "{done:?}");
    assert!(done.stderr.contains("said by the guest") && done.stderr.contains("myns:print"), "{done:?}");
    let quiet = greenroom(&["call", "--log=off", root.path().to_str().unwrap(), "print", "said by the guest"]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""));
}

#[cfg(unix)]
#[test]
fn an_interrupted_call_is_canceled() {
    let root = Root::with(ODD);
    let mut child = program()
        .args(["call", "--log=debug", root.path().to_str().unwrap(), "spin"])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(stderr.by_ref().any(|line| line.unwrap().contains("calling")));
    super::run::signal(&child, "INT");
    let rest: Vec<_> = stderr.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(6));
    assert!(rest.iter().any(|line| line.contains("error[canceled]: interrupted by SIGINT")), "{rest:?}");
}

#[test]
fn only_what_the_call_needs_is_compiled() {
    let root = Root::with(ODD);
    let root = root.path();
    let root = root.to_str().unwrap();
    let good = greenroom(&["call", root, "good"]);
    assert_eq!((good.code, good.stdout.as_str()), (0, "1\n"), "{good:?}");
    let bad = greenroom(&["call", root, "bad"]);
    assert_eq!(bad.code, 1);
    assert!(bad.stderr.contains("_index.yaml:") && bad.stderr.contains("myns:bad"), "{bad:?}");
    assert_eq!(greenroom(&["check", root]).code, 1);
}

#[test]
fn a_registry_that_does_not_load_is_exit_code_1() {
    let nowhere = greenroom(&["call", "nowhere", "x"]);
    assert_eq!(nowhere.code, 1);
    assert!(nowhere.stderr.contains("there is no registry at `nowhere`"), "{nowhere:?}");
    let broken = Root::with("entries:\n  - name: f\n    kind: function.wot\n");
    let done = greenroom(&["call", broken.path().to_str().unwrap(), "f"]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("function.wat"), "{done:?}");
}

#[test]
fn entries_of_unknown_kinds_are_refused_unless_allowed() {
    let root = Root::with(&ODD.replace("entries:\n", "entries:\n  - name: later\n    kind: queue.consumer\n"));
    let root = root.path();
    let root = root.to_str().unwrap();
    assert_eq!(greenroom(&["call", root, "good"]).code, 1);
    let done = greenroom(&["call", "--allow-unknown-kinds", root, "good"]);
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (0, "1\n", ""));
}

#[test]
fn errors_are_json_when_asked_for() {
    let trap = greenroom(&["call", "--format", "json", "limits", "limits:divide", "1", "0"]);
    assert_eq!((trap.code, trap.error_json()["kind"].as_str()), (5, Some("internal")));
    assert_eq!(trap.error_json()["retryable"], json!(false));
    assert!(trap.error_json()["backtrace"].as_str().unwrap().contains("wasm function"));

    let invalid = greenroom(&["--format=json", "call", "compute", "lazy", "6"]).error_json();
    assert_eq!(invalid["kind"], "invalid");
    assert_eq!(invalid["signature"], "compute:lazy: func(a: s32, b: s32) -> s32");
    assert!(invalid["message"].as_str().unwrap().contains("expected 2 arguments"));

    let registry = greenroom(&["--format=json", "call", "nowhere", "x"]).error_json();
    assert_eq!(registry["kind"], "invalid");
    assert_eq!(registry["diagnostics"][0]["severity"], "error");

    let missing = greenroom(&["--format=json", "call", "compute", "nope"]).error_json();
    assert_eq!(missing["kind"], "not_found");
}
