//! Guests without measure: what they hold and ask for is bounded, and each bound says what it is.

use std::time::Duration;

use greenroom_actors::{CallError, ErrorKind, executor::Executor, spec::Capability};
use serde_json::{Value, json};

use super::{fixture::*, log::Log, prober::*};

const ALL: [Capability; 4] = [Capability::Cli, Capability::Clocks, Capability::Filesystem, Capability::Random];

/// A folder at `/data` with a file of 100 KiB, and the prober that sees it.
fn greedy(what: &str, times: u64) -> Result<Value, CallError> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), vec![b'x'; 100 << 10]).unwrap();
    let mut spec = prober("greedy", &ALL);
    spec.wasi.mounts = vec![mount(dir.path(), "/data", false)];
    call(&prepared(&spec), json!([what, "file", times]))
}

fn refused(what: &str, times: u64, reason: &str) {
    let error = greedy(what, times).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal, "{what}");
    assert!(error.message().contains(reason), "{what}: {error}");
}

#[test]
fn files_and_streams_that_are_open_at_once_are_bounded() {
    let files = "the guest has 256 files open, and no instance may have more";
    assert_eq!(greedy("files", 250).unwrap(), json!(250));
    refused("files", u64::MAX, files);
    for what in ["readers", "writers"] {
        assert_eq!(greedy(what, 250).unwrap(), json!(250), "{what}");
        refused(what, u64::MAX, "the guest has 256 streams of files open, and no instance may have more");
    }
    assert_eq!(greedy("directories", 60).unwrap(), json!(60));
    refused("directories", u64::MAX, "the guest has 64 streams of directories open, and no instance may have more");
}

#[test]
fn what_is_closed_makes_room() {
    for what in ["files-that-are-closed", "readers-that-are-closed"] {
        assert_eq!(greedy(what, 2_000).unwrap(), json!(2_000), "{what}");
    }
}

#[test]
fn handles_of_every_kind_are_bounded() {
    let handles = "the guest holds 16384 handles to streams, pollables and files, and no instance may hold more";
    for what in ["pollables", "stdouts", "mounts"] {
        assert_eq!(greedy(what, 5_000).unwrap(), json!(5_000), "{what}");
        refused(what, 100_000_000, handles);
    }
}

#[test]
fn a_stream_takes_no_more_than_it_has_room_for() {
    assert_eq!(greedy("overlong-write", 64 << 10).unwrap(), json!(64 << 10));
    refused("overlong-write", (64 << 10) + 1, "the guest wrote 65537 bytes to a stream that has room for 65536");
    refused("overlong-write", 100 << 20, "to a stream that has room for 65536");
    refused("stdout", 100 << 20, "to a stream that has room for 65536");
    refused("zeroes", u64::MAX, "cannot write more zeroes than `check_write` allows");
    let log = Log::default();
    log.during(|| assert_eq!(greedy("stdout", 1000).unwrap(), json!(1000)));
    assert_eq!(log.lines(), [("app:f stdout".to_owned(), "x".repeat(1000))]);
}

#[test]
fn reading_without_measure_gives_a_piece() {
    assert_eq!(greedy("read", u64::MAX).unwrap(), json!(64 << 10));
    assert_eq!(greedy("splice", u64::MAX).unwrap(), json!(64 << 10));
}

#[test]
fn a_directory_of_many_entries_is_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    for number in 1..20_000 {
        std::fs::hard_link(dir.path().join("file"), dir.path().join(number.to_string())).unwrap();
    }
    let mut spec = prober("greedy", &ALL);
    spec.wasi.mounts = vec![mount(dir.path(), "/data", true)];
    assert_eq!(call(&prepared(&spec), json!(["entries", "", 0])).unwrap(), json!(20_000));
}

#[test]
fn one_poll_may_name_many_pollables_and_not_any_number() {
    assert_eq!(greedy("polled", 10_000).unwrap(), json!(10_000));
    refused("polled", 1_000_000, "store handle limit exceeded");
}

#[test]
fn randomness_is_bounded() {
    for method in ["random", "insecure"] {
        let ask = |bytes: u64| call(&prepared(&prober(method, &ALL)), json!([bytes]));
        assert_eq!(ask(1 << 20).unwrap(), json!(1 << 20), "{method}");
        for bytes in [(16 << 20) + 1, 4 << 30, u64::MAX] {
            let error = ask(bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Internal);
            assert!(error.message().contains("exceeds limit 16777216"), "{method}: {error}");
        }
    }
}

#[test]
fn a_sleep_without_end_ends_when_its_call_is_dropped() {
    let prepared = prepared(&prober("sleep", &ALL));
    block_on(async {
        let mut instance = prepared.function.make().await.unwrap();
        let sleeping = run(&prepared, &mut instance, json!([u64::MAX]));
        assert!(tokio::time::timeout(Duration::from_millis(20), sleeping).await.is_err());
    });
}
