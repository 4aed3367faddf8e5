//! One span for each call, in the trace of its caller.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use greenroom_actors::{
    CallOptions, Context, ErrorKind,
    call::trace::{TARGET, TraceParent},
    spec::PoolSpec,
};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::tree::{Gate, lab, within};

type Fields = BTreeMap<&'static str, String>;

/// The spans of calls that began on this thread, in order, with all their fields.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Fields>>>);

struct Recorder<'a>(&'a mut Fields);

impl Visit for Recorder<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        let (mut fields, mut spans) = (Fields::new(), self.0.lock().unwrap());
        attributes.record(&mut Recorder(&mut fields));
        spans.push(fields);
        span::Id::from_u64(spans.len() as u64)
    }

    fn record(&self, id: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Recorder(&mut self.0.lock().unwrap()[id.into_u64() as usize - 1]));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn a_call_is_a_span_with_its_waits_and_its_outcome() {
    let spans = Spans::default();
    let _listening = tracing::subscriber::set_default(spans.clone());
    // As long as there is but one subscriber, tracing asks the thread that first comes by a place in the code whether anybody
    // listens there, and believes it for all threads: that may be another test's.
    let _second = tracing::Dispatch::new(Spans::default());
    let runtime = Gate::new()
        .builder("spans")
        .function(lab("s:add", "add", PoolSpec::lazy(1)))
        .function(within(lab("s:spin", "spin", PoolSpec::lazy(1)), 20))
        .start()
        .await
        .unwrap();
    let parent: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().unwrap();
    let context =
        Context { request_id: Some("r-1".to_owned()), traceparent: Some(parent.to_string()), ..Context::default() };
    let traced = CallOptions::default().with_context(context);
    assert_eq!(runtime.call_with::<i32>("s:add", (1, 2), traced).await.unwrap(), 3);
    assert_eq!(runtime.call::<()>("s:spin", ()).await.unwrap_err().kind(), ErrorKind::Timeout);

    let spans = spans.0.lock().unwrap().clone();
    assert_eq!(spans.len(), 2, "{spans:?}");
    let fields = |span: &Fields, names: [&str; 5]| names.map(|name| span.get(name).cloned().unwrap_or_default());
    let names = ["function", "request_id", "trace_id", "parent_id", "outcome"];
    let expected = ["s:add", "r-1", "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "ok"];
    assert_eq!(fields(&spans[0], names), expected);
    let [function, _, trace, parent, outcome] = fields(&spans[1], names);
    assert_eq!([&*function, &*parent, &*outcome], ["s:spin", "", "timeout"]);
    assert!(trace.len() == 32 && trace != expected[2], "a trace of its own: {trace}");
    for span in &spans {
        assert_eq!(span["span_id"].len(), 16);
        assert!(span["queue_us"].parse::<u64>().is_ok() && span["run_us"].parse::<u64>().is_ok(), "{span:?}");
    }
    assert!(spans[1]["run_us"].parse::<u64>().unwrap() >= 20_000, "{:?}", spans[1]);
}
