//! Calls of one function by many callers, on fresh and on warm instances, against the same calls by wasmtime alone.

use std::{slice::from_ref, time::Duration};

use greenroom_actors::spec::{FunctionId, PoolSpec};

use super::{Figure, Row, Sides, Target};
use crate::{
    bare::Bare,
    guests::Guest,
    lab::{Lab, THREADS},
    ours::Tree,
};

/// How long the guest computes that computes.
const WORK: Duration = Duration::from_micros(20);

/// The rows of this family.
pub fn rows() -> Vec<Box<dyn Row>> {
    let row = |name, call, callers, least| Box::new(Calls { name, call, callers, least }) as Box<dyn Row>;
    vec![
        row("fresh-64", Call::FreshGreet, 64, 0.95),
        row("fresh-1024", Call::FreshGreet, 1024, 0.95),
        row("warm-64", Call::WarmGreet, 64, 0.7),
        row("warm-1024", Call::WarmGreet, 1024, 0.7),
        row("warm-20us-64", Call::WarmWork, 64, 0.95),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum Call {
    FreshGreet,
    WarmGreet,
    WarmWork,
}

struct Calls {
    name: &'static str,
    call: Call,
    callers: usize,
    least: f64,
}

impl Row for Calls {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn about(&self) -> String {
        let what = match self.call {
            Call::FreshGreet => "`greet`, a fresh instance for each call",
            Call::WarmGreet => "`greet`, instances that serve any number of calls",
            Call::WarmWork => "a guest that computes for 20 µs, instances that serve any number of calls",
        };
        format!("{} callers of {what}", self.callers)
    }

    fn figures(&self) -> Vec<Figure> {
        let baseline = "wasmtime alone in a loop on 2 threads";
        vec![Figure { name: self.name(), unit: "calls/s", baseline, target: Target::RatioAtLeast(self.least) }]
    }

    fn set_up<'lab>(&self, lab: &'lab Lab) -> anyhow::Result<Box<dyn Sides + 'lab>> {
        let guest = match self.call {
            Call::WarmWork => Bare::that_takes(WORK)?,
            _ => Guest::Greet,
        };
        let fresh = self.call == Call::FreshGreet;
        let (tree, id) = Tree::of_one(lab, self.name, guest, pool(self.callers), reuse(fresh))?;
        Ok(Box::new(Loops { tree, id, bare: Bare::new(guest)?, guest, fresh, callers: self.callers }))
    }
}

/// As many workers and instances as threads, and room for every caller to wait.
pub fn pool(callers: usize) -> PoolSpec {
    PoolSpec::fixed(THREADS, THREADS).with_buffer(callers)
}

/// How many calls an instance serves: one, or any number.
pub fn reuse(fresh: bool) -> u32 {
    if fresh { 1 } else { u32::MAX }
}

struct Loops<'lab> {
    tree: Tree<'lab>,
    id: FunctionId,
    bare: Bare,
    guest: Guest,
    fresh: bool,
    callers: usize,
}

impl Sides for Loops<'_> {
    fn ours(&mut self, time: Duration) -> anyhow::Result<Vec<f64>> {
        Ok(vec![self.tree.in_a_loop(from_ref(&self.id), self.guest, self.callers, time, false)?.per_second()])
    }

    fn baseline(&mut self, time: Duration) -> anyhow::Result<Vec<Option<f64>>> {
        Ok(vec![Some(self.bare.in_a_loop(self.fresh, time)?.per_second())])
    }
}
