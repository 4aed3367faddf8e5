//! Logs: which lines, in which form, to stderr. What is logged is for those who log.

use anyhow::anyhow;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
#[cfg(feature = "otlp")]
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{EnvFilter, Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};

use super::{
    failure::Failure,
    options::{LogFormat, OutputOptions},
    output::stderr_has_colours,
};
#[cfg(feature = "otlp")]
use crate::{CallError, ErrorKind};

/// Lines that wait to be written, at most.
const LINES_MAX: usize = 16_384;

/// What must be held until the end, so that nothing of what was logged is lost.
#[must_use]
pub(super) struct Logging {
    /// Writes what is still to be written.
    _lines: WorkerGuard,
    #[cfg(feature = "otlp")]
    _exporting: Option<crate::otlp::Exporting>,
}

/// Logs to stderr from now on; `default` is the filter when none is given. Exports spans where the options say so.
pub(super) fn start(options: &OutputOptions, default: &str) -> Result<Logging, Failure> {
    let filter = filter(options.log.as_deref().unwrap_or(default))?;
    // Whoever reads the lines may be slow, or not read at all: nobody who logs waits for that. What does not fit into the
    // buffer is lost.
    let (stderr, guard) = NonBlockingBuilder::default().buffered_lines_limit(LINES_MAX).finish(std::io::stderr());
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr);
    let lines = match options.log_format {
        LogFormat::Pretty => lines.with_ansi(stderr_has_colours()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_ansi(false).boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter));
    #[cfg(feature = "otlp")]
    let (subscriber, logging) = {
        // An empty variable is one that is not set, as for most programs.
        let collector = options.otlp.as_deref().filter(|url| !url.is_empty());
        let export = collector.map(crate::otlp::OtlpLayer::to).transpose();
        let export = export.map_err(|error| CallError::new(ErrorKind::Invalid, format!("--otlp: {error}")))?;
        let (layer, exporting) = export.unzip();
        let layer = layer.map(|layer| layer.with_filter(filter_fn(crate::otlp::is_exported)));
        (subscriber.with(layer), Logging { _lines: guard, _exporting: exporting })
    };
    #[cfg(not(feature = "otlp"))]
    let logging = Logging { _lines: guard };
    // In a process that logs already, this one's logs go where the others go.
    drop(subscriber.try_init());
    Ok(logging)
}

fn filter(text: &str) -> Result<EnvFilter, Failure> {
    // A bare level is about Greenroom: at `debug`, the libraries below it would drown what it says.
    let text = match text.trim().parse::<LevelFilter>() {
        Ok(level) if level > LevelFilter::WARN => format!("warn,greenroom={level}"),
        Ok(level) => level.to_string(),
        Err(_) => text.to_owned(),
    };
    EnvFilter::builder().parse(&text).map_err(|error| {
        Failure::Other(anyhow!(
            "--log `{text}` is no filter ({error}); write a level (error, warn, info, debug, trace, off) or, for \
             example, `warn,greenroom::guest=info`"
        ))
    })
}
