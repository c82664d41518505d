//! Traces: where the time of one request went.
//!
//! A span is a `tracing` span; `tracing-opentelemetry` turns it into an OpenTelemetry
//! one. Spans that end are queued and sent to the collector in batches by a thread of
//! their own (OTLP over gRPC). The queue is bounded: when the collector is away or
//! slow it fills up and further spans are dropped, and no request ever waits for it.
//!
//! Spans cost CPU. The one of a request or a job is always made, since the trace id
//! comes from it; those inside of it only if the trace is exported ([`super::sampled_span`]).
//! Of the events inside a span only warnings and errors go along.
//!
//! See it break: `hanging_collector_does_not_delay_requests` in `tests/process/traces.rs`.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, TracerProviderBuilder,
};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::exporter::LogOnceExporter;
use super::sampler::LinkedParentSampler;
use crate::config::TelemetryConfig;

/// Spans that may wait for the collector; one is about a kilobyte.
const QUEUE_CAPACITY: usize = 8192;
const BATCH_SIZE: usize = 512;
/// How long a span waits at most for its batch to fill up.
const BATCH_DELAY: Duration = Duration::from_secs(1);

/// There is one if spans are exported.
static EXPORTING_PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Turns spans into traces.
///
/// # Errors
/// Returns an error if the collector's URL can't be used.
pub(super) fn layer<S>(config: &TelemetryConfig) -> anyhow::Result<impl Layer<S>>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let provider = if config.otlp_endpoint.is_empty() {
        // For the ids alone. What a caller has decided is passed on.
        let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        SdkTracerProvider::builder().with_sampler(sampler).build()
    } else {
        let provider = exporting_provider_builder(config)?.build();
        EXPORTING_PROVIDER.get_or_init(|| provider.clone());
        provider
    };
    Ok(tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("orderly"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_error_events_to_status(false)
        .with_filter(filter_fn(is_traced).with_max_level_hint(Level::INFO)))
}

/// Our own spans, and our own complaints inside of them. The libraries' would be a
/// hundred times as many.
fn is_traced(metadata: &Metadata<'_>) -> bool {
    let max_level = match metadata.is_span() {
        true => Level::INFO,
        false => Level::WARN,
    };
    *metadata.level() <= max_level && metadata.target().starts_with("orderly")
}

fn exporting_provider_builder(config: &TelemetryConfig) -> anyhow::Result<TracerProviderBuilder> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&config.otlp_endpoint)
        .with_timeout(config.export_timeout)
        .build()
        .context("ORDERLY__TELEMETRY__OTLP_ENDPOINT can't be used")?;
    let batch_config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_CAPACITY)
        .with_max_export_batch_size(BATCH_SIZE)
        .with_scheduled_delay(BATCH_DELAY)
        .build();
    let processor = BatchSpanProcessor::builder(LogOnceExporter::new(exporter))
        .with_batch_config(batch_config)
        .build();
    let resource = Resource::builder_empty()
        .with_service_name("orderly")
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()),
        ])
        .build();
    Ok(SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(LinkedParentSampler::with_ratio(config.sampling_ratio))
        .with_span_processor(processor))
}

/// Whether there is a collector to export spans to.
pub(super) fn is_exporting() -> bool {
    EXPORTING_PROVIDER.get().is_some()
}

/// Exports what still waits, for no longer than `limit`, and nothing after that. What
/// could not be exported is lost, which is worth a line and no failure.
pub(crate) async fn shutdown(limit: Duration) {
    let Some(provider) = EXPORTING_PROVIDER.get() else {
        return;
    };
    // It blocks, and hangs for as long as a collector does.
    let flush = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(limit));
    match flush.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the last spans were not exported"),
        Err(error) => tracing::warn!(%error, "the last spans were not exported"),
    }
}
