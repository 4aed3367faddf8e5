//! One caller, who has its next call as soon as it has its answer: how long a call takes when nobody else wants
//! anything, against the same call made by wasmtime alone in the caller's own task.

use std::{
    slice::from_ref,
    sync::Arc,
    time::{Duration, Instant},
};

use greenroom_actors::spec::FunctionId;

use super::{
    Figure, Row, Sides, Target,
    calls::{pool, reuse},
};
use crate::{bare::Bare, guests::Guest, lab::Lab, load, ours::Tree};

/// The rows of this family.
pub fn rows() -> Vec<Box<dyn Row>> {
    vec![Box::new(OneCaller)]
}

struct OneCaller;

impl Row for OneCaller {
    fn name(&self) -> String {
        "one-caller".to_owned()
    }

    fn about(&self) -> String {
        "the median time of a call of `greet` on a fresh instance by one caller".to_owned()
    }

    fn figures(&self) -> Vec<Figure> {
        let baseline = "the same by wasmtime alone, in the caller's task";
        vec![Figure { name: self.name(), unit: "µs", baseline, target: Target::OverAtMost(2.0) }]
    }

    fn set_up<'lab>(&self, lab: &'lab Lab) -> anyhow::Result<Box<dyn Sides + 'lab>> {
        let (tree, id) = Tree::of_one(lab, "one-caller", Guest::Greet, pool(1), reuse(true))?;
        Ok(Box::new(Alone { lab, tree, id, bare: Arc::new(Bare::new(Guest::Greet)?) }))
    }
}

struct Alone<'lab> {
    lab: &'lab Lab,
    tree: Tree<'lab>,
    id: FunctionId,
    bare: Arc<Bare>,
}

impl Sides for Alone<'_> {
    fn ours(&mut self, time: Duration) -> anyhow::Result<Vec<f64>> {
        let counted = self.tree.in_a_loop(from_ref(&self.id), Guest::Greet, 1, time, true)?;
        Ok(vec![counted.latency(0.5)? * 1e6])
    }

    fn baseline(&mut self, time: Duration) -> anyhow::Result<Vec<Option<f64>>> {
        let counted = load::tasks(self.lab, None, 1, time, |mut window| {
            let bare = Arc::clone(&self.bare);
            async move {
                while window.is_open() {
                    let began = Instant::now();
                    bare.fresh().await?;
                    window.count_since(began);
                    // A call that never waits would keep the runtime from everything else.
                    tokio::task::consume_budget().await;
                }
                Ok(window)
            }
        })?;
        Ok(vec![Some(counted.latency(0.5)? * 1e6)])
    }
}
