//! Endless loops on every guest thread, with others that wait for their turn: what a neighbour of theirs feels, and how late
//! they are killed.

use std::{slice::from_ref, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use greenroom_actors::{
    CallOptions, ErrorKind, Runtime,
    spec::{FunctionId, PoolSpec},
};
use tokio::{sync::Notify, task::JoinSet};

use super::{Figure, Row, Sides, Target, calls};
use crate::{
    guests::Guest,
    lab::{Lab, THREADS},
    ours::{TIMEOUT, Tree, function},
};

/// How long a loop may run: short, so that there are many kills to look at.
const LOOP_MAX: Duration = Duration::from_millis(20);

/// What the lateness of kills is read from.
const LATENESS: &str = "greenroom_kill_lateness_seconds";

/// The rows of this family.
pub fn rows() -> Vec<Box<dyn Row>> {
    vec![Box::new(Loops)]
}

struct Loops;

impl Row for Loops {
    fn name(&self) -> String {
        "loops".to_owned()
    }

    fn about(&self) -> String {
        format!(
            "one caller of `greet`, while an endless loop runs on each of {THREADS} guest threads until it is killed after \
             {LOOP_MAX:?}, and the queue behind them is full"
        )
    }

    fn figures(&self) -> Vec<Figure> {
        let figure = |what, baseline, most| {
            let name = format!("{}: {what}", self.name());
            Figure { name, unit: "ms", baseline, target: Target::AtMost(most) }
        };
        vec![
            figure("neighbour's p99", "the same caller without the loops", 15.0),
            figure("lateness of kills, p99", "none", 10.0),
        ]
    }

    fn set_up<'lab>(&self, lab: &'lab Lab) -> anyhow::Result<Box<dyn Sides + 'lab>> {
        Ok(Box::new(Neighbours::start(lab, THREADS)?))
    }
}

/// A function that loops, and its neighbour.
pub struct Neighbours<'lab> {
    lab: &'lab Lab,
    tree: Tree<'lab>,
    looping: FunctionId,
    neighbour: FunctionId,
    /// As many as the pool runs and its queue holds.
    loops: usize,
}

/// What was found in one round, in milliseconds.
pub struct Felt {
    /// What the neighbour waits for an answer, all but one in a hundred times.
    pub neighbour_p99: f64,
    /// How long after its deadline a killed worker is gone, all but one in a hundred times.
    pub lateness_p99: f64,
}

impl<'lab> Neighbours<'lab> {
    /// A tree in which so many loops run at once.
    pub fn start(lab: &'lab Lab, workers: usize) -> anyhow::Result<Self> {
        let looping = FunctionId::new("bench", "forever")?;
        let neighbour = FunctionId::new("bench", "neighbour")?;
        let pool = PoolSpec::fixed(workers, workers);
        let loops = workers + pool.buffer;
        let mut forever = function(looping.clone(), Guest::Forever, pool, 1);
        forever.limits.max_execution = Some(LOOP_MAX);
        let greet = function(neighbour.clone(), Guest::Greet, calls::pool(1), calls::reuse(true));
        Ok(Self { lab, tree: Tree::start(lab, "loops", vec![forever, greet])?, looping, neighbour, loops })
    }

    /// What the neighbour feels, and how late the loops are killed.
    pub fn feel(&self, time: Duration) -> anyhow::Result<Felt> {
        let mut loops = JoinSet::new();
        let killed = Arc::new(Notify::new());
        for _ in 0..self.loops {
            let (runtime, id, killed) = (self.tree.runtime().clone(), self.looping.clone(), Arc::clone(&killed));
            loops.spawn_on(keep_looping(runtime, id, killed), self.lab.callers.handle());
        }
        // Whoever was killed first was followed by one of those that wait: the pool is full.
        self.lab.callers.block_on(killed.notified());
        let before = self.lateness()?;
        let neighbour_p99 = self.neighbour_p99(time)?;
        let lateness_p99 = percentile(&before, &self.lateness()?, 0.99)? * 1e3;
        if let Some(ended) = loops.try_join_next() {
            ended.context("a caller of a loop panicked")??;
        }
        self.lab.callers.block_on(loops.shutdown());
        Ok(Felt { neighbour_p99, lateness_p99 })
    }

    /// What the neighbour waits for an answer, in milliseconds.
    fn neighbour_p99(&self, time: Duration) -> anyhow::Result<f64> {
        Ok(self.tree.in_a_loop(from_ref(&self.neighbour), Guest::Greet, 1, time, true)?.latency(0.99)? * 1e3)
    }

    /// The buckets of the lateness of all kills so far: each bound in seconds, and how many were below it.
    fn lateness(&self) -> anyhow::Result<Vec<(f64, f64)>> {
        let text = self.lab.metrics.render();
        let scrape = prometheus_parse::Scrape::parse(text.lines().map(|line| Ok(line.to_owned())))?;
        let of_loops = |sample: &&prometheus_parse::Sample| {
            sample.metric == LATENESS && sample.labels.get("function") == Some(self.looping.as_str())
        };
        match scrape.samples.iter().find(of_loops).map(|sample| &sample.value) {
            Some(prometheus_parse::Value::Histogram(buckets)) => {
                Ok(buckets.iter().map(|bucket| (bucket.less_than, bucket.count)).collect())
            }
            found => bail!("{LATENESS} of the loops is {found:?}"),
        }
    }
}

impl Sides for Neighbours<'_> {
    fn ours(&mut self, time: Duration) -> anyhow::Result<Vec<f64>> {
        let Felt { neighbour_p99, lateness_p99 } = self.feel(time)?;
        Ok(vec![neighbour_p99, lateness_p99])
    }

    fn baseline(&mut self, time: Duration) -> anyhow::Result<Vec<Option<f64>>> {
        Ok(vec![Some(self.neighbour_p99(time)?), None])
    }
}

/// Calls the loop again and again.
async fn keep_looping(runtime: Runtime, id: FunctionId, killed: Arc<Notify>) -> anyhow::Result<()> {
    loop {
        match runtime.call_vals(id.as_str(), Vec::new(), CallOptions::timeout(TIMEOUT)).await {
            Err(error) if error.kind() == ErrorKind::Timeout => killed.notify_one(),
            // Another caller was faster.
            Err(error) if error.kind() == ErrorKind::RateLimited => tokio::time::sleep(Duration::from_millis(1)).await,
            other => bail!("an endless loop ended: {other:?}"),
        }
    }
}

/// The bound below which this part of what was counted since `before` is.
fn percentile(before: &[(f64, f64)], after: &[(f64, f64)], part: f64) -> anyhow::Result<f64> {
    let since = |index: usize, count: f64| count - before.get(index).map_or(0.0, |(_, count)| *count);
    let counts: Vec<_> =
        after.iter().enumerate().map(|(index, (bound, count))| (*bound, since(index, *count))).collect();
    let all = counts.last().map_or(0.0, |(_, count)| *count);
    anyhow::ensure!(all > 0.0, "nothing was counted");
    let found = counts.iter().find(|(_, count)| *count >= part * all);
    found.map(|(bound, _)| *bound).context("the buckets do not add up")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_that_of_what_was_counted_since() {
        let before = [(0.001, 100.0), (0.01, 100.0), (f64::INFINITY, 100.0)];
        let after = [(0.001, 150.0), (0.01, 199.0), (f64::INFINITY, 200.0)];
        assert_eq!(percentile(&before, &after, 0.5).unwrap(), 0.001);
        assert_eq!(percentile(&before, &after, 0.99).unwrap(), 0.01);
        assert_eq!(percentile(&before, &after, 1.0).unwrap(), f64::INFINITY);
        assert!(percentile(&before, &before, 0.5).is_err());
    }
}
