//! The span of a request, and its one access line.
//!
//! The span has the trace id that every line and every problem of the request
//! shows. It continues the caller's trace if the request brings one
//! ([`crate::telemetry::propagation`]). Names and attributes are those of
//! OpenTelemetry's conventions for HTTP, with one left out: paths are shown as route
//! templates only, for a raw path has ids in it, and a query string may have anything.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::{Error, HttpMessage as _, web};
use opentelemetry::propagation::Extractor;
use tracing::Span;
use tracing::field::Empty;
use tracing_actix_web::RootSpanBuilder;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::config::HttpConfig;
use crate::telemetry::propagation;

/// Where a request that fits no route is counted and logged.
pub(crate) const UNMATCHED: &str = "unmatched";

/// Builds the root span for `tracing_actix_web::TracingLogger`.
pub(crate) struct RequestSpan;

struct StartedAt(Instant);

struct HeaderExtractor<'a>(&'a HeaderMap);

impl Extractor for HeaderExtractor<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let values = self.0.get_all(key).map(|value| value.to_str().ok());
        // A line that is no text makes all of them invalid.
        let values: Vec<&str> = values.collect::<Option<_>>()?;
        (!values.is_empty()).then_some(values)
    }
}

impl RootSpanBuilder for RequestSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        request.extensions_mut().insert(StartedAt(Instant::now()));
        let route = route_or_unmatched(request.match_pattern());
        let config = request.app_data::<web::Data<HttpConfig>>();
        let has_tls = config.is_some_and(|config| config.tls_certificate.is_some());
        let span = tracing::info_span!(
            "request",
            otel.name = %format_args!("{} {route}", request.method()),
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = request.method().as_str(),
            http.route = route,
            http.response.status_code = Empty,
            error.type = Empty,
            url.scheme = if has_tls { "https" } else { "http" },
        );
        let parent = propagation::extract(&HeaderExtractor(request.headers()));
        if let Err(error) = span.set_parent(parent) {
            tracing::debug!(%error, "the span takes no parent");
        }
        span
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let (status, request) = match outcome {
            Ok(response) => (response.status(), Some(response.request())),
            Err(error) => (error.as_response_error().status_code(), None),
        };
        span.record("http.response.status_code", status.as_u16());
        // What is the client's fault is no error of the server's span.
        if status.is_server_error() {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", status.as_str());
        }
        let Some(request) = request else { return };
        let started_at = request.extensions().get::<StartedAt>().map(|start| start.0);
        let micros = started_at.map_or(0, |start| start.elapsed().as_micros());
        tracing::info!(
            method = %request.method(),
            route = %route_or_unmatched(request.match_pattern()),
            status = status.as_u16(),
            duration_ms = micros as f64 / 1e3,
            "request"
        );
    }
}

fn route_or_unmatched(pattern: Option<String>) -> String {
    pattern.unwrap_or_else(|| UNMATCHED.to_owned())
}
