//! Extism, a library that calls functions of plug-ins from a pool of them: the same function of the same core module.
//! It is there with the feature `extism` only, which brings another wasmtime.

use super::{Figure, Row, Sides, Target};
use crate::lab::Lab;

const CALLERS: usize = 64;

/// The rows of this family.
pub fn rows() -> Vec<Box<dyn Row>> {
    vec![Box::new(Extism)]
}

struct Extism;

impl Row for Extism {
    fn name(&self) -> String {
        "extism".to_owned()
    }

    fn about(&self) -> String {
        format!("{CALLERS} callers of a core function that gives 0, instances that serve any number of calls")
    }

    fn figures(&self) -> Vec<Figure> {
        let baseline = "the same number of threads that call it through Extism's pool";
        vec![Figure { name: self.name(), unit: "calls/s", baseline, target: Target::RatioAtLeast(3.0) }]
    }

    #[cfg(not(feature = "extism"))]
    fn set_up<'lab>(&self, _lab: &'lab Lab) -> anyhow::Result<Box<dyn Sides + 'lab>> {
        let why = "this program was built without Extism; build it with `--features extism`";
        Err(crate::lab::NotMeasured(why.to_owned()).into())
    }

    #[cfg(feature = "extism")]
    fn set_up<'lab>(&self, lab: &'lab Lab) -> anyhow::Result<Box<dyn Sides + 'lab>> {
        Ok(Box::new(pool::Pools::start(lab)?))
    }
}

#[cfg(feature = "extism")]
mod pool {
    use std::{slice::from_ref, time::Duration};

    use anyhow::Context;
    use extism::{Manifest, Plugin, PluginBuilder, Pool, PoolBuilder, Wasm};
    use greenroom_actors::spec::FunctionId;

    use super::CALLERS;
    use crate::{
        guests::Guest,
        lab::Lab,
        load,
        ours::{EXECUTION_MAX, TIMEOUT, Tree},
        rows::{
            Sides,
            calls::{pool, reuse},
        },
    };

    pub(super) struct Pools<'lab> {
        tree: Tree<'lab>,
        id: FunctionId,
        extism: Pool,
    }

    impl<'lab> Pools<'lab> {
        pub(super) fn start(lab: &'lab Lab) -> anyhow::Result<Self> {
            let (tree, id) = Tree::of_one(lab, "extism", Guest::Zero, pool(CALLERS), reuse(false))?;
            let manifest = Manifest::new([Wasm::data(Guest::Zero.bytes())]).with_timeout(EXECUTION_MAX);
            let compiled = PluginBuilder::new(manifest).with_cache_disabled().compile()?;
            // As many instances as there are processors, which is its default, and as many as ours runs at once.
            let extism = PoolBuilder::new().build(move || Plugin::new_from_compiled(&compiled));
            Ok(Self { tree, id, extism })
        }

        fn caller(&self, mut window: load::Window) -> anyhow::Result<load::Window> {
            while window.is_open() {
                let mut plugin = self.extism.get(TIMEOUT)?.context("no plug-in was free in time")?;
                plugin.call::<&str, String>(Guest::Zero.method(), "")?;
                window.count();
            }
            Ok(window)
        }
    }

    impl Sides for Pools<'_> {
        fn ours(&mut self, time: Duration) -> anyhow::Result<Vec<f64>> {
            Ok(vec![self.tree.in_a_loop(from_ref(&self.id), Guest::Zero, CALLERS, time, false)?.per_second()])
        }

        fn baseline(&mut self, time: Duration) -> anyhow::Result<Vec<Option<f64>>> {
            let mut callers = [(); CALLERS].map(|()| |window| self.caller(window));
            Ok(vec![Some(load::threads(&mut callers, time)?.per_second())])
        }
    }
}
