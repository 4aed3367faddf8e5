//! `greenroom bench`: one function, called by so many callers for so long, each with its next call as soon as it has its
//! answer. The figures are in `figures`, and what the calls take of memory in `memory`.

mod figures;
mod memory;

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::{Args, ValueHint};
use greenroom_actors::spec::FunctionId;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::task::JoinSet;

use self::figures::{Figures, Tally};
use super::{
    RegistryOptions, arguments,
    failure::Failure,
    options::{Format, some_time},
    output,
    signals::Signals,
    target::Target,
};
use crate::{CallError, CallOptions, ErrorKind, Runtime};

pub(super) const HELP: &str = "\
Each caller has its next call as soon as it has its answer; one whom a full queue refused waits 10 ms. Calls that run at
the end are not counted. Ctrl-C ends early. Memory is what the process has resident at most, beyond what it had before
the first call.
Negative numbers are taken as ARGs; other ARGs that start with `-` stand behind `--`, after all options.
Exit code 0 if any call had a result, else that of the error that came most often, or 4 if no call had an end (see
`greenroom call --help`).

Example:
  greenroom bench registry-examples/compute compute:lazy 6 7 --concurrency 64 --duration 5
  greenroom bench registry-examples/sleep sleep:many 2000 --concurrency 10000 --calls 10000";

/// Places where callers note their results: more callers share them, as a histogram takes some room.
const TALLIES_MAX: usize = 64;

/// What `bench` is told.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The registry's folder
    #[arg(value_hint = ValueHint::DirPath)]
    root: PathBuf,
    /// The function: `namespace:name`, or the name alone when no other function has it
    id: String,
    /// The arguments of each call, each JSON or a bare string
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    args: Vec<String>,
    /// How many callers there are
    #[arg(long, short = 'c', value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    concurrency: u32,
    /// How long to call: seconds, or `500ms`, `1m`. Default is 5, or until all --calls have ended
    #[arg(long, short = 'd', value_name = "TIME", value_parser = some_time)]
    duration: Option<Duration>,
    /// How many calls to make in all: the bench ends with the last. Default is as many as there is time for
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    calls: Option<u64>,
    /// How long each caller waits for a result. Default is for ever
    #[arg(long, value_name = "TIME", value_parser = some_time)]
    timeout: Option<Duration>,
    #[command(flatten)]
    registry: RegistryOptions,
}

/// Calls, and prints the figures.
pub(super) async fn bench(options: Options, format: Format) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new().context("signals cannot be heard")?;
    let target = tokio::select! {
        target = Target::start(&options.root, &options.id, &options.registry) => target?,
        signal = signals.next() => {
            return Err(CallError::new(ErrorKind::Canceled, format!("interrupted by {signal}")).into());
        }
    };
    let args = arguments::read(&options.args);
    target.check(&args)?;
    let calls = Calls {
        args: args.into_iter().map(|arg| arg.value).collect(),
        options: CallOptions { timeout: options.timeout, ..CallOptions::default() },
        left: options.calls.map(AtomicU64::new),
        runtime: target.runtime,
        id: target.id,
    };
    let calls = Arc::new(calls);
    let concurrency = usize::try_from(options.concurrency).unwrap_or(usize::MAX);
    let tallies: Vec<_> = (0..concurrency.min(TALLIES_MAX)).map(|_| Arc::new(Mutex::new(Tally::default()))).collect();
    tracing::debug!(function = %calls.id, concurrency, "benching");
    let mut callers = JoinSet::new();
    let at_rest = memory::resident().await;
    let mut peak = at_rest;
    let begun = Instant::now();
    for (_, tally) in (0..concurrency).zip(tallies.iter().cycle()) {
        callers.spawn(call_on(Arc::clone(&calls), Arc::clone(tally)));
    }
    let duration = options.duration.or_else(|| options.calls.is_none().then_some(DURATION_DEFAULT));
    tokio::select! {
        () = progress(duration) => {}
        () = all_ended(&mut callers) => {}
        _ = signals.next() => {}
        never = memory::watch(&mut peak) => match never {},
    }
    let elapsed = begun.elapsed();
    let peak = peak.max(memory::resident().await);
    callers.shutdown().await;
    calls.runtime.shutdown(Duration::ZERO).await;

    let memory = at_rest.zip(peak).map(|(at_rest, peak)| peak.saturating_sub(at_rest));
    let figures = Figures::of(&calls.id, concurrency, elapsed, memory, &tallies);
    output::print(format, &figures)?;
    Ok(figures.exit_code())
}

/// What every caller calls.
struct Calls {
    runtime: Runtime,
    id: FunctionId,
    args: Vec<Value>,
    options: CallOptions,
    /// Calls that nobody has begun yet, where there is a bound.
    left: Option<AtomicU64>,
}

impl Calls {
    /// Takes a call to make, if one is left.
    fn take(&self) -> bool {
        let take =
            |left: &AtomicU64| left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        self.left.as_ref().is_none_or(|left| take(left).is_ok())
    }
}

/// How long a bench is unless the user says otherwise.
const DURATION_DEFAULT: Duration = Duration::from_secs(5);

/// How long a caller whom a full queue refused waits before it asks again.
const REFUSED_PAUSE: Duration = Duration::from_millis(10);

/// Waits until every caller has made its calls.
async fn all_ended(callers: &mut JoinSet<()>) {
    while callers.join_next().await.is_some() {}
}

/// Calls until no call is left, or it is aborted.
async fn call_on(calls: Arc<Calls>, tally: Arc<Mutex<Tally>>) {
    while calls.take() {
        let begun = Instant::now();
        let result = calls.runtime.call_json(calls.id.as_str(), calls.args.clone(), calls.options.clone()).await;
        let took = begun.elapsed();
        let refused = result.as_ref().is_err_and(|error| error.kind() == ErrorKind::RateLimited);
        tally.lock().unwrap_or_else(PoisonError::into_inner).note(took, result.map(drop));
        if refused {
            // Asking again at once would measure refusals and leave no processor to those who were let in.
            tokio::time::sleep(REFUSED_PAUSE).await;
        }
    }
}

/// Waits, and shows on a terminal how long there is to wait.
async fn progress(duration: Option<Duration>) {
    let Some(duration) = duration else { return std::future::pending().await };
    const STEP: Duration = Duration::from_millis(100);
    let begun = Instant::now();
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    // Draws on stderr, and only when that is a terminal.
    let bar = ProgressBar::new(millis(duration));
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {msg}") {
        bar.set_style(style);
    }
    while let Some(left) = duration.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
        bar.set_position(millis(begun.elapsed()));
        bar.set_message(format!("{} s left", left.as_secs() + 1));
        tokio::time::sleep(left.min(STEP)).await;
    }
    bar.finish_and_clear();
}
