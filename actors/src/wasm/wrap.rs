//! Core modules become components: a world from `wit` or from the module's own types, names put into kebab-case, and
//! the preview 1 adapter where the module wants it.
//!
//! Nothing is compiled here. wit-component does the wrapping; what it would refuse for reasons that users meet is
//! checked before, in words that name the module's exports and the `wit`.

mod core;
mod fit;
mod memory;

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use self::core::CoreModule;
use super::{error::PrepareError, wit};

/// What preview 1's `proc_exit` is taken for: the adapter would forget the exit code.
const EXIT: (&str, &str) = ("wasi:cli/exit@0.2.12", "exit-with-code");

/// The world in which [`EXIT`] is imported.
const EXIT_WORLD: &str = "
package greenroom:preview1;
world program { import wasi:cli/exit@0.2.12; }
package wasi:cli@0.2.12 { interface exit { exit-with-code: func(status-code: u8); } }
";

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
    let names = world.as_ref().map_or_else(|| Ok(Vec::new()), |world| fit::names(&core, world))?;
    let mut bytes = core::renamed(module, &names, EXIT).map_err(|error| refused(field, &error.to_string()))?;
    if core.has_adapter() {
        let sized = memory::with_own_size(&bytes).map_err(|error| refused(field, &error.to_string()))?;
        bytes = sized.into_owned();
    }
    if let Some(world) = &world {
        embed_component_metadata(&mut bytes, &world.resolve, world.world, StringEncoding::UTF8)
            .map_err(|error| refused("wit", &format!("{error:#}")))?;
    }
    if core.exits() {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("exit.wit", EXIT_WORLD);
        let world = package.and_then(|package| resolve.select_world(&[package], None));
        world
            .and_then(|world| embed_component_metadata(&mut bytes, &resolve, world, StringEncoding::UTF8))
            .map_err(|error| refused(field, &format!("{error:#}")))?;
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
