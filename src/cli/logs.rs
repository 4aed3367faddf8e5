//! Logs: which lines, in which form, to stderr. What is logged is for those who log.

use anyhow::anyhow;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use super::{
    failure::Failure,
    options::{LogFormat, OutputOptions},
    output::stderr_has_colours,
};

/// Logs to stderr from now on; `default` is the filter when none is given.
pub(super) fn start(options: &OutputOptions, default: &str) -> Result<(), Failure> {
    let filter = filter(options.log.as_deref().unwrap_or(default))?;
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    let started = match options.log_format {
        LogFormat::Pretty => builder.with_ansi(stderr_has_colours()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_ansi(false).try_init(),
    };
    // In a process that logs already, this one's logs go where the others go.
    started.or(Ok(()))
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
