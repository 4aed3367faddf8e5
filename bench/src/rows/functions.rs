//! Many functions of one binary, each call to any of them, against the same calls to one: what a tree costs that is wide.

use std::{process::Command, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use greenroom_actors::spec::{FunctionId, PoolSpec};

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

    fn set_up<'lab>(&self, _lab: &'lab Lab) -> anyhow::Result<Box<dyn Sides + 'lab>> {
        Ok(Box::new(OneAndMany { count: self.count }))
    }
}

/// Each turn is taken in a process of its own: one that had ten thousand functions is slower ever after, with one too.
struct OneAndMany {
    count: usize,
}

impl Sides for OneAndMany {
    fn ours(&mut self, time: Duration) -> anyhow::Result<Vec<f64>> {
        Ok(vec![per_second(self.count, time)?])
    }

    fn baseline(&mut self, time: Duration) -> anyhow::Result<Vec<Option<f64>>> {
        Ok(vec![Some(per_second(1, time)?)])
    }
}

/// Calls a second to any of so many functions, in a process of their own.
///
/// # Errors
/// What that process says.
pub fn per_second(count: usize, time: Duration) -> anyhow::Result<f64> {
    let mut process = Command::new(std::env::current_exe()?);
    process.arg("functions").arg(count.to_string()).arg(time.as_millis().to_string());
    let output = process.output().context("this program cannot be started again")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}

/// A tree of many functions.
pub struct Wide<'lab> {
    tree: Tree<'lab>,
    ids: Arc<[FunctionId]>,
}

impl<'lab> Wide<'lab> {
    /// Starts it, and calls each function once, so that lazy pools have made what they make.
    pub fn start(lab: &'lab Lab, count: usize) -> anyhow::Result<Self> {
        let ids = (0..count).map(|index| FunctionId::new("bench", &format!("greet-{index}")));
        let ids: Arc<[FunctionId]> = ids.collect::<Result<_, _>>()?;
        let spec = |id: &FunctionId| function(id.clone(), Guest::Greet, PoolSpec::default(), reuse(true));
        let tree = Tree::start(lab, "functions", ids.iter().map(spec).collect())?;
        tree.call_each(&ids, Guest::Greet, CALLERS)?;
        Ok(Self { tree, ids })
    }

    /// Calls a second, each to any function.
    pub fn per_second(&self, time: Duration) -> anyhow::Result<f64> {
        Ok(self.tree.in_a_loop_of(&self.ids, Guest::Greet, CALLERS, time)?.per_second())
    }
}
