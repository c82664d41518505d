//! What the pools show of themselves, read when Prometheus asks.

use std::sync::{Arc, Mutex};

use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::deadpool::Pool;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{HistogramVec, IntGaugeVec, Registry};

use crate::resilience::mutex::lock;
use crate::telemetry::metrics::constructors::{duration_histogram_vec, gauge_vec};

/// The metrics of all pools, by the label `pool`.
#[derive(Clone)]
pub struct PoolMetrics {
    /// `orderly_pool_wait_seconds`: from asking for a connection to having one.
    pub(super) wait_seconds: HistogramVec,
    gauges: Gauges,
}

type NamedPool = (&'static str, Pool<AsyncPgConnection>);

#[derive(Clone)]
struct Gauges {
    connections: IntGaugeVec,
    pools: Arc<Mutex<Vec<NamedPool>>>,
}

impl PoolMetrics {
    /// Creates and registers them.
    ///
    /// # Errors
    /// Returns an error if `registry` has a metric with the same name.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let wait_seconds = duration_histogram_vec(
            "pool_wait",
            "Time to get a connection from a pool (requests, background)",
            &["pool"],
            &[0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0],
        )?;
        let gauges = Gauges {
            connections: gauge_vec(
                "pool_connections",
                "Connections by state: most allowed (max), open (open), borrowed (in_use); \
                 and tasks that wait for one (waiting)",
                &["pool", "state"],
            )?,
            pools: Arc::default(),
        };
        let metrics = Self {
            wait_seconds,
            gauges,
        };
        for collector in metrics.collectors() {
            registry.register(collector)?;
        }
        Ok(metrics)
    }

    /// Each of them, to be registered or described.
    pub(crate) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.wait_seconds.clone()),
            Box::new(self.gauges.clone()),
        ]
    }

    pub(super) fn add_pool(&self, name: &'static str, pool: Pool<AsyncPgConnection>) {
        lock(&self.gauges.pools).push((name, pool));
    }
}

impl Collector for Gauges {
    fn desc(&self) -> Vec<&Desc> {
        self.connections.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for (name, pool) in lock(&self.pools).iter() {
            let status = pool.status();
            for (state, value) in [
                ("max", status.max_size),
                ("open", status.size),
                ("in_use", status.size.saturating_sub(status.available)),
                ("waiting", status.waiting),
            ] {
                let gauge = self.connections.with_label_values(&[name, state]);
                gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            }
        }
        self.connections.collect()
    }
}
