//! WASI 0.3, by the same grants as 0.2. Files and sockets of 0.3 are not provided.

use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::{
    WasiView,
    cli::{WasiCli, WasiCliView as _},
    clocks::{WasiClocks, WasiClocksView as _},
    p3::bindings::{cli, clocks, random},
    random::WasiRandom,
};
use wasmtime_wasi_http::{
    WasiHttp, WasiHttpView as _,
    p3::bindings::http::{client, types},
};

use super::HTTP_TYPES;
use crate::spec::{Capabilities, Capability, Transport};
use crate::wasm::host::GuestState;

/// The interfaces of each group that [`provide`] links.
pub(super) fn provided(capability: Capability) -> &'static [&'static str] {
    match capability {
        Capability::Cli => &[
            "wasi:cli/types",
            "wasi:cli/environment",
            "wasi:cli/exit",
            "wasi:cli/stdin",
            "wasi:cli/stdout",
            "wasi:cli/stderr",
            "wasi:cli/terminal-input",
            "wasi:cli/terminal-output",
            "wasi:cli/terminal-stdin",
            "wasi:cli/terminal-stdout",
            "wasi:cli/terminal-stderr",
        ],
        Capability::Clocks => &["wasi:clocks/types", "wasi:clocks/system-clock", "wasi:clocks/monotonic-clock"],
        Capability::Random => &["wasi:random/random", "wasi:random/insecure", "wasi:random/insecure-seed"],
        Capability::Http => &[HTTP_TYPES, "wasi:http/client"],
        Capability::Io | Capability::Poll | Capability::Filesystem | Capability::Sockets | Capability::Funcs => &[],
    }
}

/// Links what these groups hold, and what the transport needs.
pub(in crate::wasm) fn provide(
    linker: &mut Linker<GuestState>,
    granted: Capabilities,
    transport: Transport,
) -> wasmtime::Result<()> {
    let l = linker;
    if granted.has(Capability::Cli) {
        cli::environment::add_to_linker::<GuestState, HasSelf<GuestState>>(l, |state| state)?;
        cli::exit::add_to_linker::<GuestState, WasiCli>(l, GuestState::cli)?;
        cli::stdin::add_to_linker::<GuestState, WasiCli>(l, GuestState::cli)?;
        cli::stdout::add_to_linker::<GuestState, WasiCli>(l, GuestState::cli)?;
        cli::stderr::add_to_linker::<GuestState, WasiCli>(l, GuestState::cli)?;
        cli::terminal_input::add_to_linker::<GuestState, WasiCli>(l, GuestState::cli)?;
        cli::terminal_output::add_to_linker::<GuestState, WasiCli>(l, GuestState::cli)?;
        cli::terminal_stdin::add_to_linker::<GuestState, WasiCli>(l, GuestState::cli)?;
        cli::terminal_stdout::add_to_linker::<GuestState, WasiCli>(l, GuestState::cli)?;
        cli::terminal_stderr::add_to_linker::<GuestState, WasiCli>(l, GuestState::cli)?;
    }
    if granted.has(Capability::Clocks) {
        clocks::types::add_to_linker::<GuestState, WasiClocks>(l, GuestState::clocks)?;
        clocks::system_clock::add_to_linker::<GuestState, WasiClocks>(l, GuestState::clocks)?;
        clocks::monotonic_clock::add_to_linker::<GuestState, WasiClocks>(l, GuestState::clocks)?;
    }
    if granted.has(Capability::Random) {
        random::random::add_to_linker::<GuestState, WasiRandom>(l, |state| state.ctx().ctx.random())?;
        random::insecure::add_to_linker::<GuestState, WasiRandom>(l, |state| state.ctx().ctx.random())?;
        random::insecure_seed::add_to_linker::<GuestState, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    }
    if granted.has(Capability::Http) || transport == Transport::WasiHttp {
        types::add_to_linker::<GuestState, WasiHttp>(l, GuestState::http)?;
    }
    if granted.has(Capability::Http) {
        client::add_to_linker::<GuestState, WasiHttp>(l, GuestState::http)?;
    }
    Ok(())
}
