//! What all rows share: the callers' threads, the recorder of metrics, how long to measure, and where peers are.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::runtime::Runtime;

use crate::peers;

/// Threads on which callers, and the bare loops, run.
pub const THREADS: usize = 2;

/// How often what was recorded is folded into the histograms, as the program `greenroom` does.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// How long the rows are measured.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Rounds of each side.
    pub rounds: usize,
    /// How long a side is measured in each round.
    pub round: Duration,
    /// How long a side runs before the first round, unmeasured.
    pub warm_up: Duration,
}

impl Pace {
    /// For figures to publish.
    pub const FULL: Self = Self { rounds: 11, round: Duration::from_secs(2), warm_up: Duration::from_secs(1) };
    /// For work on one part, and a first look at all.
    pub const QUICK: Self = Self { rounds: 5, round: Duration::from_secs(1), warm_up: Duration::from_millis(300) };
    /// To see that rows run.
    pub const SMOKE: Self = Self { rounds: 1, round: Duration::from_millis(100), warm_up: Duration::ZERO };

    /// Whether figures mean nothing, and rows may take fewer of whatever they take many of.
    pub fn is_smoke(&self) -> bool {
        self.rounds == 1
    }
}

/// What all rows share.
pub struct Lab {
    /// How long to measure.
    pub pace: Pace,
    /// The runtime of whoever calls: an embedder's own, with [`THREADS`] threads.
    pub callers: Runtime,
    /// Whether callers of ours stay on threads of their own.
    pub is_apart: bool,
    /// What ours recorded.
    pub metrics: PrometheusHandle,
    wasmtime: PathBuf,
}

/// Why a row has no figures, through no fault of what it measures: what it needs is not there, and how to get it.
#[derive(Debug)]
pub struct NotMeasured(pub String);

impl std::fmt::Display for NotMeasured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotMeasured {}

impl Lab {
    /// Starts the callers' threads and the recorder, of which a process has one.
    pub fn new(pace: Pace, is_apart: bool, wasmtime: Option<PathBuf>) -> anyhow::Result<Self> {
        let callers = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("callers")
            .enable_all()
            .build()
            .context("the callers' threads")?;
        let metrics = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &buckets())
            .and_then(PrometheusBuilder::install_recorder)
            .context("the recorder of metrics")?;
        greenroom_actors::metrics::describe();
        let kept_small = metrics.clone();
        callers.spawn(async move {
            loop {
                tokio::time::sleep(UPKEEP_EVERY).await;
                kept_small.run_upkeep();
            }
        });
        Ok(Self { pace, callers, is_apart, metrics, wasmtime: wasmtime.unwrap_or_else(peers::wasmtime) })
    }

    /// The `wasmtime` program: what was named, or what `peers` built.
    ///
    /// # Errors
    /// [`NotMeasured`] when it is not there or of another version.
    pub fn wasmtime(&self) -> anyhow::Result<&Path> {
        peers::check(&self.wasmtime)?;
        Ok(&self.wasmtime)
    }
}

/// Fine enough to read a percentile from: each is a tenth more than the last, from 10 µs to 10 s.
fn buckets() -> Vec<f64> {
    std::iter::successors(Some(10e-6), |bound| Some(bound * 1.1)).take_while(|bound| *bound < 10.0).collect()
}
