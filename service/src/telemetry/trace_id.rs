//! The trace id: one name for everything that belongs to a request.

use opentelemetry::trace::TraceContextExt as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The id of the trace that the current span belongs to, 32 hexadecimal digits
/// (W3C Trace Context, section 3.2.2.3); none outside any span.
pub(crate) fn current() -> Option<String> {
    let context = tracing::Span::current().context();
    let span = context.span();
    let span_context = span.span_context();
    span_context
        .is_valid()
        .then(|| span_context.trace_id().to_string())
}
