//! How long it takes until a server answers whose component is large and was compiled before.

use std::time::{Duration, Instant};

use super::{
    super::{Figure, Row, Sides, Target},
    programs::{self, Component, Registry},
};
use crate::{clients, lab::Lab, server::Server};

/// The row.
pub struct Starts;

const COMPONENT: Component = Component::JavaScript;

impl Row for Starts {
    fn name(&self) -> String {
        "js-load".to_owned()
    }

    fn about(&self) -> String {
        format!(
            "from the start of the process to the first answer of {}, compiled code being in the cache",
            COMPONENT.about()
        )
    }

    fn figures(&self) -> Vec<Figure> {
        let baseline = "`wasmtime serve` with its cache, on the same component";
        vec![Figure { name: self.name(), unit: "ms", baseline, target: Target::RatioAtMost(1.0) }]
    }

    fn set_up<'lab>(&self, lab: &'lab Lab) -> anyhow::Result<Box<dyn Sides + 'lab>> {
        let started = Started { lab, registry: Registry::write(COMPONENT)? };
        // They put into their caches what is not there.
        drop(started.peer()?);
        drop(started.ours()?);
        Ok(Box::new(started))
    }
}

struct Started<'lab> {
    lab: &'lab Lab,
    registry: Registry,
}

impl Started<'_> {
    fn ours(&self) -> anyhow::Result<Server> {
        programs::ours(&self.registry)
    }

    fn peer(&self) -> anyhow::Result<Server> {
        programs::peer(self.lab, &self.registry)
    }
}

/// Starts a server again and again for this long, and gives the mean time to its first answer in milliseconds.
fn starts(start: impl Fn() -> anyhow::Result<Server>, time: Duration) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let mut sum = Duration::ZERO;
    let mut count = 0;
    while count == 0 || begun.elapsed() < time {
        let begun = Instant::now();
        let server = start()?;
        clients::once(server.address(), COMPONENT.question()).map_err(|error| server.blame(error))?;
        sum += begun.elapsed();
        count += 1;
    }
    Ok(sum.as_secs_f64() * 1e3 / f64::from(count))
}

impl Sides for Started<'_> {
    fn ours(&mut self, time: Duration) -> anyhow::Result<Vec<f64>> {
        Ok(vec![starts(|| Started::ours(self), time)?])
    }

    fn baseline(&mut self, time: Duration) -> anyhow::Result<Vec<Option<f64>>> {
        Ok(vec![Some(starts(|| self.peer(), time)?)])
    }
}
