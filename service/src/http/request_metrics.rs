//! The metrics of every request, which the middleware of actix-web-prom records.
//!
//! # Problem
//! The middleware creates a series with the first request that has these labels. If the first
//! failures are a burst, the first sample of their series is already 600: `rate()` and `increase()`
//! see no increase, the error ratio is 0, and no alert fires.
//!
//! # How it works
//! The registry shows the series that alerts and objectives are about at 0 until the middleware has
//! them ([`MetricRegistry::show_from_start`]):
//!
//! | series | of the counter | of the histogram |
//! |---|---|---|
//! | each endpoint with each status that the OpenAPI document names for it, and the pages | yes | not for 5xx |
//! | each path, and requests that fit no path, with each 5xx and each method | yes | no |
//! | requests that fit no path with 404 and each method | yes | yes |
//!
//! These are about 3,000 samples of a scrape.
//!
//! # Pitfalls
//! - Requests before the first scrape of a process are not counted as an increase.
//! - A method that a path does not take has no series of 405 before the first such request. The
//!   error ratio is a little too high then, never too low.
//!
//! # Tests
//! `every_alert_series_exists_at_start`, `first_failures_are_counted_from_zero`.

use std::collections::BTreeSet;

use actix_web::http::Method;
use actix_web_prom::{ActixMetricsConfiguration, PrometheusMetrics, PrometheusMetricsBuilder};
use anyhow::anyhow;
use prometheus::{DEFAULT_BUCKETS, HistogramOpts, HistogramVec, IntCounterVec, Opts};

use super::endpoint::operations;
use super::middleware::method_normalization::METRIC_METHODS;
use super::middleware::request_span::UNMATCHED;
use super::openapi;
use super::problem::ProblemKind;
use super::routes::{PAGES, endpoints};
use crate::telemetry::metrics::{MetricDescription, MetricRegistry, PREFIX};

const REQUESTS: &str = "http_requests_total";
const DURATION: &str = "http_request_duration_seconds";
const LABELS: [&str; 3] = ["endpoint", "method", "status"];

/// Descriptions of the metrics that actix-web-prom registers.
pub(crate) fn descriptions() -> [MetricDescription; 2] {
    [
        (
            REQUESTS,
            "counter",
            "Requests answered, by route template (endpoint; one for all that fit no route), method and status",
        ),
        (
            DURATION,
            "histogram",
            "Time to answer a request, to the last byte of the body",
        ),
    ]
    .map(|(name, kind, help)| MetricDescription {
        name: format!("{PREFIX}_{name}"),
        kind,
        labels: LABELS.map(str::to_owned).to_vec(),
        help: help.to_owned(),
    })
}

/// Returns the middleware that records the metrics in `registry`.
///
/// # Errors
/// Returns an error if `registry` has metrics of these names already.
pub(super) fn request_metrics(registry: &MetricRegistry) -> anyhow::Result<PrometheusMetrics> {
    let middleware = PrometheusMetricsBuilder::new(PREFIX)
        .registry(registry.inner().clone())
        .buckets(DEFAULT_BUCKETS)
        // Paths that fit no route are anybody's invention: one series for all.
        .mask_unmatched_patterns(UNMATCHED)
        .metrics_configuration(
            ActixMetricsConfiguration::default()
                .http_requests_total_name(REQUESTS)
                .http_requests_duration_seconds_name(DURATION),
        )
        .build()
        .map_err(|error| anyhow!("the HTTP metrics: {error}"))?;
    show_initial_series(registry)?;
    Ok(middleware)
}

/// Shows the series that must exist before their first request.
fn show_initial_series(registry: &MetricRegistry) -> prometheus::Result<()> {
    let help = "Before the first request";
    let requests = IntCounterVec::new(Opts::new(REQUESTS, help).namespace(PREFIX), &LABELS)?;
    let duration = HistogramOpts::new(DURATION, help).namespace(PREFIX);
    let duration = HistogramVec::new(duration.buckets(DEFAULT_BUCKETS.to_vec()), &LABELS)?;
    for Series {
        endpoint,
        method,
        status,
    } in initial_series()
    {
        let values = [endpoint.as_str(), &method, &status];
        requests.with_label_values(&values);
        // The objective for latency leaves failures to the one for availability.
        if !status.starts_with('5') {
            duration.with_label_values(&values);
        }
    }
    registry.show_from_start(requests);
    registry.show_from_start(duration);
    Ok(())
}

/// Label values of one series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    endpoint: String,
    method: String,
    status: String,
}

impl Series {
    fn new(endpoint: &str, method: &str, status: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            method: method.to_owned(),
            status: status.to_owned(),
        }
    }
}

fn initial_series() -> BTreeSet<Series> {
    let mut series = BTreeSet::new();
    let mut paths = BTreeSet::from([UNMATCHED.to_owned()]);
    for (page, statuses) in PAGES {
        paths.insert(page.to_owned());
        for status in statuses {
            series.extend(["GET", "HEAD"].map(|method| Series::new(page, method, status)));
        }
    }
    for (path, method, operation) in operations(&mut openapi::build(&endpoints())) {
        paths.insert(path.to_owned());
        let methods = match method {
            Method::GET => vec!["GET", "HEAD"],
            ref method => vec![method.as_str()],
        };
        let statuses = operation.responses.responses.keys();
        // Beside the statuses there is `default`.
        for status in statuses.filter(|status| status.parse::<u16>().is_ok()) {
            series.extend(
                methods
                    .iter()
                    .map(|method| Series::new(path, method, status)),
            );
        }
    }
    // A request may fail before its route is known, whatever its method.
    let failures = ProblemKind::ALL.iter().map(|kind| kind.status());
    let failures: BTreeSet<_> = failures.filter(|status| status.is_server_error()).collect();
    for method in METRIC_METHODS {
        for status in &failures {
            let of_path = |path: &String| Series::new(path, method, status.as_str());
            series.extend(paths.iter().map(of_path));
        }
        series.insert(Series::new(UNMATCHED, method, "404"));
    }
    series
}
