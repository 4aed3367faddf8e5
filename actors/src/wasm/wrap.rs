//! Core modules become components: a world from `wit` or from the module's own types, names put into kebab-case, and
//! the preview 1 adapter where the module wants it.
//!
//! Nothing is compiled here. wit-component does the wrapping; what it would refuse for reasons that users meet is
//! checked before, in words that name the module's exports and the `wit`.

mod core;
mod fit;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use self::core::CoreModule;
use super::{error::PrepareError, wit};

/// The component that a core module runs as: what [`Engine::prepare`](crate::wasm::Engine::prepare) compiles of it.
///
/// # Errors
/// As of an entry with this `path`, `wit` and `method`.
pub fn component_of(module: &[u8], wit: Option<&str>, method: &str) -> Result<Vec<u8>, PrepareError> {
    wrap(module, wit, method, "path")
}

/// Wraps a core module as a component.
///
/// # Errors
/// Why module and `wit` do not fit, or what the module lacks or imports that no component can have.
pub(super) fn wrap(
    module: &[u8],
    wit: Option<&str>,
    method: &str,
    field: &'static str,
) -> Result<Vec<u8>, PrepareError> {
    let core = CoreModule::read(module, field)?;
    core.refuse_old_wasi(field)?;
    fit::refuse_ambiguous(&core, method)?;
    let world = match wit {
        Some(text) => Some(wit::parse(text)?),
        // Metadata that a linker would have used: the toolchain stopped short of making a component.
        None if core.has_world => None,
        None => match fit::world_of(&core, method)? {
            Some(text) => Some(wit::parse(&text)?),
            None => None,
        },
    };
    let mut bytes;
    match &world {
        Some(world) => {
            let names = fit::names(&core, world)?;
            bytes = core::rename_exports(module, &names).map_err(|error| core::invalid(field, &error))?;
            embed_component_metadata(&mut bytes, &world.resolve, world.world, StringEncoding::UTF8)
                .map_err(|error| refused("wit", &format!("{error:#}")))?;
        }
        None => bytes = module.to_vec(),
    }
    let blame = if wit.is_some() { "wit" } else { field };
    let encode = || {
        let mut encoder = ComponentEncoder::default().validate(false).realloc_via_memory_grow(true).module(&bytes)?;
        if core.is_command() {
            encoder = encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER)?;
        } else if core.uses_preview1() {
            encoder = encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?;
        }
        encoder.encode()
    };
    // The error type is wit-component's own business; its chain of causes is what is shown.
    encode().map_err(|error| match core.foreign_imports(world.as_ref()) {
        Some(foreign) => foreign,
        None => refused(blame, &format!("{error:#}")),
    })
}

fn refused(field: &'static str, chain: &str) -> PrepareError {
    PrepareError::invalid(field, format!("the module cannot be made a component: {}", chain.replace('\n', " ")))
}
