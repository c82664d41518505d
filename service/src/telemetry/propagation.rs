//! Trace contexts in headers: how a trace goes on from one process to the next.
//!
//! Two formats are read and written: W3C Trace Context (`traceparent`, `tracestate`)
//! and Jaeger's own `uber-trace-id`, which older clients send. If a request has both,
//! W3C's counts. An id that a client sends is taken as it is, so the `trace_id` of its
//! log is the one of ours.
//!
//! Run it: `tests/process/trace_propagation.rs`.

use std::sync::LazyLock;

use opentelemetry::Context;
use opentelemetry::propagation::{
    Extractor, Injector, TextMapCompositePropagator, TextMapPropagator,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// In the order in which they are read: the last one that finds something counts.
static FORMATS: LazyLock<TextMapCompositePropagator> = LazyLock::new(|| {
    TextMapCompositePropagator::new(vec![
        jaeger_propagator(),
        Box::new(TraceContextPropagator::new()),
    ])
});

#[expect(
    deprecated,
    reason = "Jaeger has given its format up for W3C's; clients that have not are why this is here"
)]
fn jaeger_propagator() -> Box<dyn TextMapPropagator + Send + Sync> {
    Box::new(opentelemetry_jaeger_propagator::Propagator::new())
}

/// The context that the caller sent, or none of anybody.
pub(crate) fn extract(headers: &dyn Extractor) -> Context {
    let empty = Context::new();
    // Most requests have neither, and are spared the search.
    if headers.get("traceparent").is_none() && headers.get("uber-trace-id").is_none() {
        return empty;
    }
    FORMATS.extract_with_context(&empty, headers)
}

/// Tells whoever is called now which span calls.
pub(crate) fn inject(headers: &mut dyn Injector) {
    FORMATS.inject_context(&Span::current().context(), headers);
}
