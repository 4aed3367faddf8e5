//! `greenroom bench`: its figures.

use std::{
    io::Read,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{greenroom, program};

#[test]
fn a_bench_prints_its_figures() {
    let args = ["bench", "compute", "compute:lazy", "6", "-7", "--concurrency", "3", "--duration", "0.2"];
    let done = greenroom(&args);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    assert!(done.stdout.starts_with("compute:lazy: 3 callers for 0.2 s\n"), "{}", done.stdout);
    for figure in ["calls", "calls/s", "mean", "p50", "p90", "p99", "p99.9", "max"] {
        let line = done.stdout.lines().find(|line| line.split_whitespace().next() == Some(figure));
        let value = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|value| value.parse::<f64>().ok());
        assert!(value.is_some_and(|value| value > 0.0), "{figure}: {}", done.stdout);
    }
}

#[test]
fn a_bench_of_so_many_calls_ends_with_the_last() {
    let args = ["bench", "--format=json", "sleep", "many", "20", "--concurrency", "50", "--calls", "120"];
    let figures = greenroom(&args).json();
    assert_eq!((&figures["calls"], &figures["errors"]), (&json!(120), &json!({})));
    assert!(figures["latency"]["p50_us"].as_f64().unwrap() >= 20_000.0, "{figures}");
    if cfg!(target_os = "linux") {
        assert!(figures["memory_bytes"].as_u64().unwrap() > 0, "{figures}");
    }
}

#[test]
fn the_figures_are_json_when_asked_for() {
    let done = greenroom(&["bench", "--format=json", "-c2", "-d", "200ms", "compute", "lazy", "6", "7"]);
    let figures = done.json();
    assert_eq!((&figures["function"], &figures["concurrency"]), (&json!("compute:lazy"), &json!(2)));
    assert_eq!(figures["errors"], json!({}));
    let latency = |name: &str| figures["latency"][name].as_f64().unwrap();
    let ordered = ["p50_us", "p90_us", "p99_us", "p99.9_us", "max_us"].map(latency);
    assert!(ordered.is_sorted() && ordered[0] > 0.0, "{figures}");
    let rate = figures["calls"].as_f64().unwrap() / figures["seconds"].as_f64().unwrap();
    assert!((figures["calls_per_second"].as_f64().unwrap() - rate).abs() < 0.01, "{figures}");
}

#[test]
fn errors_are_counted_by_kind() {
    let done = greenroom(&["bench", "limits", "divide", "1", "0", "-d", "100ms"]);
    assert_eq!(done.code, 5, "{done:?}");
    assert!(done.stdout.contains("internal") && done.stdout.contains("division by zero"), "{done:?}");
    let json = greenroom(&["bench", "--format=json", "limits", "divide", "1", "0", "-d", "100ms"]).json();
    assert!(json["errors"]["internal"].as_u64().unwrap() > 0, "{json}");
    assert_eq!(json["calls"], json!(0));
}

#[test]
fn callers_beyond_the_queue_are_refused_and_the_others_go_on() {
    // The queue of an inline pool has room for 64 calls, and one runs.
    let json = greenroom(&["bench", "--format=json", "compute", "inline", "6", "7", "-c", "100", "-d", "200ms"]).json();
    assert!(json["errors"]["rate_limited"].as_u64().unwrap() > 0, "{json}");
    assert!(json["calls"].as_u64().unwrap() > 0, "{json}");
}

#[test]
fn wrong_arguments_are_refused_before_the_bench() {
    let begun = Instant::now();
    let done = greenroom(&["bench", "compute", "lazy", "6", "-d", "1h"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("signature: compute:lazy: func(a: s32, b: s32) -> s32"), "{done:?}");
    assert!(begun.elapsed() < Duration::from_secs(600));
    for wrong in [["-c", "0"], ["-d", "0"], ["-d", "soon"], ["-c", "1000000"]] {
        assert_eq!(
            greenroom(&[&["bench", "compute", "lazy", "6", "7"] as &[&str], &wrong].concat()).code,
            2,
            "{wrong:?}"
        );
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_bench_prints_what_it_has() {
    // The deadline of each call passes once in 200 ms: what is logged of that says that the bench has begun.
    let mut child = program()
        .args(["bench", "--log=debug", "--format=json", "limits", "limits:spin", "-d", "1h"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("benching") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut stderr, &mut line).unwrap() > 0, "it ended before it began");
    }
    super::run::signal(&child, "INT");
    let mut stdout = String::new();
    child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    child.wait().unwrap();
    let json: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert!(json["seconds"].as_f64().unwrap() < 3600.0, "{json}");
}
