//! Collects what guests write, and what the network refuses them, as a subscriber of the log sees it.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// The lines of guests that were logged on this thread: function, stream and request, and text.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<(String, String)>>>);

impl Log {
    pub fn during<R>(&self, run: impl FnOnce() -> R) -> R {
        tracing::subscriber::with_default(self.clone(), run)
    }

    pub fn lines(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap().clone()
    }
}

#[derive(Default)]
struct Line {
    function: String,
    stream: String,
    request: String,
    message: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        match field.name() {
            "function" => self.function = value,
            "stream" => self.stream = value.trim_matches('"').to_owned(),
            "request_id" => self.request = format!(" of {}", value.trim_matches('"')),
            "message" => self.message = value,
            _ => {}
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "greenroom::guest" || metadata.target().starts_with("greenroom_actors::wasm::network")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let source = format!("{} {}{}", line.function, line.stream, line.request);
        self.0.lock().unwrap().push((source, line.message));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
