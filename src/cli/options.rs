//! Options that several commands have, and the forms of their values.

use std::{path::PathBuf, time::Duration};

use anstream::ColorChoice;
use clap::{Args, ValueEnum, ValueHint};
use greenroom_actors::wasm::CacheOptions;

use crate::registry::{self, LoadOptions};

/// The longest duration: a year, as in registry files.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// How output and logs look. Every command has these.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputOptions {
    /// How results and errors are printed
    #[arg(long, global = true, value_enum, default_value_t, hide_possible_values = true, value_name = "text|json")]
    pub(super) format: Format,
    /// When to use colours
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        value_name = "auto|always|never"
    )]
    color: ColorWhen,
    /// What to log to stderr: a level (error, warn, info, debug, trace, off), or a filter such as
    /// `warn,greenroom::guest=info`. Default is `info` for `run`, and `warn` for the rest; `call` shows what guests print too
    #[arg(long, global = true, value_name = "FILTER")]
    pub(super) log: Option<String>,
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value_t, hide_possible_values = true, value_name = "pretty|json")]
    pub(super) log_format: LogFormat,
    /// An OpenTelemetry collector that spans of calls and requests are sent to, by OTLP over HTTP: http://HOST:PORT
    #[cfg(feature = "otlp")]
    #[arg(long, global = true, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub(super) otlp: Option<String>,
}

/// How results and errors are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum ColorWhen {
    #[default]
    Auto,
    Always,
    Never,
}

impl OutputOptions {
    /// Makes what is printed from now on follow the options.
    pub(super) fn apply(&self) {
        let choice = match self.color {
            ColorWhen::Auto => return,
            ColorWhen::Always => ColorChoice::Always,
            ColorWhen::Never => ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// How a registry is loaded and compiled.
#[derive(Debug, Args)]
#[command(next_help_heading = "Registry")]
pub(super) struct RegistryOptions {
    /// Leave entries of unknown kinds inert, with a warning, in place of an error
    #[arg(long)]
    allow_unknown_kinds: bool,
    /// Where compiled code is kept between runs, at most 1 GiB of it. Nobody else may be able to write there. Default is
    /// the folder `greenroom` in the user's cache folder
    #[arg(long, value_name = "DIR", env = "GREENROOM_CACHE_DIR", hide_env_values = true, value_hint = ValueHint::DirPath)]
    cache_dir: Option<PathBuf>,
    /// Compile everything anew, and keep nothing
    #[arg(long)]
    no_cache: bool,
}

impl RegistryOptions {
    pub(super) fn load(&self) -> LoadOptions {
        LoadOptions { allow_unknown_kinds: self.allow_unknown_kinds }
    }

    pub(super) fn cache(&self) -> CacheOptions {
        if self.no_cache {
            return CacheOptions::Disabled;
        }
        // An empty variable is one that is not set, as for most programs.
        let given = self.cache_dir.clone().filter(|path| !path.as_os_str().is_empty());
        match given.or_else(|| Some(dirs::cache_dir()?.join("greenroom"))) {
            Some(path) => CacheOptions::Directory { path, max_bytes: CacheOptions::MAX_BYTES_DEFAULT },
            None => {
                tracing::info!("this user has no cache folder: compiled code is not kept; `--cache-dir` names a place");
                CacheOptions::Disabled
            }
        }
    }
}

/// Reads `1m30s`, `2s`, `500ms`, or a number of seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let bare = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let found = if bare { registry::duration_parts(&format!("{text}s")) } else { registry::duration_parts(text) };
    match found {
        Ok(found) if found > DURATION_MAX => Err("a duration is at most 365 days".to_owned()),
        Ok(found) => Ok(found),
        Err(why) => Err(format!("{why}; write seconds, or `500ms`, `2s`, `1m30s`")),
    }
}

/// [`duration`], but not 0.
pub(super) fn some_time(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|found| if found.is_zero() { Err("it must be more than 0".to_owned()) } else { Ok(found) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_unless_they_have_a_unit() {
        let millis = |text| duration(text).map(|time| time.as_millis());
        assert_eq!(millis("10"), Ok(10_000));
        assert_eq!(millis("0.5"), Ok(500));
        assert_eq!(millis("500ms"), Ok(500));
        assert_eq!(millis("1m30s"), Ok(90_000));
        for text in ["", "-1", "soon", "5d", "400000000", "9999h", "1.2.3"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(some_time("0").is_err());
    }
}
