//! Every metric that a service shows, for `docs/metrics.md`.

use crate::http::request_metrics;
use crate::telemetry::metrics::{MetricDescription, Metrics};

/// All of them, by name.
///
/// # Errors
/// Returns an error if two metrics have one name, which would be a bug.
pub(crate) fn descriptions() -> anyhow::Result<Vec<MetricDescription>> {
    let mut descriptions = Metrics::new()?.registry.descriptions();
    descriptions.extend(request_metrics::descriptions());
    descriptions.sort();
    Ok(descriptions)
}
