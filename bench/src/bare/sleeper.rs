//! The baseline of calls that sleep: wasmtime with WASI, and a task for each instance.

use anyhow::Context;
use greenroom_actors::{
    spec::Limits,
    wasm::{self, EngineOptions},
    wasmtime::{
        Engine, Store, StoreLimits, StoreLimitsBuilder,
        component::{Component, ComponentExportIndex, InstancePre, Linker, ResourceTable, Val},
    },
};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::{Ticker, plain};
use crate::guests::Guest;

/// A guest with WASI, compiled and linked by wasmtime alone.
pub struct Sleepers {
    guest: Guest,
    engine: Engine,
    pre: InstancePre<State>,
    export: ComponentExportIndex,
    memory_max: usize,
    _ticker: Ticker,
}

struct State {
    limits: StoreLimits,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl Sleepers {
    /// Compiles and links the guest, and starts the clock.
    pub fn new(guest: Guest) -> anyhow::Result<Self> {
        let engine = Engine::new(&wasm::Engine::settings(EngineOptions::default().instances_max)).map_err(plain)?;
        let component = Component::new(&engine, guest.bytes()).map_err(plain)?;
        let (interface, function) = guest.method().split_once('#').context("the guest's method is in no interface")?;
        let lacking = || format!("the guest lacks `{}`", guest.method());
        let names = component.component_type();
        let exported = names.exports(&engine).map(|(name, _)| name.to_owned());
        let name = exported.into_iter().find(|name| name.contains(interface)).with_context(lacking)?;
        let interface = component.get_export_index(None, &name).with_context(lacking)?;
        let export = component.get_export_index(Some(&interface), function).with_context(lacking)?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(plain)?;
        let pre = linker.instantiate_pre(&component).map_err(plain)?;
        let memory_max = usize::try_from(Limits::default().max_memory_bytes)?;
        Ok(Self { guest, _ticker: Ticker::start(engine.clone())?, engine, pre, export, memory_max })
    }

    /// A call on an instance of its own.
    pub async fn sleep(&self) -> anyhow::Result<()> {
        let limits = StoreLimitsBuilder::new().memory_size(self.memory_max).build();
        let state = State { limits, wasi: WasiCtx::builder().build(), table: ResourceTable::new() };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limits);
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        let instance = self.pre.instantiate_async(&mut store).await.map_err(plain)?;
        let func = instance.get_func(&mut store, self.export).context("the guest lacks its method")?;
        let mut results = [Val::Bool(false)];
        func.call_async(&mut store, &self.guest.args(), &mut results).await.map_err(plain)?;
        self.guest.check(results.first())
    }
}
