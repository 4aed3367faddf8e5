//! `greenroom run`: the whole tree, until a signal ends it. Running one command is the business of `command`.

use std::{
    future::pending,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::{Args, ValueHint};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use super::{
    RegistryOptions,
    check::pool,
    command,
    failure::Failure,
    metrics,
    options::{Format, duration},
    output::counted,
    signals::Signals,
    target::{load, log_warnings},
};
use crate::{
    CallError, ErrorKind, Runtime,
    registry::{Command, Registry},
};

pub(super) const HELP: &str = "\
The first SIGINT or SIGTERM ends the run: no new calls, and running calls finish within --drain. A second one stops at
once. Exit code 0 when every call had finished, 1 when some were cut off or the run could not start.

`run ROOT list` shows the registry's commands, `run ROOT NAME [ARG…]` runs one: options go before ROOT, everything after
NAME is the command's own. No metrics are served then, and the exit code is the command's; one that does not exit by itself
gives that of its error, as `call` does, or 130 or 143 after a signal.

Examples:
  greenroom run --metrics 127.0.0.1:9464 registry-examples/compute
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
    /// Where to serve Prometheus metrics, at /metrics: HOST:PORT, or `off`. Port 0 takes any that is free. Default is
    /// 127.0.0.1:9464
    #[arg(long, value_name = "ADDR", value_parser = metrics_address, conflicts_with = "command")]
    metrics: Option<MetricsAddress>,
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

/// Where metrics are served unless the user says otherwise.
const METRICS_DEFAULT: &str = "127.0.0.1:9464";

/// How long a drain may take unless the user says otherwise.
const DRAIN_DEFAULT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
enum MetricsAddress {
    Off,
    On(String),
}

fn metrics_address(text: &str) -> Result<MetricsAddress, String> {
    if text == "off" {
        return Ok(MetricsAddress::Off);
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(MetricsAddress::On(text.to_owned()))
        }
        _ => Err("write HOST:PORT, such as 127.0.0.1:9464 or [::1]:9464, or `off`".to_owned()),
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

/// Starts the tree and keeps it until signals end it.
async fn tree(options: Options) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new().context("signals cannot be heard")?;
    let metrics = options.metrics.clone().unwrap_or_else(|| MetricsAddress::On(METRICS_DEFAULT.to_owned()));
    let recorded = match &metrics {
        MetricsAddress::Off => None,
        MetricsAddress::On(address) => Some((address, metrics::record()?)),
    };
    let runtime = tokio::select! {
        runtime = start(&options) => runtime?,
        signal = signals.next() => {
            tracing::info!("{signal}: stopped before the tree had started");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let scrapes = match recorded {
        None => None,
        Some((address, handle)) => match metrics::listen(address).await {
            Ok(listener) => Some((listener, handle)),
            Err(error) => {
                runtime.shutdown(Duration::ZERO).await;
                return Err(error.into());
            }
        },
    };
    let cut_off = serve(&runtime, scrapes, options.drain.unwrap_or(DRAIN_DEFAULT), async || signals.next().await).await;
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

/// Serves metrics until `stop` says for the first time, with a word on why, that the run ends; then drains, and ends the
/// tree. When `stop` says so again, the drain is over. Returns how many calls were cut off.
pub async fn serve(
    runtime: &Runtime,
    scrapes: Option<(TcpListener, PrometheusHandle)>,
    drain: Duration,
    stop: impl AsyncFnMut() -> &'static str,
) -> usize {
    if let Some(address) = scrapes.as_ref().and_then(|(listener, _)| listener.local_addr().ok()) {
        tracing::info!("metrics on http://{address}/metrics");
    }
    let scrapes = async {
        match scrapes {
            Some((listener, handle)) => metrics::serve(listener, handle).await,
            None => pending().await,
        }
    };
    tokio::select! {
        cut_off = until_stopped(runtime, drain, stop) => cut_off,
        never = scrapes => match never {},
    }
}

async fn until_stopped(runtime: &Runtime, drain: Duration, mut stop: impl AsyncFnMut() -> &'static str) -> usize {
    let why = stop().await;
    tracing::info!("{why}: no new calls; running calls have {drain:?} to finish, a second signal stops at once");
    let cut_off = tokio::select! {
        left = runtime.drain(drain) => left,
        why = stop() => {
            tracing::info!("{why} again: stopping at once");
            runtime.drain(Duration::ZERO).await
        }
    };
    runtime.shutdown(Duration::ZERO).await;
    match cut_off {
        0 => tracing::info!("stopped; every call had finished"),
        cut_off => tracing::warn!("stopped; {} cut off", counted(cut_off, "call")),
    }
    cut_off
}
