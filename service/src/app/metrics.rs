//! Every metric that a service shows, for `docs/metrics.md`.

use prometheus::core::Collector;
use tokio::runtime::Handle;

use crate::http::request_metrics::{REQUEST_LABELS, REQUEST_METRICS};
use crate::storage::PoolMetrics;
use crate::telemetry::metrics::{MetricDescription, Metrics, process};

/// All of them, by name. Must be called on a runtime, as it describes one.
///
/// # Errors
/// Returns an error if two metrics have one name, which would be a bug.
pub(crate) fn descriptions() -> anyhow::Result<Vec<MetricDescription>> {
    let metrics = Metrics::new()?;
    let mut collectors: Vec<Box<dyn Collector>> = metrics.collectors();
    collectors.extend(PoolMetrics::new(&metrics.registry)?.collectors());
    collectors.extend(process::collectors(Handle::current())?);
    let mut descriptions: Vec<MetricDescription> = (collectors.iter())
        .flat_map(|collector| MetricDescription::of(collector.as_ref()))
        .collect();
    descriptions.extend(REQUEST_METRICS.map(|(name, kind, help)| MetricDescription {
        name: name.to_owned(),
        kind,
        labels: REQUEST_LABELS.map(str::to_owned).to_vec(),
        help: help.to_owned(),
    }));
    descriptions.sort();
    Ok(descriptions)
}
