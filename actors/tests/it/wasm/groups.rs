//! Each group of capabilities both ways, on a component that a real toolchain made: granted, it works; not granted, the
//! component loads, and the first use names what to add.

use greenroom_actors::{Context, ErrorKind, spec::Capability};
use serde_json::{Value, json};

use super::{fixture::*, log::Log, prober::*};

/// A use of a group: the method, its arguments, the interface of the first function that is used, and what comes back.
type Use = (&'static str, Value, &'static str, fn(&Value) -> bool);

fn uses(group: Capability) -> Vec<Use> {
    match group {
        Capability::Cli => vec![
            ("print", json!(["hello"]), "wasi:cli/stdout", Value::is_null),
            ("complain", json!(["hello"]), "wasi:cli/stderr", Value::is_null),
            ("read-stdin", json!([]), "wasi:cli/stdin", |read| read == ""),
            ("variables", json!([]), "wasi:cli/environment", |found| *found == json!([])),
            ("args", json!([]), "wasi:cli/environment", |found| *found == json!(["f"])),
            ("cwd", json!([]), "wasi:cli/environment", Value::is_null),
        ],
        Capability::Clocks => vec![
            ("now", json!([]), "wasi:clocks/monotonic-clock", |_| true),
            ("sleep", json!([1_000_000]), "wasi:clocks/monotonic-clock", Value::is_null),
            ("poll", json!([5]), "wasi:clocks/monotonic-clock", |ready| *ready == json!([4])),
            ("wall-seconds", json!([]), "wasi:clocks/wall-clock", |now| now.as_u64() > Some(1_700_000_000)),
        ],
        Capability::Random => vec![
            ("random", json!([1000]), "wasi:random/random", |bytes| *bytes == json!(1000)),
            ("insecure", json!([1000]), "wasi:random/insecure", |bytes| *bytes == json!(1000)),
            ("seed", json!([]), "wasi:random/insecure-seed", |seed| *seed == json!(true)),
        ],
        Capability::Filesystem => {
            vec![("mounts", json!([]), "wasi:filesystem/preopens", |mounts| *mounts == json!(["/data"]))]
        }
        _ => Vec::new(),
    }
}

#[test]
fn each_group_works_when_it_is_granted_and_its_first_use_names_the_grant_when_not() {
    let dir = tempfile::tempdir().unwrap();
    for group in [Capability::Cli, Capability::Clocks, Capability::Random, Capability::Filesystem] {
        for (method, args, interface, is_right) in uses(group) {
            let mut spec = prober(method, &[group]);
            if group == Capability::Filesystem {
                spec.wasi.mounts = vec![mount(dir.path(), "/data", true)];
            }
            let given = call(&prepared(&spec), args.clone()).unwrap();
            assert!(is_right(&given), "{method}: {given}");

            // All others are granted, so that nothing but this group is missing.
            let others = Capability::ALL.into_iter().filter(|other| *other != group).collect();
            spec.imports = others;
            let denied = prepared(&spec);
            let error = call(&denied, args).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{method}");
            let advice = Capability::ALL.map(Capability::name).join(", ");
            assert_eq!(
                error.message(),
                format!(
                    "function `app:f` used `{interface}@0.2.12`, which its entry does not grant; add `imports: [{advice}]`"
                ),
            );
            let warning = &denied.warnings[0];
            assert!(warning.message.starts_with(&format!("the component imports {group}, which")), "{warning:?}");
            assert_eq!(warning.notes, [format!("to grant it, write `imports: [{advice}]`")]);
        }
    }
}

#[test]
fn what_a_guest_does_not_use_need_not_be_granted() {
    let bare = prepared(&prober("nothing", &[]));
    assert_eq!(call(&bare, json!([])).unwrap(), json!(7));
    let all = "`imports: [wasi:cli, wasi:clocks, wasi:filesystem, wasi:random]`";
    assert_eq!(bare.warnings[0].notes, [format!("to grant it, write {all}")]);
}

#[test]
fn streams_and_polls_need_no_grant_of_their_own() {
    for io in [&[][..], &[Capability::Io], &[Capability::Poll], &[Capability::Io, Capability::Poll]] {
        let granted = [io, &[Capability::Clocks, Capability::Cli]].concat();
        assert_eq!(call(&prepared(&prober("poll", &granted)), json!([3])).unwrap(), json!([2]));
        let log = Log::default();
        let print = prepared(&prober("print", &granted));
        log.during(|| call(&print, json!(["hello"])).unwrap());
        assert_eq!(log.lines(), [("app:f stdout".to_owned(), "hello".to_owned())]);
    }
}

#[test]
fn what_a_guest_prints_has_the_id_of_the_request_that_it_is_for() {
    let log = Log::default();
    let print = prepared(&prober("print", &[Capability::Cli]));
    let context = Context { request_id: Some("r-1".to_owned()), ..Context::default() };
    log.during(|| call_with(&print, context, json!(["hello"])).unwrap());
    log.during(|| call(&print, json!(["again"])).unwrap());
    let lines = [("app:f stdout of r-1", "hello"), ("app:f stdout", "again")];
    assert_eq!(log.lines(), lines.map(|(source, text)| (source.to_owned(), text.to_owned())));
}

#[test]
fn the_list_of_mounts_is_empty_without_mounts_and_denied_with_them() {
    let without = prober("mounts", &[]);
    assert_eq!(call(&prepared(&without), json!([])).unwrap(), json!([]));
    let dir = tempfile::tempdir().unwrap();
    let mut with = prober("mounts", &[]);
    with.wasi.mounts = vec![mount(dir.path(), "/data", false)];
    let error = call(&prepared(&with), json!([])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.message().contains("`wasi:filesystem/preopens@0.2.12`"), "{error}");
}

#[test]
fn an_exit_ends_the_call_with_its_status() {
    let exit = |method: &str, arg: Value| call(&prepared(&prober(method, &[Capability::Cli])), json!([arg]));
    for (method, arg, status) in [
        ("exit", json!(true), 0),
        ("exit", json!(false), 1),
        ("exit-with-code", json!(0), 0),
        ("exit-with-code", json!(42), 42),
        ("exit-with-code", json!(255), 255),
    ] {
        let error = exit(method, arg).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert_eq!(error.message(), format!("`app:f`: the guest exited with status {status}"));
    }
    let denied = call(&prepared(&prober("exit", &[])), json!([true])).unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
    assert!(denied.message().contains("`wasi:cli/exit@0.2.12`"), "{denied}");
}
