//! What a bench counted, and how it is told: calls per second, latencies, errors by kind.

use std::{
    fmt,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use greenroom_actors::spec::FunctionId;
use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};

use crate::{
    CallError, ErrorKind,
    cli::output::{counted, harmless},
};

/// The longest latency that is told apart from longer ones, in nanoseconds: an hour.
const LATENCY_MAX: u64 = 3_600_000_000_000;

/// Significant digits of latencies.
const DIGITS: u8 = 3;

/// What some of the callers noted.
#[derive(Default)]
pub(super) struct Tally {
    /// Latencies of calls with a result, in nanoseconds; made with the first.
    latencies: Option<Histogram<u64>>,
    errors: [u64; ErrorKind::ALL.len()],
    /// What the first error said.
    first_error: Option<CallError>,
}

impl Tally {
    /// Notes a call.
    pub(super) fn note(&mut self, took: Duration, result: Result<(), CallError>) {
        match result {
            Ok(()) => {
                if self.latencies.is_none() {
                    self.latencies = histogram();
                }
                if let Some(latencies) = &mut self.latencies {
                    latencies.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
                }
            }
            Err(error) => {
                self.errors[error.kind() as usize] += 1;
                self.first_error.get_or_insert(error);
            }
        }
    }
}

fn histogram() -> Option<Histogram<u64>> {
    // Only bounds that contradict each other are refused.
    Histogram::new_with_max(LATENCY_MAX, DIGITS).ok()
}

/// The figures of a bench. Displays for people, serialises for programs.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    function: String,
    concurrency: usize,
    /// How long was called.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    elapsed: Duration,
    /// Calls with a result.
    calls: u64,
    calls_per_second: f64,
    /// Resident memory at most beyond that before the first call, in bytes; `None` where the system does not say.
    memory_bytes: Option<u64>,
    /// `None` when no call had a result.
    latency: Option<Latency>,
    /// Errors that came, by kind.
    #[serde(serialize_with = "by_kind")]
    errors: Vec<(ErrorKind, u64)>,
    first_error: Option<CallError>,
}

/// Latencies in microseconds.
#[derive(Debug, Serialize)]
struct Latency {
    mean_us: f64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    #[serde(rename = "p99.9_us")]
    p999_us: f64,
    max_us: f64,
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

fn by_kind<S: Serializer>(errors: &[(ErrorKind, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(errors.iter().map(|(kind, count)| (kind.name(), count)))
}

impl Figures {
    /// Adds up what the callers noted.
    pub(super) fn of(
        function: &FunctionId,
        concurrency: usize,
        elapsed: Duration,
        memory_bytes: Option<u64>,
        tallies: &[Arc<Mutex<Tally>>],
    ) -> Self {
        let mut all: Option<Histogram<u64>> = None;
        let mut errors = ErrorKind::ALL.map(|kind| (kind, 0));
        let mut first_error = None;
        for tally in tallies {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            all = match (all, tally.latencies.take()) {
                (Some(mut all), Some(more)) => {
                    // Both have the same bounds, so that nothing is refused.
                    all += more;
                    Some(all)
                }
                (all, more) => all.or(more),
            };
            for (sum, count) in errors.iter_mut().zip(tally.errors) {
                sum.1 += count;
            }
            first_error = first_error.or(tally.first_error.take());
        }
        let calls = all.as_ref().map_or(0, Histogram::len);
        Self {
            function: function.to_string(),
            concurrency,
            elapsed,
            calls,
            calls_per_second: calls as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE),
            memory_bytes,
            latency: all.as_ref().map(Latency::of),
            errors: errors.into_iter().filter(|(_, count)| *count > 0).collect(),
            first_error,
        }
    }

    /// 0 when any call had a result; that of the most frequent error when all failed; that of `timeout` when none had an
    /// end.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self.errors.iter().max_by_key(|(_, count)| count) {
            Some((kind, _)) if self.calls == 0 => ExitCode::from(kind.exit_code()),
            None if self.calls == 0 => ExitCode::from(ErrorKind::Timeout.exit_code()),
            _ => ExitCode::SUCCESS,
        }
    }
}

impl Latency {
    fn of(histogram: &Histogram<u64>) -> Self {
        let micros = |nanos: u64| nanos as f64 / 1000.0;
        let at = |quantile| micros(histogram.value_at_quantile(quantile));
        Self {
            mean_us: histogram.mean() / 1000.0,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: micros(histogram.max()),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let callers = counted(self.concurrency, "caller");
        writeln!(f, "{}: {callers} for {:.1} s", self.function, self.elapsed.as_secs_f64())?;
        writeln!(f, "\n  {:<12}{:>14}", "calls", self.calls)?;
        writeln!(f, "  {:<12}{:>14.1}", "calls/s", self.calls_per_second)?;
        if let Some(latency) = &self.latency {
            writeln!(f, "\nlatency")?;
            let rows = [
                ("mean", latency.mean_us),
                ("p50", latency.p50_us),
                ("p90", latency.p90_us),
                ("p99", latency.p99_us),
                ("p99.9", latency.p999_us),
                ("max", latency.max_us),
            ];
            for (name, micros) in rows {
                writeln!(f, "  {name:<12}{:>14}", time(micros))?;
            }
        }
        if let Some(bytes) = self.memory_bytes {
            let kib = bytes as f64 / 1024.0;
            writeln!(f, "\nmemory")?;
            writeln!(f, "  {:<12}{:>14}", "in all", format!("{:.1} MiB", kib / 1024.0))?;
            writeln!(f, "  {:<12}{:>14}", "a caller", format!("{:.1} KiB", kib / self.concurrency as f64))?;
        }
        if !self.errors.is_empty() {
            writeln!(f, "\nerrors")?;
            for (kind, count) in &self.errors {
                writeln!(f, "  {:<18}{count:>8}", kind.name())?;
            }
        }
        if let Some(error) = &self.first_error {
            writeln!(f, "  for example: {}", harmless(error.message()))?;
        }
        Ok(())
    }
}

/// `12.3 µs`, `4.56 ms`, `7.89 s`: three digits, as many as there are.
fn time(micros: f64) -> String {
    let (value, unit) = match micros {
        small if small < 1e3 => (small, "µs"),
        middling if middling < 1e6 => (middling / 1e3, "ms"),
        large => (large / 1e6, "s"),
    };
    match value {
        small if small < 10.0 => format!("{value:.2} {unit}"),
        middling if middling < 100.0 => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(tallies: impl IntoIterator<Item = Tally>) -> Figures {
        let tallies: Vec<_> = tallies.into_iter().map(|tally| Arc::new(Mutex::new(tally))).collect();
        Figures::of(&"t:f".parse().unwrap(), tallies.len(), Duration::from_secs(2), Some(3 << 20), &tallies)
    }

    fn error(kind: ErrorKind) -> Result<(), CallError> {
        Err(CallError::new(kind, "no"))
    }

    #[test]
    fn the_notes_of_all_callers_add_up() {
        let mut one = Tally::default();
        let mut other = Tally::default();
        for micros in 1..=99 {
            one.note(Duration::from_micros(micros), Ok(()));
        }
        other.note(Duration::from_millis(7), Ok(()));
        other.note(Duration::from_secs(9), error(ErrorKind::Timeout));
        let found = figures([one, Tally::default(), other]);
        assert_eq!((found.calls, found.calls_per_second), (100, 50.0));
        let latency = found.latency.as_ref().unwrap();
        assert!((latency.p50_us - 50.0).abs() < 0.1, "{latency:?}");
        assert!((latency.max_us - 7000.0).abs() < 7.1, "{latency:?}");
        assert_eq!(found.errors, [(ErrorKind::Timeout, 1)]);
        assert_eq!(found.exit_code(), ExitCode::SUCCESS);
    }

    #[test]
    fn a_bench_without_results_fails_as_most_of_its_calls_did() {
        let mut tally = Tally::default();
        for kind in [ErrorKind::Timeout, ErrorKind::Internal, ErrorKind::Timeout] {
            tally.note(Duration::ZERO, error(kind));
        }
        assert_eq!(figures([tally]).exit_code(), ExitCode::from(ErrorKind::Timeout.exit_code()));
    }

    #[test]
    fn memory_is_shown_in_all_and_for_each_caller() {
        let shown = figures([Tally::default(), Tally::default()]).to_string();
        assert!(shown.contains("in all             3.0 MiB"), "{shown}");
        assert!(shown.contains("a caller        1536.0 KiB"), "{shown}");
    }

    #[test]
    fn times_have_three_digits() {
        let shown = [0.5, 12.345, 999.4, 1234.0, 56_789.0, 2_500_000.0].map(time);
        assert_eq!(shown, ["0.50 µs", "12.3 µs", "999 µs", "1.23 ms", "56.8 ms", "2.50 s"]);
    }
}
