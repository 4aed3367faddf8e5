//! An adaptive pool under load that steps up and down, against the static pool that is best for each step.
//!
//! Which size that is, is found by trying: the smallest that loses nothing to speak of. The pool has two seconds after a
//! step before it is measured.

use std::{
    slice::from_ref,
    time::{Duration, Instant},
};

use anyhow::Context;
use greenroom_actors::spec::{FunctionId, PoolSpec};

use super::{Figure, Row, Sides, Target, calls::reuse};
use crate::{
    bare::Bare,
    guests::Guest,
    lab::Lab,
    ours::{Tree, function},
};

/// Callers, one step after another.
const STEPS: [usize; 4] = [1, 50, 5, 200];

/// How soon after a step the pool has to have followed.
const SOON: Duration = Duration::from_secs(2);

/// Sizes of static pools that are tried.
const SIZES: [usize; 16] = [1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 200];

/// What the best size may lose to a larger one.
const LOSS_MAX: f64 = 0.03;

/// How long each kind of guest takes.
const COMPUTES: Duration = Duration::from_millis(1);
const SLEEPS_MS: u64 = 20;

/// How often the workers are counted.
const COUNT_EVERY: Duration = Duration::from_millis(50);

/// The rows of this family.
pub fn rows() -> Vec<Box<dyn Row>> {
    vec![Box::new(Adaptive { sleeps: false }), Box::new(Adaptive { sleeps: true })]
}

struct Adaptive {
    sleeps: bool,
}

impl Row for Adaptive {
    fn name(&self) -> String {
        if self.sleeps { "adaptive-sleep" } else { "adaptive-compute" }.to_owned()
    }

    fn about(&self) -> String {
        let does =
            if self.sleeps { format!("sleeps for {SLEEPS_MS} ms") } else { format!("computes for {COMPUTES:?}") };
        format!("{STEPS:?} callers in turn of a guest that {does}, from {SOON:?} after each step on")
    }

    fn figures(&self) -> Vec<Figure> {
        let of_step = |callers| {
            let figure = |what: &str, unit, baseline, target| {
                let name = format!("{}: {what}, {callers} callers", self.name());
                Figure { name, unit, baseline, target }
            };
            let best = "the best static pool";
            [
                figure("throughput", "calls/s", best, Target::RatioAtLeast(0.9)),
                figure("size", "workers", best, Target::RatioAtMost(1.5)),
            ]
        };
        STEPS.into_iter().flat_map(of_step).collect()
    }

    fn rounds(&self, default: usize) -> usize {
        // One round is as long as the others' five.
        default.min(3)
    }

    fn set_up<'lab>(&self, lab: &'lab Lab) -> anyhow::Result<Box<dyn Sides + 'lab>> {
        let guest = if self.sleeps { Guest::Sleep { millis: SLEEPS_MS } } else { Bare::that_takes(COMPUTES)? };
        let mut stepping = Stepping::start(lab, &self.name(), guest)?;
        for callers in STEPS {
            stepping.best.push(stepping.find_best(callers, lab.pace.round / 3)?);
        }
        Ok(Box::new(stepping))
    }
}

struct Stepping<'lab> {
    lab: &'lab Lab,
    tree: Tree<'lab>,
    guest: Guest,
    adaptive: FunctionId,
    /// The size of the best static pool for each step.
    best: Vec<usize>,
}

impl<'lab> Stepping<'lab> {
    /// A tree with a function for each pool.
    fn start(lab: &'lab Lab, name: &str, guest: Guest) -> anyhow::Result<Self> {
        let most = STEPS.into_iter().max().unwrap_or(1);
        let adaptive = FunctionId::new("bench", "adaptive")?;
        let mut functions = vec![function(adaptive.clone(), guest, PoolSpec::adaptive(most, true), reuse(true))];
        for size in SIZES {
            functions.push(function(of_size(size)?, guest, PoolSpec::fixed(size, size).with_buffer(most), reuse(true)));
        }
        Ok(Self { lab, tree: Tree::start(lab, name, functions)?, guest, adaptive, best: Vec::new() })
    }

    fn per_second(&self, id: &FunctionId, callers: usize, time: Duration) -> anyhow::Result<f64> {
        Ok(self.tree.in_a_loop(from_ref(id), self.guest, callers, time, false)?.per_second())
    }

    /// The smallest static pool that loses no more than [`LOSS_MAX`].
    fn find_best(&self, callers: usize, time: Duration) -> anyhow::Result<usize> {
        // More workers than callers change nothing.
        let enough = SIZES.iter().position(|size| *size >= callers).map_or(SIZES.len(), |last| last + 1);
        let mut tried = Vec::new();
        for size in &SIZES[..enough] {
            tried.push((*size, self.per_second(&of_size(*size)?, callers, time)?));
        }
        // The best of two: what disturbs one seldom disturbs the other.
        for (size, found) in &mut tried {
            *found = found.max(self.per_second(&of_size(*size)?, callers, time)?);
        }
        let most = tried.iter().map(|(_, found)| *found).fold(0.0, f64::max);
        let best = tried.into_iter().find(|(_, found)| *found >= most * (1.0 - LOSS_MAX));
        best.map(|(size, _)| size).context("no size is the best")
    }

    /// Has callers call the adaptive pool, and counts its workers meanwhile: calls a second, and workers at most.
    fn step(&self, callers: usize, time: Duration) -> anyhow::Result<(f64, usize)> {
        let soon = if self.lab.pace.is_smoke() { time } else { SOON };
        self.per_second(&self.adaptive, callers, soon)?;
        let runtime = self.tree.runtime().clone();
        let id = self.adaptive.clone();
        let counting = self.lab.callers.spawn(async move {
            let end = Instant::now() + time;
            let mut most = 0;
            while Instant::now() < end {
                let tree = runtime.tree().await;
                let pool = tree.functions.into_iter().find(|function| function.id == id).and_then(|found| found.pool);
                most = most.max(pool.map_or(0, |pool| pool.workers.len() + pool.starting));
                tokio::time::sleep(COUNT_EVERY).await;
            }
            most
        });
        let per_second = self.per_second(&self.adaptive, callers, time)?;
        Ok((per_second, self.lab.callers.block_on(counting)?))
    }
}

fn of_size(size: usize) -> anyhow::Result<FunctionId> {
    Ok(FunctionId::new("bench", &format!("static-{size}"))?)
}

impl Sides for Stepping<'_> {
    fn ours(&mut self, time: Duration) -> anyhow::Result<Vec<f64>> {
        let mut found = Vec::new();
        for callers in STEPS {
            let (per_second, workers) = self.step(callers, time)?;
            found.extend([per_second, workers as f64]);
        }
        Ok(found)
    }

    fn baseline(&mut self, time: Duration) -> anyhow::Result<Vec<Option<f64>>> {
        let mut found = Vec::new();
        for (callers, size) in STEPS.into_iter().zip(&self.best) {
            found.extend([Some(self.per_second(&of_size(*size)?, callers, time)?), Some(*size as f64)]);
        }
        Ok(found)
    }
}
