//! Trace contexts in headers: how a trace goes on from one process to the next.
//!
//! # Problem
//! The trace id is in every problem and log line of a request, and the caller chooses it. The
//! library takes `uber-trace-id: 0:0:0:0` for a context and leaves the request without any id. It
//! takes `traceparent: 00-+1-1-01` for the trace 1, and of two `traceparent` lines the first.
//!
//! # How it works
//! Two formats are read and written: W3C Trace Context (`traceparent`, `tracestate`) and Jaeger's
//! own `uber-trace-id`, which older clients send. [`extract`] passes a field on to the library only
//! if it came once and has the form of its specification, so the library, which would log it, sees
//! no other. If a request has both, W3C's counts. A context without a trace id or span id counts as
//! none: the request begins a trace of its own. A trace context never rejects a request.
//!
//! # Tests
//! `continues_trace_in_either_format_preferring_w3c` in `tests/process/trace_propagation.rs`,
//! `problem_has_trace_id_of_its_request` in `tests/api/http/client_errors.rs`, and those below.

use std::collections::HashMap;
use std::sync::LazyLock;

use opentelemetry::Context;
use opentelemetry::propagation::{
    Extractor, Injector, TextMapCompositePropagator, TextMapPropagator,
};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const UBER_TRACE_ID: &str = "uber-trace-id";

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

/// Returns the context that the caller sent, or an empty one.
pub(crate) fn extract(headers: &dyn Extractor) -> Context {
    let empty = Context::new();
    let mut fields: HashMap<String, String> = [
        (TRACEPARENT, is_traceparent as fn(&str) -> bool),
        (UBER_TRACE_ID, is_uber_trace_id),
    ]
    .into_iter()
    .filter_map(|(name, is_valid)| {
        let value = single_value(headers, name)?;
        is_valid(value).then(|| (name.to_owned(), value.to_owned()))
    })
    .collect();
    // Most requests have neither, and are spared the search.
    if fields.is_empty() {
        return empty;
    }
    // Its lines are one list (W3C Trace Context, section 3.3.1).
    if let Some(states) = headers.get_all(TRACESTATE) {
        fields.insert(TRACESTATE.to_owned(), states.join(","));
    }
    let context = FORMATS.extract_with_context(&empty, &fields);
    match context.span().span_context().is_valid() {
        true => context,
        false => empty,
    }
}

/// Tells whoever is called now which span calls.
pub(crate) fn inject(headers: &mut dyn Injector) {
    FORMATS.inject_context(&Span::current().context(), headers);
}

fn single_value<'a>(headers: &'a dyn Extractor, name: &str) -> Option<&'a str> {
    match headers.get_all(name)?[..] {
        [value] => Some(value),
        _ => None,
    }
}

/// W3C Trace Context, section 3.2.2. A later version may append fields.
fn is_traceparent(value: &str) -> bool {
    let fields: Vec<&str> = value.split('-').collect();
    let [version, trace_id, parent_id, flags, rest @ ..] = fields.as_slice() else {
        return false;
    };
    let lengths = [version, trace_id, parent_id, flags].map(|field| field.len());
    let mut digits = [version, trace_id, parent_id, flags].into_iter();
    lengths == [2, 32, 16, 2]
        && digits.all(|field| field.bytes().all(is_lower_hex_digit))
        && (rest.is_empty() || *version != "00")
}

/// <https://www.jaegertracing.io/docs/1.76/client-libraries/#key>; the colons may be
/// percent-encoded.
fn is_uber_trace_id(value: &str) -> bool {
    let value = value.replace("%3A", ":");
    let fields: Vec<&str> = value.split(':').collect();
    let [trace_id, span_id, _parent_id, flags] = fields.as_slice() else {
        return false;
    };
    [(trace_id, 32), (span_id, 16), (flags, 2)]
        .into_iter()
        .all(|(field, max)| {
            let is_hex = field.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_hex && (1..=max).contains(&field.len())
        })
}

fn is_lower_hex_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN_ID: &str = "00f067aa0ba902b7";

    /// Headers by name, some of which came twice.
    struct Headers(Vec<(&'static str, String)>);

    impl Extractor for Headers {
        fn get(&self, name: &str) -> Option<&str> {
            self.get_all(name)?.first().copied()
        }

        fn keys(&self) -> Vec<&str> {
            self.0.iter().map(|(name, _)| *name).collect()
        }

        fn get_all(&self, name: &str) -> Option<Vec<&str>> {
            let fields = self.0.iter().filter(|(key, _)| *key == name);
            let values: Vec<&str> = fields.map(|(_, value)| value.as_str()).collect();
            (!values.is_empty()).then_some(values)
        }
    }

    fn trace_id_of(headers: &[(&'static str, &str)]) -> Option<String> {
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let context = extract(&Headers(headers.collect()));
        let has_span = context.has_active_span();
        has_span.then(|| context.span().span_context().trace_id().to_string())
    }

    #[test]
    fn valid_context_is_continued() {
        let traceparent = format!("00-{TRACE_ID}-{SPAN_ID}-01");
        let later_version = format!("01-{TRACE_ID}-{SPAN_ID}-01-more");
        let uber = format!("{TRACE_ID}:{SPAN_ID}:0:1");
        let encoded = uber.replace(':', "%3A");
        for headers in [
            vec![(TRACEPARENT, traceparent.as_str())],
            vec![(TRACEPARENT, &later_version)],
            vec![(UBER_TRACE_ID, &uber)],
            vec![(UBER_TRACE_ID, &encoded)],
            vec![(UBER_TRACE_ID, "0:0:0:0"), (TRACEPARENT, &traceparent)],
            vec![(TRACEPARENT, "garbage"), (UBER_TRACE_ID, &uber)],
        ] {
            assert_eq!(
                trace_id_of(&headers).as_deref(),
                Some(TRACE_ID),
                "{headers:?}"
            );
        }
        let short = trace_id_of(&[(UBER_TRACE_ID, "1:2:0:1")]);
        assert_eq!(short, Some(format!("{:032}", 1)));
    }

    #[test]
    fn invalid_context_counts_as_none() {
        let (no_trace, no_span) = ("0".repeat(32), "0".repeat(16));
        for traceparent in [
            format!("00-{no_trace}-{SPAN_ID}-01"),
            format!("00-{TRACE_ID}-{no_span}-01"),
            format!("00-{TRACE_ID}-{SPAN_ID}"),
            format!("00-{TRACE_ID}-{SPAN_ID}-01-more"),
            format!("00-{TRACE_ID}-{SPAN_ID}-01-"),
            format!("00-{}-{SPAN_ID}-01", TRACE_ID.to_uppercase()),
            format!("00-+{}-{SPAN_ID}-01", &TRACE_ID[1..]),
            format!("ff-{TRACE_ID}-{SPAN_ID}-01"),
            format!("0-{TRACE_ID}-{SPAN_ID}-01"),
            "00-1-1-01".to_owned(),
        ] {
            assert_eq!(
                trace_id_of(&[(TRACEPARENT, &traceparent)]),
                None,
                "{traceparent}"
            );
        }
        for uber in [
            "0:0:0:0".to_owned(),
            "0:1:0:1".to_owned(),
            format!("{TRACE_ID}:0:0:1"),
            format!("{TRACE_ID}:{SPAN_ID}:0"),
            format!("{TRACE_ID}0:{SPAN_ID}:0:1"),
            "+1:1:0:1".to_owned(),
            ":::".to_owned(),
        ] {
            assert_eq!(trace_id_of(&[(UBER_TRACE_ID, &uber)]), None, "{uber}");
        }
    }

    #[test]
    fn repeated_context_counts_as_none() {
        let traceparent = format!("00-{TRACE_ID}-{SPAN_ID}-01");
        let twice = [
            (TRACEPARENT, traceparent.as_str()),
            (TRACEPARENT, &traceparent),
        ];
        assert_eq!(trace_id_of(&twice), None);
    }

    #[test]
    fn combines_lines_of_tracestate() {
        let traceparent = format!("00-{TRACE_ID}-{SPAN_ID}-01");
        let headers = [
            (TRACEPARENT, traceparent),
            (TRACESTATE, "a=1".to_owned()),
            (TRACESTATE, "b=2".to_owned()),
        ];
        let context = extract(&Headers(headers.into()));
        let span = context.span();
        assert_eq!(span.span_context().trace_state().header(), "a=1,b=2");
    }
}
