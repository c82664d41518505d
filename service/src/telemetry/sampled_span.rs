//! Spans that are only made if their trace is exported.

use opentelemetry::trace::TraceContextExt as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::traces::is_exporting;

/// Whether a span that begins now would be exported.
pub(crate) fn is_current_span_sampled() -> bool {
    is_exporting() && (tracing::Span::current().context().span().span_context()).is_sampled()
}

/// Like `tracing::info_span!`, but there is no span if nobody would see it.
macro_rules! sampled_span {
    ($($span:tt)*) => {
        if $crate::telemetry::sampled_span::is_current_span_sampled() {
            tracing::info_span!($($span)*)
        } else {
            tracing::Span::none()
        }
    };
}
pub(crate) use sampled_span;
