//! W3C trace context, and the span of each call.
//!
//! A call has an id of its own in the trace of its caller: what its guest calls or requests in turn names it as its parent.
//! Spans are those of [`tracing`], at level DEBUG and with the target [`TARGET`]; where nobody listens they cost nothing.
//!
//! The header's form is that of <https://www.w3.org/TR/trace-context/#traceparent-header>.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use tracing::{Span, field::Empty};

use super::{CallError, CallOptions, Context};

/// The target of the spans of calls. Their fields are `function`, `request_id`, `trace_id`, `span_id`, `flags`, `parent_id`,
/// `queue_us`, `run_us` (microseconds) and `outcome`: `ok`, or the kind of the error.
pub const TARGET: &str = "greenroom::call";

/// Where one span is in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; not 0.
    pub trace_id: u128,
    /// The span; not 0.
    pub span_id: u64,
    /// Flags; bit 0 says that the trace is recorded.
    pub flags: u8,
}

/// A text that is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a traceparent is written `00-TRACE-SPAN-FLAGS`, of 32, 16 and 2 hexadecimal digits")]
pub struct InvalidTraceParent;

impl TraceParent {
    /// The first span of a new trace, which is recorded.
    pub fn root() -> Self {
        Self { trace_id: fastrand::u128(1..), span_id: fastrand::u64(1..), flags: 1 }
    }

    /// A new span of the same trace, whose parent this one is.
    #[must_use]
    pub fn child(self) -> Self {
        Self { span_id: fastrand::u64(1..), ..self }
    }
}

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let mut parts = text.split('-');
        let mut part = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits).ok_or(InvalidTraceParent)?;
            let is_hex = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if is_hex {
                u128::from_str_radix(part, 16).map_err(|_| InvalidTraceParent)
            } else {
                Err(InvalidTraceParent)
            }
        };
        let (version, trace_id, span_id, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        // Later versions may have more parts, and begin like this one; 255 is none.
        let more = parts.next().is_some();
        let (Ok(span_id), Ok(flags)) = (u64::try_from(span_id), u8::try_from(flags)) else {
            return Err(InvalidTraceParent);
        };
        match version == 0xff || trace_id == 0 || span_id == 0 || (version == 0 && more) {
            true => Err(InvalidTraceParent),
            false => Ok(Self { trace_id, span_id, flags }),
        }
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// The span of a call that begins, and its options with a context whose `traceparent` is the call itself. Without a trace
/// or anybody who records spans, neither is made.
pub(crate) fn begin(function: &impl fmt::Display, mut options: CallOptions) -> (Span, CallOptions) {
    let parent: Option<TraceParent> = options.context.traceparent.as_deref().and_then(|text| text.parse().ok());
    let recorded = tracing::span_enabled!(target: TARGET, tracing::Level::DEBUG);
    if parent.is_none() && !recorded {
        return (Span::none(), options);
    }
    let own = parent.map_or_else(TraceParent::root, TraceParent::child);
    let span = tracing::debug_span!(
        target: TARGET,
        "call",
        %function,
        request_id = options.context.request_id,
        trace_id = format_args!("{:032x}", own.trace_id),
        span_id = format_args!("{:016x}", own.span_id),
        flags = own.flags,
        parent_id = parent.map(|parent| tracing::field::display(format!("{:016x}", parent.span_id))),
        queue_us = Empty,
        run_us = Empty,
        outcome = Empty,
    );
    let context = Context { traceparent: Some(own.to_string()), ..Context::clone(&options.context) };
    options.context = Arc::new(context);
    (span, options)
}

/// A call is started by a worker, and has waited this long.
pub(crate) fn started(span: &Span, waited: Duration) {
    if !span.is_none() {
        span.record("queue_us", micros(waited));
    }
}

/// A call is answered; `ran` is how long it ran, if it did.
pub(crate) fn ended(span: &Span, ran: Option<Duration>, outcome: Result<(), &CallError>) {
    if !span.is_none() {
        span.record("outcome", outcome.map_or_else(|error| error.kind().name(), |()| "ok"));
        if let Some(ran) = ran {
            span.record("run_us", micros(ran));
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_as_it_is_written() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent: TraceParent = text.parse().unwrap();
        assert_eq!(parent.to_string(), text);
        let child = parent.child();
        assert_eq!((child.trace_id, child.flags), (parent.trace_id, 1));
        assert_ne!(child.span_id, parent.span_id);
        // A later version may say more.
        assert_eq!(format!("01{}-x", &text[2..]).parse(), Ok(parent));
    }

    #[test]
    fn what_is_no_traceparent_is_refused() {
        for text in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(InvalidTraceParent), "{text}");
        }
    }
}
