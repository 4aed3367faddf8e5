//! Components that handle HTTP requests: the program `greenroom run` against `wasmtime serve` on the same component, and
//! against what its own stack does without a guest. Each server is a process of its own, and is idle while the other is
//! measured.

mod programs;
mod starts;

use std::time::Duration;

use self::programs::{Component, Registry};
use super::{Figure, Row, Sides, Target};
use crate::{
    clients::{self, Question},
    lab::Lab,
    server::Server,
};

/// The rows of this family.
pub fn rows() -> Vec<Box<dyn Row>> {
    let row = |name, component, clients, against, least, p99| {
        Box::new(Http { name, component, clients, against, least, p99 }) as Box<dyn Row>
    };
    vec![
        row("http-c-64", Component::C, 64, Against::Peer, 4.0, true),
        row("http-rust-64", Component::Rust, 64, Against::Peer, 4.0, true),
        row("http-constant-64", Component::C, 64, Against::Constant, 0.45, false),
        row("http-c-1", Component::C, 1, Against::Peer, 1.25, false),
        row("http-js-64", Component::JavaScript, 64, Against::Peer, 2.0, false),
        Box::new(starts::Starts),
    ]
}

#[derive(Clone, Copy)]
enum Against {
    Peer,
    Constant,
}

impl Against {
    fn name(self) -> &'static str {
        match self {
            Self::Peer => programs::PEER,
            Self::Constant => "the same server answering OPTIONS of the same path, which no guest sees",
        }
    }
}

struct Http {
    name: &'static str,
    component: Component,
    clients: usize,
    against: Against,
    /// Ours ÷ baseline of requests a second.
    least: f64,
    /// Whether latencies are compared, too.
    p99: bool,
}

impl Row for Http {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn about(&self) -> String {
        let connections = if self.clients == 1 { "connection" } else { "connections" };
        format!(
            "{} {connections}, each with its next request as soon as it has its answer, to {}, a fresh instance for each; {}",
            self.clients,
            self.component.about(),
            programs::OURS,
        )
    }

    fn figures(&self) -> Vec<Figure> {
        let baseline = self.against.name();
        let rate = Figure { name: self.name(), unit: "requests/s", baseline, target: Target::RatioAtLeast(self.least) };
        let p99 = self.p99.then(|| Figure {
            name: format!("{}: p99", self.name()),
            unit: "ms",
            baseline,
            target: Target::RatioAtMost(1.0),
        });
        [rate].into_iter().chain(p99).collect()
    }

    fn set_up<'lab>(&self, lab: &'lab Lab) -> anyhow::Result<Box<dyn Sides + 'lab>> {
        let asked = self.component.question();
        let registry = Registry::write(self.component)?;
        let baseline = match self.against {
            Against::Peer => Some(programs::peer(lab, &registry)?),
            Against::Constant => None,
        };
        let baseline_asked = match self.against {
            Against::Peer => asked,
            Against::Constant => Question { method: "OPTIONS", status: 204, body: "" },
        };
        let ours = programs::ours(&registry)?;
        Ok(Box::new(Servers {
            clients: self.clients,
            p99: self.p99,
            asked,
            baseline_asked,
            ours,
            baseline,
            _registry: registry,
        }))
    }
}

struct Servers {
    clients: usize,
    p99: bool,
    ours: Server,
    asked: Question,
    /// Ours, if there is none.
    baseline: Option<Server>,
    baseline_asked: Question,
    /// Servers may read of it what they have not read.
    _registry: Registry,
}

impl Servers {
    fn measure(&self, server: &Server, asked: Question, time: Duration) -> anyhow::Result<Vec<f64>> {
        let counted = clients::in_a_loop(server.address(), self.clients, asked, time);
        let counted = counted.map_err(|error| server.blame(error))?;
        let mut values = vec![counted.per_second()];
        if self.p99 {
            values.push(counted.latency(0.99)? * 1e3);
        }
        Ok(values)
    }
}

impl Sides for Servers {
    fn ours(&mut self, time: Duration) -> anyhow::Result<Vec<f64>> {
        self.measure(&self.ours, self.asked, time)
    }

    fn baseline(&mut self, time: Duration) -> anyhow::Result<Vec<Option<f64>>> {
        let server = self.baseline.as_ref().unwrap_or(&self.ours);
        Ok(self.measure(server, self.baseline_asked, time)?.into_iter().map(Some).collect())
    }
}
