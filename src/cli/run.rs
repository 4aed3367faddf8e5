//! `greenroom run`: the whole tree, until a signal ends it. Running one command is the business of `command`.

use std::{
    future::pending,
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::{Args, ValueHint};
use tokio::time::timeout;

use super::{
    RegistryOptions, admin,
    check::pool,
    command,
    failure::Failure,
    options::{Format, duration},
    output::counted,
    signals::Signals,
    target::{load, log_warnings},
};
use crate::{
    CallError, ErrorKind, Runtime,
    http::{self, Admin, BindError, Servers, Serving},
    registry::{Command, Diagnostics, Registry, Severity, http::ServerSpec},
};

pub(super) const HELP: &str = "\
The registry's HTTP servers are served: first those that belong to no http.service, on 127.0.0.1:8080 or --listen.

The first SIGINT or SIGTERM ends the run: no new requests and calls, and running ones finish within --drain. A second one \
stops at once. Exit code 0 when all had finished, 1 when some were cut off or the run could not start.

`run ROOT list` shows the registry's commands, `run ROOT NAME [ARG…]` runs one: options go before ROOT, everything after \
NAME is the command's own. Nothing is served then, and the exit code is the command's; one that does not exit by itself \
gives that of its error, as `call` does, or 130 or 143 after a signal.

Examples:
  greenroom run --metrics 127.0.0.1:9464 registry-examples/compute
  greenroom run --listen 127.0.0.1:3000 --dev registry-examples/http-greet
  greenroom run registry-examples/commands list
  greenroom run registry-examples/commands tally count < README.md";

/// What `run` is told.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The registry's folder
    #[arg(value_hint = ValueHint::DirPath)]
    root: PathBuf,
    /// `list`, or a command of the registry and its arguments: that alone is run, with this terminal's input and output
    #[arg(value_names = ["NAME", "ARG"], num_args = 0.., trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
    /// Where routes without an http.service are served: HOST:PORT. Port 0 takes any that is free. Default is 127.0.0.1:8080
    #[arg(long, value_name = "ADDR", value_parser = address, conflicts_with = "command")]
    listen: Option<String>,
    /// Show HTTP clients what is otherwise in the log alone, such as backtraces of traps
    #[arg(long, conflicts_with = "command")]
    dev: bool,
    #[command(flatten)]
    admin: admin::ListenerOptions,
    /// How long running calls may take to finish at the end: seconds, or `500ms`, `1m`. Default is 10
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "command")]
    drain: Option<Duration>,
    #[command(flatten)]
    registry: RegistryOptions,
}

impl Options {
    /// Whether one command is run, and not the tree.
    pub(super) fn is_command(&self) -> bool {
        !self.command.is_empty()
    }
}

/// How long a drain may take unless the user says otherwise.
const DRAIN_DEFAULT: Duration = Duration::from_secs(10);

/// How long the answers of calls that were cut off may take to reach their clients.
const LAST_ANSWERS_MAX: Duration = Duration::from_secs(1);

/// Entries of a server that the log lists, at most.
const ENTRIES_SHOWN_MAX: usize = 20;

fn address(text: &str) -> Result<String, String> {
    host_and_port(text, 8080)
}

/// Reads `HOST:PORT`. `example` is the port that a message suggests.
pub(super) fn host_and_port(text: &str, example: u16) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err(format!("write HOST:PORT, such as 127.0.0.1:{example} or [::1]:{example}")),
    }
}

/// Does what the user asked for: the list of commands, one of them, or the tree.
pub(super) async fn run(options: Options, format: Format) -> Result<ExitCode, Failure> {
    match options.command.split_first() {
        Some((name, [])) if name == Command::LIST => command::list(&options.root, &options.registry, format).await,
        Some((name, [more, ..])) if name == Command::LIST => {
            let message = format!("`{name}` takes no arguments, and was given `{more}`");
            Err(CallError::new(ErrorKind::Invalid, message).into())
        }
        Some((name, args)) => command::run(&options.root, name, args.to_vec(), &options.registry).await,
        None => tree(options).await,
    }
}

/// Starts the tree and keeps it until signals end it. Operators are answered from the beginning to the end.
async fn tree(options: Options) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new().context("signals cannot be heard")?;
    // Each connection takes a file, and what a process may open unasked is often few. What the system refuses stays.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::debug!(%error, "the limit on open files stays");
    }
    let opened = admin::open(&options.admin, options.dev).await?;
    let admin = opened.as_ref().map(|opened| opened.admin.clone());
    let answering = async {
        match opened {
            Some(opened) => opened.serve().await,
            None => pending().await,
        }
    };
    tokio::select! {
        ended = from_start_to_end(&options, admin.as_deref(), &mut signals) => ended,
        never = answering => match never {},
    }
}

async fn from_start_to_end(
    options: &Options,
    admin: Option<&Admin>,
    signals: &mut Signals,
) -> Result<ExitCode, Failure> {
    let runtime = tokio::select! {
        runtime = start(options) => runtime?,
        signal = signals.next() => {
            tracing::info!("{signal}: stopped before the tree had started");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let servers = match bind(&runtime, options).await {
        Ok(servers) => servers,
        Err(failure) => {
            runtime.shutdown(Duration::ZERO).await;
            return Err(failure);
        }
    };
    let drain = options.drain.unwrap_or(DRAIN_DEFAULT);
    let cut_off = serve(&runtime, servers, admin, drain, async || signals.next().await).await;
    Ok(if cut_off == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn start(options: &Options) -> Result<Runtime, Failure> {
    let begun = Instant::now();
    let (registry, warnings) = load(&options.root, &options.registry).await?;
    log_warnings(&warnings, |_| true);
    let runtime = Runtime::builder().loaded(registry).cache(options.registry.cache()).start().await?;
    for function in runtime.registry().into_iter().flat_map(Registry::functions) {
        let signature = runtime.signature(function.id.as_str()).ok().flatten();
        let signature = signature.map(|signature| format!("func{signature}"));
        tracing::info!(function = %function.id, signature, pool = pool(&function.pool), "started");
    }
    let functions = counted(runtime.functions().len(), "function");
    tracing::info!("{functions} started in {} ms", begun.elapsed().as_millis());
    Ok(runtime)
}

/// Listens for all servers of the registry.
async fn bind(runtime: &Runtime, options: &Options) -> Result<Servers, Failure> {
    let specs = runtime.registry().map(Registry::servers).unwrap_or_default();
    let how = http::Options { listen: options.listen.clone(), dev: options.dev, ..http::Options::default() };
    let error = match Servers::bind(runtime, specs, &how).await {
        Ok(servers) => return Ok(servers),
        Err(error) => error,
    };
    Err(match (error, runtime.registry()) {
        (BindError::Entry { id: Some(id), field, message }, Some(registry)) => {
            let mut diagnostics = Diagnostics::default();
            diagnostics.extend([registry.diagnose(&id, field, message, None, Severity::Error)]);
            Failure::Registry(diagnostics)
        }
        (error @ BindError::NoDefault { .. }, _) => CallError::new(ErrorKind::Invalid, error.to_string()).into(),
        (error, _) => Failure::Other(error.into()),
    })
}

/// Says where a server listens, and what for.
fn log_address(spec: &ServerSpec, address: SocketAddr) {
    let scheme = if spec.tls.is_some() { "https" } else { "http" };
    let endpoints = spec.routers.iter().flat_map(|router| &router.endpoints).map(|endpoint| endpoint.id.name());
    let entries: Vec<_> = endpoints.chain(spec.statics.iter().map(|files| files.id.name())).collect();
    let shown = entries.iter().take(ENTRIES_SHOWN_MAX).copied().collect::<Vec<_>>().join(", ");
    let more = match entries.len().saturating_sub(ENTRIES_SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let server = spec.id.as_ref().map(tracing::field::display);
    tracing::info!(server, "listening on {scheme}://{address} ({shown}{more})");
}

/// Serves HTTP until `stop` says for the first time, with a word on why, that the run ends; then drains, and ends the tree.
/// When `stop` says so again, the drain is over. Returns how many requests and calls were cut off.
pub async fn serve(
    runtime: &Runtime,
    servers: Servers,
    admin: Option<&Admin>,
    drain: Duration,
    mut stop: impl AsyncFnMut() -> &'static str,
) -> usize {
    let specs = runtime.registry().map(Registry::servers).unwrap_or_default();
    for (spec, (_, address)) in specs.iter().zip(servers.addresses()) {
        log_address(spec, address);
    }
    let mut serving = servers.serve();
    if let Some(admin) = admin {
        admin.ready(runtime);
    }
    let why = stop().await;
    tracing::info!("{why}: no new calls; running calls have {drain:?} to finish, a second signal stops at once");
    if let Some(admin) = admin {
        admin.draining();
    }
    let (requests, calls) = tokio::select! {
        left = end(runtime, &mut serving, drain) => left,
        why = stop() => {
            tracing::info!("{why} again: stopping at once");
            end(runtime, &mut serving, Duration::ZERO).await
        }
    };
    runtime.shutdown(Duration::ZERO).await;
    match (requests, calls) {
        (0, 0) => tracing::info!("stopped; every call had finished"),
        (0, calls) => tracing::warn!("stopped; {} cut off", counted(calls, "call")),
        (requests, calls) => {
            tracing::warn!("stopped; {} and {} cut off", counted(requests, "request"), counted(calls, "call"));
        }
    }
    requests + calls
}

/// Lets requests finish first, which may call on; then calls. What has not finished then is answered that it never will be,
/// and has a moment for that. Returns how many requests and calls were cut off.
async fn end(runtime: &Runtime, serving: &mut Serving, within: Duration) -> (usize, usize) {
    let begun = Instant::now();
    if let Ok(requests) = timeout(within, serving.stop(Duration::MAX)).await {
        return (requests, runtime.drain(within.saturating_sub(begun.elapsed())).await);
    }
    let calls = runtime.drain(Duration::ZERO).await;
    runtime.shutdown(Duration::ZERO).await;
    (serving.stop(LAST_ANSWERS_MAX).await, calls)
}
