//! Makes a metric with the name that the conventions ask for.

use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Result,
};

pub(super) fn counter(name: &str, help: &str) -> Result<IntCounter> {
    IntCounter::new(format!("orderly_{name}_total"), help)
}

pub(super) fn counter_vec(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(format!("orderly_{name}_total"), help), labels)
}

pub(super) fn gauge(name: &str, help: &str) -> Result<IntGauge> {
    IntGauge::new(format!("orderly_{name}"), help)
}

pub(crate) fn gauge_vec(name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
    IntGaugeVec::new(Opts::new(format!("orderly_{name}"), help), labels)
}

/// A gauge with a fraction; the name says of what.
pub(super) fn float_gauge(name: &str, help: &str) -> Result<Gauge> {
    Gauge::new(format!("orderly_{name}"), help)
}

pub(crate) fn duration_histogram_vec(
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> Result<HistogramVec> {
    let opts = HistogramOpts::new(format!("orderly_{name}_seconds"), help);
    HistogramVec::new(opts.buckets(buckets.to_vec()), labels)
}
