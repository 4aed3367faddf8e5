//! Spans of calls and requests, sent to an OpenTelemetry collector by OTLP over HTTP. Needs the feature `otlp`.
//!
//! Spans bring their own ids, which guests hand on in `traceparent`; this file makes them what collectors read. Batches are
//! sent by a thread of their own, and dropped when the collector does not keep up.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use greenroom_actors::call::trace::TARGET;
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId, Value,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanExporter as Export, SpanLinks, SpanProcessor},
};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
use tracing::{
    Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use crate::http::SPAN_TARGET;

/// How long the end of an export waits for what is not sent yet.
const LAST_SPANS_MAX: Duration = Duration::from_secs(5);

/// How long a collector may take for one batch.
const SEND_MAX: Duration = Duration::from_secs(10);

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// The address is not one that spans can be sent to.
    #[error("`{0}` is no address of a collector; write `http://HOST:PORT`, such as http://127.0.0.1:4318")]
    Address(String),
    /// The exporter refuses its settings.
    #[error("spans cannot be exported: {0}")]
    Exporter(String),
}

/// A layer for a [`tracing`] subscriber that exports the spans of calls and requests.
///
/// `service.name` and other attributes of the resource come from `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`; the
/// name's default is `greenroom`.
///
/// ```no_run
/// use tracing_subscriber::{Layer, filter::filter_fn, layer::SubscriberExt};
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let (spans, exporting) = greenroom::otlp::OtlpLayer::to("http://127.0.0.1:4318")?;
/// let subscriber = tracing_subscriber::registry().with(spans.with_filter(filter_fn(greenroom::otlp::is_exported)));
/// tracing::subscriber::set_global_default(subscriber)?;
/// // …
/// drop(exporting);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OtlpLayer {
    processor: Arc<BatchSpanProcessor>,
    scope: InstrumentationScope,
}

/// An export under way. What is still to be sent goes when it is dropped, within 5 s; nothing is exported after that.
#[derive(Debug)]
#[must_use = "nothing is exported once it is dropped"]
pub struct Exporting(Arc<BatchSpanProcessor>);

/// Whether a span is one of those that are exported.
pub fn is_exported(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && [TARGET, SPAN_TARGET].contains(&metadata.target())
}

impl OtlpLayer {
    /// Exports to a collector, whose address is `http://HOST:PORT` or `https://HOST:PORT`; `/v1/traces` is added unless it
    /// ends with that.
    ///
    /// # Errors
    /// When spans cannot be sent there. A collector that does not answer is none: it is tried again for each batch.
    pub fn to(collector: &str) -> Result<(Self, Exporting), OtlpError> {
        let has_scheme = |uri: http::Uri| matches!(uri.scheme_str(), Some("http" | "https"));
        let is_address = collector.parse().is_ok_and(has_scheme);
        if !is_address {
            return Err(OtlpError::Address(collector.to_owned()));
        }
        let base = collector.trim_end_matches('/');
        let endpoint = if base.ends_with("/v1/traces") { base.to_owned() } else { format!("{base}/v1/traces") };
        // The client has a runtime of its own, which cannot be made on a thread of another.
        let client = std::thread::spawn(client).join();
        let client = client.unwrap_or_else(|_| Err("its thread panicked".to_owned())).map_err(OtlpError::Exporter)?;
        let exporter = SpanExporter::builder().with_http().with_http_client(client);
        let exporter = exporter.with_endpoint(endpoint).with_protocol(Protocol::HttpBinary);
        Ok(Self::by(exporter.build().map_err(|error| OtlpError::Exporter(error.to_string()))?))
    }

    fn by(exporter: impl Export + 'static) -> (Self, Exporting) {
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("greenroom");
        }
        processor.set_resource(&resource.build());
        let scope = InstrumentationScope::builder("greenroom").with_version(env!("CARGO_PKG_VERSION")).build();
        let processor = Arc::new(processor);
        (Self { processor: processor.clone(), scope }, Exporting(processor))
    }
}

/// A client that trusts whom the system trusts.
fn client() -> Result<reqwest::blocking::Client, String> {
    let mut roots = RootCertStore::empty();
    // Those that cannot be read are as good as not trusted.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = reqwest::blocking::Client::builder().tls_backend_preconfigured(tls).timeout(SEND_MAX);
    client.build().map_err(|error| error.to_string())
}

impl Drop for Exporting {
    fn drop(&mut self) {
        // A collector that is not there has been said in the log by the exporter.
        drop(self.0.shutdown_with_timeout(LAST_SPANS_MAX));
    }
}

/// A span that has not ended.
struct Open {
    start: SystemTime,
    fields: Vec<KeyValue>,
}

impl Open {
    fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.fields.iter().position(|field| field.key.as_str() == name)?;
        Some(self.fields.swap_remove(index).value)
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.take(name).map(|value| value.to_string())
    }
}

impl Visit for Open {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.push(KeyValue::new(field.name(), value.to_owned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push(KeyValue::new(field.name(), i64::try_from(value).unwrap_or(i64::MAX)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push(KeyValue::new(field.name(), value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.fields.push(KeyValue::new(field.name(), format!("{value:?}")));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for OtlpLayer {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let Some(span) = context.span(id).filter(|span| is_exported(span.metadata())) else { return };
        let mut open = Open { start: SystemTime::now(), fields: Vec::new() };
        attributes.record(&mut open);
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            values.record(open);
        }
    }

    fn on_close(&self, id: span::Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        if let Some(data) = ended(open, span.metadata().target(), &self.scope) {
            self.processor.on_end(data);
        }
    }
}

/// What collectors read of a span; `None` for one that its trace does not want recorded.
fn ended(mut open: Open, target: &str, scope: &InstrumentationScope) -> Option<SpanData> {
    let trace_id = TraceId::from_hex(&open.text("trace_id")?).ok()?;
    let span_id = SpanId::from_hex(&open.text("span_id")?).ok()?;
    let parent_span_id = open.text("parent_id").and_then(|id| SpanId::from_hex(&id).ok()).unwrap_or(SpanId::INVALID);
    let flags = open.text("flags").and_then(|flags| flags.parse().ok()).map_or(TraceFlags::SAMPLED, TraceFlags::new);
    if !flags.is_sampled() {
        return None;
    }
    let is_request = target == SPAN_TARGET;
    let value = |name: &str| open.fields.iter().find(|field| field.key.as_str() == name).map(|field| &field.value);
    let shown = |name: &str| value(name).map(ToString::to_string).unwrap_or_default();
    let failed = match is_request {
        true => shown("http.response.status_code").starts_with('5').then(String::new),
        false => Some(shown("outcome")).filter(|outcome| outcome != "ok"),
    };
    let name = match is_request {
        true => format!("{} {}", shown("http.request.method"), shown("http.route")),
        false => format!("call {}", shown("function")),
    };
    Some(SpanData {
        span_context: SpanContext::new(trace_id, span_id, flags, false, TraceState::NONE),
        parent_span_id,
        parent_span_is_remote: is_request,
        span_kind: if is_request { SpanKind::Server } else { SpanKind::Internal },
        name: name.into(),
        start_time: open.start,
        end_time: SystemTime::now(),
        attributes: open.fields,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: failed.map_or(Status::Unset, Status::error),
        instrumentation_scope: scope.clone(),
    })
}
