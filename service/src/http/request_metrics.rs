//! The metrics of every request, which the middleware of actix-web-prom records.

use actix_web_prom::{ActixMetricsConfiguration, PrometheusMetrics, PrometheusMetricsBuilder};
use anyhow::anyhow;
use prometheus::Registry;

use super::middleware::request_span::UNMATCHED;

/// What actix-web-prom registers: name, type and meaning.
pub(crate) const REQUEST_METRICS: [(&str, &str, &str); 2] = [
    (
        "orderly_http_requests_total",
        "counter",
        "Requests answered, by route template (endpoint; one for all that fit no route), method and status",
    ),
    (
        "orderly_http_request_duration_seconds",
        "histogram",
        "Time to answer a request, to the last byte of the body",
    ),
];

/// The labels of all of [`REQUEST_METRICS`].
pub(crate) const REQUEST_LABELS: [&str; 3] = ["endpoint", "method", "status"];

/// The middleware that records them in `registry`.
///
/// # Errors
/// Returns an error if `registry` has metrics of these names already.
pub(super) fn request_metrics(registry: Registry) -> anyhow::Result<PrometheusMetrics> {
    PrometheusMetricsBuilder::new("orderly")
        .registry(registry)
        // Paths that fit no route are anybody's invention: one series for all.
        .mask_unmatched_patterns(UNMATCHED)
        .metrics_configuration(
            ActixMetricsConfiguration::default()
                .http_requests_duration_seconds_name("http_request_duration_seconds"),
        )
        .build()
        .map_err(|error| anyhow!("the HTTP metrics: {error}"))
}
