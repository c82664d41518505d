//! Every metric, by name.
//!
//! Names follow the Prometheus conventions: base units, `_total` for counters.
//! Labels have few values, and none that a client can invent. The HTTP metrics are
//! actix-web-prom's, and values that live elsewhere (pools, runtime) are read before each
//! scrape; all are in one registry. `docs/metrics.md` lists them; `orderly metrics` writes it.
//!
//! A new metric is one line in its group.

mod business;
mod declaration;
mod dependencies;
mod description;
mod process;
mod queues;
mod registry;
mod reload;
mod resilience;

pub(crate) use business::BusinessMetrics;
pub(crate) use declaration::PREFIX;
pub use dependencies::{DependencyMetrics, GatewayMetrics};
pub(crate) use dependencies::{PoolMetrics, SessionMetrics};
pub(crate) use description::MetricDescription;
pub(crate) use process::ProcessMetrics;
pub use queues::JobMetrics;
pub(crate) use queues::QueueMetrics;
pub use registry::MetricRegistry;
pub(crate) use reload::ReloadMetrics;
pub use resilience::BreakerMetrics;
pub(crate) use resilience::{ConnectionMetrics, InFlightMetrics, RateLimitMetrics};

/// The metrics. Clones are the same metrics.
#[derive(Clone)]
pub struct Metrics {
    /// Registry that `/metrics` shows.
    pub(crate) registry: MetricRegistry,
    /// How business goes.
    pub(crate) business: BusinessMetrics,
    /// The payment gateway's.
    pub gateway: GatewayMetrics,
    /// The connection pools'.
    pub(crate) pools: PoolMetrics,
    /// The database sessions'.
    pub(crate) sessions: SessionMetrics,
    /// Those of other dependencies.
    pub dependencies: DependencyMetrics,
    /// Work that waits.
    pub(crate) queues: QueueMetrics,
    /// Work that is done in the background.
    pub jobs: JobMetrics,
    /// The circuit breakers'.
    pub breakers: BreakerMetrics,
    /// Those of the listeners' connections.
    pub(crate) connections: ConnectionMetrics,
    /// The load shedder's.
    pub(crate) in_flight: InFlightMetrics,
    /// The rate limits'.
    pub(crate) rate_limits: RateLimitMetrics,
    /// The configuration's.
    pub(crate) reload: ReloadMetrics,
    /// The process' own.
    pub(crate) process: ProcessMetrics,
}

impl Metrics {
    /// Creates all of them in a registry of their own.
    ///
    /// # Errors
    /// Returns an error if two metrics have one name, which would be a bug.
    pub fn new() -> prometheus::Result<Self> {
        let registry = MetricRegistry::default();
        #[cfg(target_os = "linux")]
        registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        let metrics = Self {
            business: BusinessMetrics::new(&registry)?,
            gateway: GatewayMetrics::new(&registry)?,
            pools: PoolMetrics::new(&registry)?,
            sessions: SessionMetrics::new(&registry)?,
            dependencies: DependencyMetrics::new(&registry)?,
            queues: QueueMetrics::new(&registry)?,
            jobs: JobMetrics::new(&registry)?,
            breakers: BreakerMetrics::new(&registry)?,
            connections: ConnectionMetrics::new(&registry)?,
            in_flight: InFlightMetrics::new(&registry)?,
            rate_limits: RateLimitMetrics::new(&registry)?,
            reload: ReloadMetrics::new(&registry)?,
            process: ProcessMetrics::new(&registry)?,
            registry,
        };
        let build = [env!("CARGO_PKG_VERSION"), env!("ORDERLY_BUILT_COMMIT")];
        metrics.process.build_info.with_label_values(&build).set(1);
        // The configuration that the service starts with is good.
        metrics.reload.config_last_reload_successful.set(1);
        Ok(metrics)
    }
}
