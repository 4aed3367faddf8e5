//! Grants: links the interfaces that an entry grants one by one, and the rest to traps that name the grant.
//!
//! Real toolchains import far more than they use: a component always loads, and fails only when it uses what it was not
//! given. `wasi:io` carries no capability of its own, streams and polls come from other interfaces, so it is always there;
//! the types of `wasi:http` come with `transport: wasi-http`. WASI 0.2 is here, WASI 0.3 in `p3`.

mod denied;
pub(super) mod p3;

use wasmtime::component::{Component, HasData, HasSelf, Linker, ResourceTable, types::ComponentItem};
use wasmtime_wasi::{
    WasiView,
    cli::{WasiCli, WasiCliView as _},
    clocks::{WasiClocks, WasiClocksView as _},
    filesystem::{WasiFilesystem, WasiFilesystemView as _},
    p2::bindings::{cli, clocks, filesystem, io, random, sockets},
    random::WasiRandom,
    sockets::{WasiSockets, WasiSocketsView as _},
};
use wasmtime_wasi_http::{
    WasiHttp, WasiHttpView as _,
    p2::bindings::http::{outgoing_handler, types},
};

use self::denied::Denied;
use super::{
    error::{PrepareError, PrepareWarning},
    files, funcs,
    host::{GuestState, HostInterface},
    network,
};
use crate::{
    call::ErrorKind,
    spec::{Capabilities, Capability, FunctionId, Transport, WasmSpec},
};

/// What a guest meets when it uses an interface that it was not given.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum NotGranted {
    /// Its entry does not grant the group.
    #[error("function `{function}` used `{import}`, which its entry does not grant; add `imports: [{grants}]`")]
    Grant {
        function: FunctionId,
        import: String,
        /// All that `imports` should list then.
        grants: String,
    },
    /// No grant would help.
    #[error("function `{function}` used `{import}`, which this version does not provide")]
    NotProvided { function: FunctionId, import: String },
}

/// What requests and responses are made of.
const HTTP_TYPES: &str = "wasi:http/types";

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

/// The interfaces of each group that [`provide`] links.
fn provided(capability: Capability) -> &'static [&'static str] {
    match capability {
        Capability::Io | Capability::Poll => &["wasi:io/error", "wasi:io/poll", "wasi:io/streams"],
        Capability::Cli => &[
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
        Capability::Clocks => &["wasi:clocks/wall-clock", "wasi:clocks/monotonic-clock"],
        Capability::Filesystem => &["wasi:filesystem/types", "wasi:filesystem/preopens"],
        Capability::Random => &["wasi:random/random", "wasi:random/insecure", "wasi:random/insecure-seed"],
        Capability::Sockets => &[
            "wasi:sockets/network",
            "wasi:sockets/instance-network",
            "wasi:sockets/ip-name-lookup",
            "wasi:sockets/tcp",
            "wasi:sockets/tcp-create-socket",
            "wasi:sockets/udp",
            "wasi:sockets/udp-create-socket",
        ],
        Capability::Http => &[HTTP_TYPES, "wasi:http/outgoing-handler"],
        Capability::Funcs => &[funcs::INTERFACE],
    }
}

/// Links `wasi:io`, what these groups hold, and what the transport needs.
pub(super) fn provide(
    linker: &mut Linker<GuestState>,
    granted: Capabilities,
    transport: Transport,
) -> wasmtime::Result<()> {
    let l = linker;
    io::error::add_to_linker::<GuestState, Io>(l, GuestState::table)?;
    io::poll::add_to_linker::<GuestState, Io>(l, GuestState::table)?;
    io::streams::add_to_linker::<GuestState, Io>(l, GuestState::table)?;
    files::bound_writes(l)?;
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
        clocks::wall_clock::add_to_linker::<GuestState, WasiClocks>(l, GuestState::clocks)?;
        clocks::monotonic_clock::add_to_linker::<GuestState, WasiClocks>(l, GuestState::clocks)?;
    }
    if granted.has(Capability::Filesystem) {
        filesystem::types::add_to_linker::<GuestState, WasiFilesystem>(l, GuestState::filesystem)?;
        filesystem::preopens::add_to_linker::<GuestState, WasiFilesystem>(l, GuestState::filesystem)?;
        files::bound_files(l)?;
    }
    if granted.has(Capability::Random) {
        random::random::add_to_linker::<GuestState, WasiRandom>(l, |state| state.ctx().ctx.random())?;
        random::insecure::add_to_linker::<GuestState, WasiRandom>(l, |state| state.ctx().ctx.random())?;
        random::insecure_seed::add_to_linker::<GuestState, WasiRandom>(l, |state| state.ctx().ctx.random())?;
    }
    if granted.has(Capability::Sockets) {
        let options = sockets::network::LinkOptions::default();
        sockets::network::add_to_linker::<GuestState, WasiSockets>(l, &options, GuestState::sockets)?;
        sockets::instance_network::add_to_linker::<GuestState, WasiSockets>(l, GuestState::sockets)?;
        sockets::tcp::add_to_linker::<GuestState, WasiSockets>(l, GuestState::sockets)?;
        sockets::udp::add_to_linker::<GuestState, WasiSockets>(l, GuestState::sockets)?;
        network::link_sockets(l)?;
    }
    if granted.has(Capability::Http) || transport == Transport::WasiHttp {
        http_types(l)?;
    }
    if granted.has(Capability::Http) {
        outgoing_handler::add_to_linker::<GuestState, WasiHttp>(l, GuestState::http)?;
    }
    if granted.has(Capability::Funcs) {
        funcs::provide(l)?;
    }
    Ok(())
}

/// What requests and responses are made of: harmless without a handler that sends or receives them.
fn http_types(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    types::add_to_linker::<GuestState, WasiHttp>(linker, &types::LinkOptions::default(), GuestState::http)?;
    network::link_error_codes(linker)
}

/// The versions of a group's interfaces that are provided, up to the last dot.
fn versions(capability: Capability) -> &'static str {
    match capability {
        Capability::Funcs => funcs::VERSIONS,
        _ => "0.2.",
    }
}

/// Adds to a linker of the granted groups what else this component imports: the embedder's interfaces, and traps.
///
/// # Errors
/// Every import that nobody can provide.
pub(super) fn complete(
    linker: &mut Linker<GuestState>,
    component: &Component,
    function: &FunctionId,
    spec: &WasmSpec,
    hosts: &[HostInterface],
) -> Result<Vec<PrepareWarning>, Vec<PrepareError>> {
    let granted = spec.imports;
    let mut missing = Missing { granted, groups: Capabilities::NONE, not_provided: Vec::new() };
    let mut errors = Vec::new();
    // Each resource is defined once, where it is first seen; later sights are aliases.
    let mut resources = Vec::new();
    let engine = component.engine();
    for (name, item) in component.component_type().imports(engine) {
        let result = match item.ty {
            ComponentItem::ComponentInstance(instance) => {
                let state = state_of(name, granted, spec.transport);
                let result = match &state {
                    State::Linked => Ok(()),
                    State::Embedder => link_embedder(linker, name, hosts),
                    State::Trap(trap) => {
                        let denied = Denied {
                            error: trap.error(function, name, granted),
                            name: name.split_once('@').map_or(name, |(name, _)| name),
                            has_mounts: !spec.wasi.mounts.is_empty(),
                            seen: &resources,
                        };
                        if denied.is_missed(&instance, engine) {
                            missing.add(trap, name);
                        }
                        linker
                            .instance(name)
                            .and_then(|mut linker| denied.link(&mut linker, engine, &instance))
                            .map_err(|error| link_error(name, &error))
                    }
                };
                resources.extend(instance.exports(engine).filter_map(|(_, export)| match export.ty {
                    ComponentItem::Resource(resource) => Some(resource),
                    _ => None,
                }));
                result
            }
            // A name for a type, which nobody has to provide.
            ComponentItem::Type(_) => Ok(()),
            _ => Err(PrepareError::invalid(
                "imports",
                format!("the component imports `{name}`, which is no interface; only interfaces can be provided"),
            )),
        };
        errors.extend(result.err());
    }
    if errors.is_empty() { Ok(missing.warnings()) } else { Err(errors) }
}

enum State {
    Linked,
    Embedder,
    Trap(Trap),
}

enum Trap {
    Grant(Capability),
    NotProvided,
}

impl Trap {
    fn error(&self, function: &FunctionId, import: &str, granted: Capabilities) -> NotGranted {
        let (function, import) = (function.clone(), import.to_owned());
        match self {
            Self::Grant(capability) => NotGranted::Grant { function, import, grants: names(granted.with(*capability)) },
            Self::NotProvided => NotGranted::NotProvided { function, import },
        }
    }
}

fn state_of(import: &str, granted: Capabilities, transport: Transport) -> State {
    let Some(capability) = Capability::of_import(import) else { return State::Embedder };
    let (name, version) = import.split_once('@').unwrap_or((import, ""));
    let has = |versions: &str, provided: &[&str]| version.starts_with(versions) && provided.contains(&name);
    // Interfaces of before a release have its names and other functions.
    let is_release = !version.contains('-');
    if !is_release || !(has(versions(capability), provided(capability)) || has("0.3.", p3::provided(capability))) {
        return State::Trap(Trap::NotProvided);
    }
    let comes_along = match capability {
        Capability::Io | Capability::Poll => true,
        Capability::Http => transport == Transport::WasiHttp && name == HTTP_TYPES,
        _ => false,
    };
    if comes_along || granted.has(capability) {
        return State::Linked;
    }
    State::Trap(Trap::Grant(capability))
}

fn link_embedder(linker: &mut Linker<GuestState>, import: &str, hosts: &[HostInterface]) -> Result<(), PrepareError> {
    let Some(host) = hosts.iter().find(|host| provides(&host.name, import)) else {
        let message = format!(
            "the component imports `{import}`, which nobody provides: it is neither WASI nor an interface of this host"
        );
        let notes = match hosts {
            [] => vec!["an embedder provides it with a `HostInterface` of that name".to_owned()],
            hosts => {
                let names: Vec<_> = hosts.iter().map(|host| format!("`{}`", host.name)).collect();
                vec![format!("this host provides {}", names.join(", "))]
            }
        };
        return Err(PrepareError::new("imports", ErrorKind::NotFound, message).with_notes(notes));
    };
    linker.instance(import).and_then(|mut linker| (host.link)(&mut linker)).map_err(|error| link_error(import, &error))
}

/// Whether a host's interface serves an import: the same name, and a version that semantic versioning calls compatible.
fn provides(host: &str, import: &str) -> bool {
    fn split(name: &str) -> (&str, Option<&str>) {
        name.split_once('@').map_or((name, None), |(name, version)| (name, Some(version)))
    }
    /// The part that compatible versions share: `1` of 1.2.3, `0.2` of 0.2.3, all of 0.0.3 and of pre-releases.
    fn line(version: &str) -> &str {
        let up_to = |dots: usize| version.match_indices('.').nth(dots).map_or(version, |(at, _)| &version[..at]);
        match version {
            _ if version.contains('-') => version,
            _ if version.starts_with("0.0.") => version,
            _ if version.starts_with("0.") => up_to(1),
            _ => up_to(0),
        }
    }
    let ((host, provided), (import, wanted)) = (split(host), split(import));
    let compatible = match (provided, wanted) {
        (Some(provided), Some(wanted)) => line(provided) == line(wanted),
        (Some(_), None) => false,
        (None, _) => true,
    };
    host == import && compatible
}

fn link_error(import: &str, error: &wasmtime::Error) -> PrepareError {
    PrepareError::invalid("imports", format!("`{import}` cannot be linked: {error:#}"))
}

/// The groups as `imports:` lists them.
fn names(groups: Capabilities) -> String {
    groups.iter().map(Capability::name).collect::<Vec<_>>().join(", ")
}

/// What a component imports without having it.
struct Missing {
    granted: Capabilities,
    groups: Capabilities,
    not_provided: Vec<String>,
}

impl Missing {
    fn add(&mut self, trap: &Trap, import: &str) {
        match trap {
            Trap::Grant(capability) => self.groups = self.groups.with(*capability),
            Trap::NotProvided => self.not_provided.push(import.to_owned()),
        }
    }

    fn warnings(self) -> Vec<PrepareWarning> {
        let mut warnings = Vec::new();
        if self.groups != Capabilities::NONE {
            let all = self.granted.iter().chain(self.groups.iter()).collect::<Capabilities>();
            warnings.push(PrepareWarning {
                field: "imports",
                message: format!(
                    "the component imports {}, which the entry does not grant; a call that uses it fails with \
                     permission_denied",
                    names(self.groups)
                ),
                notes: vec![format!("to grant it, write `imports: [{}]`", names(all))],
            });
        }
        if !self.not_provided.is_empty() {
            let names: Vec<_> = self.not_provided.iter().map(|name| format!("`{name}`")).collect();
            warnings.push(PrepareWarning {
                field: "imports",
                message: format!(
                    "the component imports {}, which this version does not provide; a call that uses it fails",
                    names.join(", ")
                ),
                notes: Vec::new(),
            });
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_interface_serves_compatible_versions() {
        for (host, import, expected) in [
            ("a:b/c", "a:b/c@1.2.3", true),
            ("a:b/c", "a:b/c", true),
            ("a:b/c@1.2.3", "a:b/c@1.0.0", true),
            ("a:b/c@1.2.3", "a:b/c@2.0.0", false),
            ("a:b/c@0.2.3", "a:b/c@0.2.0", true),
            ("a:b/c@0.2.3", "a:b/c@0.3.0", false),
            ("a:b/c@0.0.3", "a:b/c@0.0.4", false),
            ("a:b/c@1.0.0-rc.1", "a:b/c@1.0.0", false),
            ("a:b/c@1.0.0", "a:b/c", false),
            ("a:b/d", "a:b/c", false),
        ] {
            assert_eq!(provides(host, import), expected, "{host} for {import}");
        }
    }
}
