//! Interfaces that an entry does not grant: functions that trap and say which grant is missing.
//!
//! Some are answered all the same, because C's library calls them when it starts, whatever the guest does afterwards:
//! who asks for mounts where there are none is told so, and who asks for a standard stream has one that traps when it is
//! used. None of that is a use of anything.

use bytes::Bytes;
use wasmtime::{
    Engine, StoreContextMut,
    component::{LinkerInstance, Resource, ResourceType, Val, types::ComponentInstance, types::ComponentItem},
};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};

use super::NotGranted;
use crate::wasm::host::GuestState;

/// An interface that is not there for its guest.
pub(super) struct Denied<'a> {
    /// What whoever uses it meets.
    pub error: NotGranted,
    /// Its name, without the version.
    pub name: &'a str,
    /// Whether the entry mounts directories.
    pub has_mounts: bool,
    /// Resources that are defined already.
    pub seen: &'a [ResourceType],
}

/// What is answered instead of a trap.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    NoMounts,
    Input,
    Output,
}

impl Denied<'_> {
    fn answer(&self, function: &str) -> Option<Answer> {
        // What no version provides is nothing to be asked for.
        if !matches!(self.error, NotGranted::Grant { .. }) {
            return None;
        }
        match (self.name, function) {
            ("wasi:filesystem/preopens", "get-directories") if !self.has_mounts => Some(Answer::NoMounts),
            ("wasi:cli/stdin", "get-stdin") => Some(Answer::Input),
            ("wasi:cli/stdout", "get-stdout") | ("wasi:cli/stderr", "get-stderr") => Some(Answer::Output),
            _ => None,
        }
    }

    /// Whether its guest may lack anything: an interface may be imported for its types alone.
    pub(super) fn is_missed(&self, instance: &ComponentInstance, engine: &Engine) -> bool {
        let is_func = |item: &ComponentItem| matches!(item, ComponentItem::ComponentFunc(_));
        instance
            .exports(engine)
            .any(|(name, export)| is_func(&export.ty) && self.answer(name) != Some(Answer::NoMounts))
    }

    pub(super) fn link(
        &self,
        linker: &mut LinkerInstance<'_, GuestState>,
        engine: &Engine,
        instance: &ComponentInstance,
    ) -> wasmtime::Result<()> {
        /// Stands for the resources of interfaces that are not there. None is ever made.
        struct Stub;

        let mut here = Vec::new();
        for (name, export) in instance.exports(engine) {
            match export.ty {
                ComponentItem::ComponentFunc(func) => self.link_func(linker, name, func.async_())?,
                ComponentItem::Resource(resource) if !self.seen.contains(&resource) && !here.contains(&resource) => {
                    linker.resource(name, ResourceType::host::<Stub>(), |_, _| Ok(()))?;
                    here.push(resource);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn link_func(
        &self,
        linker: &mut LinkerInstance<'_, GuestState>,
        name: &str,
        is_async: bool,
    ) -> wasmtime::Result<()> {
        let error = self.error.clone();
        match self.answer(name) {
            None if is_async => linker.func_new_concurrent(name, move |_, _, _, _| {
                let error = error.clone();
                Box::pin(async move { Err(error.into()) })
            }),
            None => linker.func_new(name, move |_, _, _, _| Err(error.clone().into())),
            Some(Answer::NoMounts) => linker.func_new(name, |_, _, _, results| {
                results.fill(Val::List(Vec::new()));
                Ok(())
            }),
            Some(Answer::Input) => linker.func_wrap(name, move |mut store: StoreContextMut<'_, GuestState>, (): ()| {
                let stream: DynInputStream = Box::new(DeniedStream(error.clone()));
                let handle: Resource<DynInputStream> = store.data_mut().table().push(stream)?;
                Ok((handle,))
            }),
            Some(Answer::Output) => {
                linker.func_wrap(name, move |mut store: StoreContextMut<'_, GuestState>, (): ()| {
                    let stream: DynOutputStream = Box::new(DeniedStream(error.clone()));
                    let handle: Resource<DynOutputStream> = store.data_mut().table().push(stream)?;
                    Ok((handle,))
                })
            }
        }
    }
}

/// A stream that traps when a byte is read from it or written to it.
struct DeniedStream(NotGranted);

impl DeniedStream {
    fn trap(&self) -> StreamError {
        StreamError::Trap(self.0.clone().into())
    }
}

#[async_trait::async_trait]
impl Pollable for DeniedStream {
    async fn ready(&mut self) {}
}

impl InputStream for DeniedStream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 { Ok(Bytes::new()) } else { Err(self.trap()) }
    }
}

impl OutputStream for DeniedStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if bytes.is_empty() { Ok(()) } else { Err(self.trap()) }
    }

    /// Programs flush when they end, whether they wrote or not.
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        // Any number that is no reason to wait: it is the write that traps.
        Ok(4096)
    }
}
