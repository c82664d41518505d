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

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanLimits,
    TracerProviderBuilder,
};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::exporter::LogOnceExporter;
use super::otlp::OtlpExporter;
use super::sampler::sampler;
use crate::config::TelemetryConfig;

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
    let provider = if config.otlp_endpoint.is_empty() || !config.enabled {
        // For the ids alone. What a caller has decided is passed on.
        let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        provider_builder().with_sampler(sampler).build()
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

/// Everything that the SDK would otherwise read from the environment is set here and below.
fn provider_builder() -> TracerProviderBuilder {
    SdkTracerProvider::builder()
        .with_span_limits(SpanLimits::default())
        .with_resource(Resource::builder_empty().build())
}

fn exporting_provider_builder(config: &TelemetryConfig) -> anyhow::Result<TracerProviderBuilder> {
    let batch_config = BatchConfigBuilder::default()
        .with_max_queue_size(config.queue_size)
        .with_max_export_batch_size(config.batch_size)
        .with_scheduled_delay(config.batch_delay)
        .build();
    let exporter = LogOnceExporter::new(OtlpExporter::new(config)?);
    let processor = BatchSpanProcessor::builder(exporter)
        .with_batch_config(batch_config)
        .build();
    Ok(provider_builder()
        .with_resource(resource(config))
        .with_sampler(sampler(config))
        .with_span_processor(processor))
}

/// Attributes of the settings win over our own, except that `telemetry.service_name` wins over `service.name`.
fn resource(config: &TelemetryConfig) -> Resource {
    let own = [
        ("service.name", "orderly".to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", uuid::Uuid::new_v4().to_string()),
    ];
    let own = own.map(|(key, value)| KeyValue::new(key, value));
    let given = config.resource_attributes().into_iter();
    let given = given.map(|(key, value)| KeyValue::new(key, value));
    let resource = Resource::builder_empty()
        .with_attributes(own)
        .with_attributes(given);
    match config.service_name.as_str() {
        "" => resource.build(),
        name => resource.with_service_name(name.to_owned()).build(),
    }
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
