//! What a trace shows of a call of the gateway: a span for each try, whose place in the
//! trace the gateway is told of.

use opentelemetry::propagation::Injector;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tracing::Span;
use tracing::field::Empty;

use super::outcome::GatewayError;
use crate::telemetry::propagation;
use crate::telemetry::sampled_span::sampled_span;

/// The span of one try, by OpenTelemetry's conventions for HTTP clients.
pub(super) fn span(url: &Url) -> Span {
    let path = url.path();
    sampled_span!(
        "gateway_call",
        otel.kind = "client",
        otel.name = %format_args!("POST {path}"),
        otel.status_code = Empty,
        http.request.method = "POST",
        http.response.status_code = Empty,
        url.full = url.as_str(),
        url.template = path,
        server.address = url.host_str(),
        server.port = url.port_or_known_default(),
        error.type = Empty,
    )
}

/// The headers that carry the trace on to the gateway, from that span.
pub(super) fn headers(span: &Span) -> HeaderMap {
    let mut headers = HeaderInjector::default();
    span.in_scope(|| propagation::inject(&mut headers));
    headers.0
}

/// Notes the status of the answer, or why there is none.
pub(super) fn record_result(span: &Span, result: Result<u16, &GatewayError>) {
    match result {
        Ok(status) => {
            span.record("http.response.status_code", status);
            if status >= 400 {
                span.record("otel.status_code", "ERROR");
                span.record("error.type", status);
            }
        }
        Err(error) => {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", error_type(error));
        }
    }
}

/// One of few words.
fn error_type(error: &GatewayError) -> &'static str {
    match error {
        GatewayError::Transient {
            source: Some(error),
            ..
        } if error.is_timeout() => "timeout",
        GatewayError::Transient {
            source: Some(error),
            ..
        } if error.is_connect() => "connect",
        _ => "_OTHER",
    }
}

#[derive(Default)]
struct HeaderInjector(HeaderMap);

impl Injector for HeaderInjector {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}
