//! Many functions of one binary, each call to any of them, against the same calls to one: what a tree costs that is wide.

use std::{process::Command, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use greenroom_actors::spec::{FunctionId, PoolSpec};
use serde::{Deserialize, Serialize};

use super::{Figure, Row, Sides, Target, calls::reuse};
use crate::{
    guests::Guest,
    lab::Lab,
    ours::{Tree, function},
};

/// Callers of either tree.
pub const CALLERS: usize = 64;

/// The rows of this family.
pub fn rows() -> Vec<Box<dyn Row>> {
    [10, 100, 1_000, 10_000].map(|count| Box::new(Functions { count }) as Box<dyn Row>).into()
}

struct Functions {
    count: usize,
}

impl Row for Functions {
    fn name(&self) -> String {
        format!("functions-{}", self.count)
    }

    fn about(&self) -> String {
        format!(
            "{CALLERS} callers of {} functions of one binary, with the pools that entries have by default",
            self.count
        )
    }

    fn figures(&self) -> Vec<Figure> {
        let baseline = "the same callers of one function";
        vec![Figure { name: self.name(), unit: "calls/s", baseline, target: Target::RatioAtLeast(0.8) }]
    }

    fn set_up<'lab>(&self, lab: &'lab Lab) -> anyhow::Result<Box<dyn Sides + 'lab>> {
        let count_max = if lab.pace.is_smoke() { 1_000 } else { usize::MAX };
        Ok(Box::new(OneAndMany { lab, count: self.count.min(count_max) }))
    }
}

/// Each turn is taken in a process of its own: what ten thousand functions leave behind is not the question.
struct OneAndMany<'lab> {
    lab: &'lab Lab,
    count: usize,
}

impl Sides for OneAndMany<'_> {
    fn ours(&mut self, time: Duration) -> anyhow::Result<Vec<f64>> {
        Ok(vec![alone(self.lab, self.count, time)?.per_second])
    }

    fn baseline(&mut self, time: Duration) -> anyhow::Result<Vec<Option<f64>>> {
        Ok(vec![Some(alone(self.lab, 1, time)?.per_second)])
    }
}

/// What was found of many functions.
#[derive(Debug, Serialize, Deserialize)]
pub struct Found {
    /// Calls a second, to any of them.
    pub per_second: f64,
    /// What half of the calls took at most, in seconds.
    pub p50: f64,
    /// What all but one in a hundred took at most, in seconds.
    pub p99: f64,
    /// Bytes that became resident when they were loaded.
    pub loaded: Option<f64>,
    /// Bytes that became resident until each had been called once and had its next instance ready.
    pub called: Option<f64>,
}

/// Calls so many functions for this long, in a process of their own.
///
/// # Errors
/// What that process says.
pub fn alone(lab: &Lab, count: usize, time: Duration) -> anyhow::Result<Found> {
    let mut process = Command::new(std::env::current_exe()?);
    process.arg("functions").arg(count.to_string()).arg(time.as_millis().to_string());
    process.args(lab.is_apart.then_some("--apart"));
    let output = process.output().context("this program cannot be started again")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The same in this process, which should have done nothing before.
pub fn here(lab: &Lab, count: usize, time: Duration) -> anyhow::Result<Found> {
    let ids = (0..count).map(|index| FunctionId::new("bench", &format!("greet-{index}")));
    let ids: Arc<[FunctionId]> = ids.collect::<Result<_, _>>()?;
    let spec = |id: &FunctionId| function(id.clone(), Guest::Greet, PoolSpec::default(), reuse(true));
    let before = resident();
    let more = || Some(resident()? - before?);
    let tree = Tree::start(lab, "functions", ids.iter().map(spec).collect())?;
    let loaded = more();
    tree.call_each(&ids, Guest::Greet, CALLERS)?;
    let called = more();
    let counted = tree.in_a_loop(&ids, Guest::Greet, CALLERS, time, true)?;
    Ok(Found {
        per_second: counted.per_second(),
        p50: counted.latency(0.5)?,
        p99: counted.latency(0.99)?,
        loaded,
        called,
    })
}

/// Memory of this process that is resident, in bytes, where the system says so.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
}
