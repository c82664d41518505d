//! The trace id and span id of a span: for responses and log lines, and for rows that cause work later.
//!
//! A job runs long after the request that caused it has been answered, often in
//! another process, so it is no child of it: it begins a trace of its own, with a
//! *link* to the span that caused it. For that the row of the job keeps the
//! `traceparent` of that span (W3C Trace Context, section 3.2).

use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use tracing::{Event, Span, dispatcher};
use tracing_opentelemetry::{OpenTelemetrySpanExt as _, get_otel_context};

/// The id of the trace that the current span belongs to, 32 hexadecimal digits
/// (W3C Trace Context, section 3.2.2.3); none outside any span.
pub(crate) fn current_trace_id() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let span_context = span.span_context();
    span_context
        .is_valid()
        .then(|| span_context.trace_id().to_string())
}

/// The `traceparent` of the current span, to be kept with what it causes; none outside
/// any span.
pub(crate) fn current_traceparent() -> Option<String> {
    let context = Span::current().context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| {
        format!(
            "00-{}-{}-{:02x}",
            span.trace_id(),
            span.span_id(),
            span.trace_flags()
        )
    })
}

/// Says that `span` was caused by the span with that `traceparent`, before it is
/// entered. One that can't be read is left out.
pub(crate) fn link(span: &Span, traceparent: Option<&str>) {
    if let Some(cause) = traceparent.and_then(parse) {
        span.add_link(cause);
    }
}

fn parse(traceparent: &str) -> Option<SpanContext> {
    let mut parts = traceparent.split('-').skip(1);
    let trace_id = TraceId::from_hex(parts.next()?).ok()?;
    let span_id = SpanId::from_hex(parts.next()?).ok()?;
    let flags = u8::from_str_radix(parts.next()?, 16).ok()?;
    let flags = TraceFlags::new(flags);
    Some(SpanContext::new(
        trace_id,
        span_id,
        flags,
        true,
        TraceState::NONE,
    ))
}

/// The span that an event belongs to.
pub(super) fn span_context_of(event: &Event<'_>) -> Option<SpanContext> {
    let id = match event.parent() {
        Some(parent) => Some(parent.clone()),
        None if event.is_contextual() => Span::current().id(),
        None => None,
    }?;
    let context = dispatcher::get_default(|dispatch| get_otel_context(&id, dispatch))?;
    let span = context.span().span_context().clone();
    span.is_valid().then_some(span)
}
