//! `greenroom call`: one call of one function.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{Args, ValueHint};

use super::{
    RegistryOptions, arguments, failure::Failure, options::some_time, output::print_json, signals::Signals,
    target::Target,
};
use crate::{CallError, CallOptions, ErrorKind};

pub(super) const HELP: &str = "\
Options go before the first ARG: everything after it belongs to the call, so that `-3` needs no `--`.
An ARG that is JSON is taken as JSON, anything else as a string: `hello` is \"hello\", `7` a number, '\"7\"' a string.

Examples:
  greenroom call registry-examples/compute compute:lazy 6 7
  greenroom call --timeout 2s hello app:add -3 4
  greenroom call hello greet world

Exit codes:
  0  the result is on stdout
  1  the registry does not load, or the function does not compile
  2  invalid: arguments or configuration do not fit
  3  not_found: there is no such function
  4  timeout: a deadline passed
  5  internal: the guest trapped
  6  rate_limited, unavailable or canceled: try again later
  7  permission_denied: the guest used what its entry does not grant";

/// What `call` is told.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The registry's folder
    #[arg(value_hint = ValueHint::DirPath)]
    root: PathBuf,
    /// The function: `namespace:name`, or the name alone when no other function has it
    id: String,
    /// The arguments, each JSON or a bare string
    #[arg(value_name = "ARG", trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
    /// How long to wait for the result: `2s`, `500ms`, or seconds. Default is for ever
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    timeout: Option<Duration>,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// Calls and prints the result.
pub(super) async fn call(options: Options) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new().context("signals cannot be heard")?;
    let interrupted = |signal| CallError::new(ErrorKind::Canceled, format!("interrupted by {signal}"));
    let target = tokio::select! {
        target = Target::start(&options.root, &options.id, &options.registry) => target?,
        signal = signals.next() => return Err(interrupted(signal).into()),
    };
    let args = arguments::read(&options.args);
    let values = args.iter().map(|arg| arg.value.clone()).collect();
    let call_options = CallOptions { timeout: options.timeout, ..CallOptions::default() };
    tracing::debug!(function = %target.id, "calling");
    let result = tokio::select! {
        result = target.runtime.call_json(target.id.as_str(), values, call_options) => result,
        signal = signals.next() => Err(interrupted(signal)),
    };
    // What the guest has printed is logged when its instance goes.
    target.runtime.shutdown(Duration::ZERO).await;
    print_json(&result.map_err(|error| target.explain(error, &args))?)
}
