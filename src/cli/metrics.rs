//! The recorder of a run's metrics. Which metrics there are is not known here, nor who reads them.

use std::{convert::Infallible, time::Duration};

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{MissedTickBehavior, interval};

/// How often what was recorded is folded into the histograms, so that it takes no more memory than they do.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Buckets of everything in seconds: from what a warm call takes to what a patient caller waits.
const SECONDS: [f64; 18] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
    0.5, 1.0, 2.5, 10.0,
];

/// Records the metrics of this process from now on. What reads them is given back.
///
/// # Errors
/// When something else records them already.
pub(super) fn record() -> anyhow::Result<PrometheusHandle> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .context("the buckets of the metrics")?;
    let handle = builder.install_recorder().context("metrics cannot be recorded")?;
    crate::describe_metrics();
    Ok(handle)
}

/// Keeps what was recorded small, until it is dropped.
pub(super) async fn upkeep(metrics: &PrometheusHandle) -> Infallible {
    let mut upkeep = interval(UPKEEP_EVERY);
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        upkeep.tick().await;
        metrics.run_upkeep();
    }
}
