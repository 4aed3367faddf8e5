//! Ours: a tree with everything on that a tree in production has, and calls through its public surface.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use greenroom_actors::{
    CallOptions, Runtime,
    spec::{Code, FunctionId, FunctionSpec, Limits, PoolSpec, Transport, WasiSpec, WasmSpec},
};
use tokio::task::JoinSet;

use crate::{
    guests::Guest,
    lab::Lab,
    load::{self, Counted},
};

/// How long a call may run. Every function has such a bound, and every call a timer for it.
pub const EXECUTION_MAX: Duration = Duration::from_secs(10);

/// How long a caller waits. Every call has such a bound, too.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// A function of a guest, with a bound of its time.
pub fn function(id: FunctionId, guest: Guest, pool: PoolSpec, reuse: u32) -> FunctionSpec {
    let code = WasmSpec {
        source: guest.source(),
        sha256: None,
        wit: None,
        method: guest.method().to_owned(),
        imports: guest.imports(),
        wasi: WasiSpec::default(),
        reuse,
        transport: Transport::Payload,
    };
    let limits = Limits { max_execution: Some(EXECUTION_MAX), ..Limits::default() };
    FunctionSpec { id, code: Code::Wasm(code), pool, limits }
}

/// A tree, which ends when this is dropped.
pub struct Tree<'lab> {
    lab: &'lab Lab,
    runtime: Runtime,
}

impl<'lab> Tree<'lab> {
    /// Starts a tree of these functions. `name` is its own among those that run at the same time.
    pub fn start(lab: &'lab Lab, name: &str, functions: Vec<FunctionSpec>) -> anyhow::Result<Self> {
        let runtime = lab.callers.block_on(Runtime::builder().name(name).functions(functions).start())?;
        Ok(Self { lab, runtime })
    }

    /// A tree of one function, and its id.
    pub fn of_one(
        lab: &'lab Lab,
        name: &str,
        guest: Guest,
        pool: PoolSpec,
        reuse: u32,
    ) -> anyhow::Result<(Self, FunctionId)> {
        let id = FunctionId::new("bench", guest.method())?;
        Ok((Self::start(lab, name, vec![function(id.clone(), guest, pool, reuse)])?, id))
    }

    /// What calls go through.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Has so many callers call each of these functions once.
    pub fn call_each(&self, ids: &Arc<[FunctionId]>, guest: Guest, callers: usize) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        for first in 0..callers {
            let (runtime, ids) = (self.runtime.clone(), Arc::clone(ids));
            let calls = async move {
                for id in ids.iter().skip(first).step_by(callers) {
                    call(&runtime, id.as_str(), guest).await?;
                }
                Ok(())
            };
            tasks.spawn_on(calls, self.lab.callers.handle());
        }
        self.lab.callers.block_on(tasks.join_all()).into_iter().collect()
    }

    /// Has so many callers call these functions in a closed loop, each call any of them, and times each call if asked to:
    /// looking at a clock twice is not nothing beside a short call.
    pub fn in_a_loop(
        &self,
        ids: &[FunctionId],
        guest: Guest,
        callers: usize,
        time: Duration,
        timed: bool,
    ) -> anyhow::Result<Counted> {
        let ids: Arc<[FunctionId]> = ids.into();
        load::tasks(self.lab, Some(&self.runtime), callers, time, |mut window| {
            let (runtime, ids) = (self.runtime.clone(), Arc::clone(&ids));
            async move {
                let mut random = fastrand::Rng::new();
                while window.is_open() {
                    let id = &ids[random.usize(..ids.len())];
                    let began = timed.then(Instant::now);
                    call(&runtime, id.as_str(), guest).await?;
                    match began {
                        Some(began) => window.count_since(began),
                        None => window.count(),
                    }
                }
                Ok(window)
            }
        })
    }
}

/// A call as an embedder makes it, with arguments of its own and a timeout.
pub async fn call(runtime: &Runtime, id: &str, guest: Guest) -> anyhow::Result<()> {
    let answer = runtime.call_vals(id, guest.args(), CallOptions::timeout(TIMEOUT)).await?;
    guest.check(answer.as_ref())
}

impl Drop for Tree<'_> {
    fn drop(&mut self) {
        self.lab.callers.block_on(self.runtime.shutdown(Duration::from_secs(10)));
    }
}
