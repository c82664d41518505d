//! The metrics of every request, which the middleware of actix-web-prom records.

use actix_web_prom::{ActixMetricsConfiguration, PrometheusMetrics, PrometheusMetricsBuilder};
use anyhow::anyhow;

use super::middleware::request_span::UNMATCHED;
use crate::telemetry::metrics::{MetricDescription, MetricRegistry, PREFIX};

/// Descriptions of what actix-web-prom registers.
pub(crate) fn descriptions() -> [MetricDescription; 2] {
    [
        (
            "http_requests_total",
            "counter",
            "Requests answered, by route template (endpoint; one for all that fit no route), method and status",
        ),
        (
            "http_request_duration_seconds",
            "histogram",
            "Time to answer a request, to the last byte of the body",
        ),
    ]
    .map(|(name, kind, help)| MetricDescription {
        name: format!("{PREFIX}_{name}"),
        kind,
        labels: ["endpoint", "method", "status"].map(str::to_owned).to_vec(),
        help: help.to_owned(),
    })
}

/// The middleware that records them in `registry`.
///
/// # Errors
/// Returns an error if `registry` has metrics of these names already.
pub(super) fn request_metrics(registry: &MetricRegistry) -> anyhow::Result<PrometheusMetrics> {
    PrometheusMetricsBuilder::new(PREFIX)
        .registry(registry.inner().clone())
        // Paths that fit no route are anybody's invention: one series for all.
        .mask_unmatched_patterns(UNMATCHED)
        .metrics_configuration(
            ActixMetricsConfiguration::default()
                .http_requests_duration_seconds_name("http_request_duration_seconds"),
        )
        .build()
        .map_err(|error| anyhow!("the HTTP metrics: {error}"))
}
