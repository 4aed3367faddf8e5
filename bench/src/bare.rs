//! The baseline of most rows: wasmtime alone, in a loop on plain threads, with the settings that ours has. There is the same
//! pool of instances, the same clock of epochs, a limiter, and the same values in and out; and nothing else.

pub mod sleeper;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use greenroom_actors::{
    spec::Limits,
    wasm::{self, EngineOptions},
    wasmtime::{
        Engine, Error, Store, StoreLimits, StoreLimitsBuilder,
        component::{Component, ComponentExportIndex, Func, InstancePre, Linker, Val},
    },
};

use crate::{
    guests::Guest,
    lab::THREADS,
    load::{self, Counted, Window},
};

/// How long an epoch is, as ours has it.
const TICK: Duration = Duration::from_millis(1);

/// A guest, compiled and linked by wasmtime alone.
pub struct Bare {
    guest: Guest,
    engine: Engine,
    pre: InstancePre<StoreLimits>,
    export: ComponentExportIndex,
    memory_max: usize,
    _ticker: Ticker,
}

/// One instance of it.
pub struct BareInstance {
    store: Store<StoreLimits>,
    func: Func,
    results: usize,
}

impl Bare {
    /// Compiles and links the guest, and starts the clock.
    pub fn new(guest: Guest) -> anyhow::Result<Self> {
        let engine = Engine::new(&wasm::Engine::settings(EngineOptions::default().instances_max)).map_err(plain)?;
        let component = Component::new(&engine, guest.bytes()).map_err(plain)?;
        let export = component.get_export_index(None, guest.method()).context("the guest lacks its method")?;
        let pre = Linker::new(&engine).instantiate_pre(&component).map_err(plain)?;
        let memory_max = usize::try_from(Limits::default().max_memory_bytes)?;
        Ok(Self { guest, _ticker: Ticker::start(engine.clone())?, engine, pre, export, memory_max })
    }

    /// An instance, as ours is made.
    pub async fn instance(&self) -> anyhow::Result<BareInstance> {
        let limits = StoreLimitsBuilder::new().memory_size(self.memory_max).build();
        let mut store = Store::new(&self.engine, limits);
        store.limiter(|limits| limits);
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        let instance = self.pre.instantiate_async(&mut store).await.map_err(plain)?;
        let func = instance.get_func(&mut store, self.export).context("the guest lacks its method")?;
        let results = func.ty(&store).results().len();
        Ok(BareInstance { store, func, results })
    }

    /// A call on a fresh instance.
    pub async fn fresh(&self) -> anyhow::Result<()> {
        self.warm(&mut self.instance().await?).await
    }

    /// A call on an instance that may have served others.
    pub async fn warm(&self, instance: &mut BareInstance) -> anyhow::Result<()> {
        instance.store.set_epoch_deadline(1);
        let mut results = vec![Val::Bool(false); instance.results];
        instance.func.call_async(&mut instance.store, &self.guest.args(), &mut results).await.map_err(plain)?;
        self.guest.check(results.first())
    }

    /// A guest that computes for about this long, found by calling it.
    pub fn that_takes(time: Duration) -> anyhow::Result<Guest> {
        const TRIED: u32 = 100_000;
        let bare = Self::new(Guest::Work { n: TRIED })?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let took = runtime.block_on(async {
            let mut instance = bare.instance().await?;
            let mut least = Duration::MAX;
            for _ in 0..50 {
                let began = Instant::now();
                bare.warm(&mut instance).await?;
                least = least.min(began.elapsed());
            }
            anyhow::Ok(least)
        })?;
        Ok(Guest::Work { n: (f64::from(TRIED) * time.as_secs_f64() / took.as_secs_f64()) as u32 })
    }

    /// Calls in a loop on [`THREADS`] plain threads, on fresh instances or on one for each thread.
    pub fn in_a_loop(&self, fresh: bool, time: Duration) -> anyhow::Result<Counted> {
        let mut callers = [(); THREADS].map(|()| |window| self.caller(fresh, window));
        load::threads(&mut callers, time)
    }

    fn caller(&self, fresh: bool, mut window: Window) -> anyhow::Result<Window> {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(async {
            let mut instance = self.instance().await?;
            while window.is_open() {
                if fresh {
                    self.fresh().await?
                } else {
                    self.warm(&mut instance).await?
                }
                window.count();
            }
            Ok(window)
        })
    }
}

/// An error of wasmtime as one of this program.
fn plain(error: Error) -> anyhow::Error {
    anyhow!("{error:#}")
}

/// Moves the epoch until it is dropped.
struct Ticker {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: Engine) -> anyhow::Result<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ended);
        let thread = std::thread::Builder::new().name("bare-epoch".to_owned()).spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                std::thread::sleep(TICK);
                engine.increment_epoch();
            }
        })?;
        Ok(Self { ended, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It runs nothing that panics.
            drop(thread.join());
        }
    }
}
