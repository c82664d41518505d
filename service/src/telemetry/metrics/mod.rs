//! Every metric of ours, by name.
//!
//! Names follow the Prometheus conventions: base units, `_total` for what only grows.
//! Labels have few values, and none that a client can invent. The HTTP metrics are
//! actix-web-prom's, and the pools' are read from the pools
//! ([`crate::storage::PoolMetrics`]); all are in one registry. `docs/metrics.md` lists
//! them; `orderly metrics` writes it.

mod business;
pub(crate) mod constructors;
mod dependencies;
mod description;
pub(crate) mod process;
mod queues;
mod reload;
mod resilience;

use prometheus::core::Collector;
use prometheus::{Gauge, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Registry, Result};

use constructors::{counter, counter_vec, gauge_vec};

pub(crate) use business::BusinessMetrics;
pub use dependencies::{GatewayMetrics, redis_latency};
pub(crate) use description::MetricDescription;
pub(crate) use process::event_loop_lag;
pub(crate) use queues::QueueMetrics;
pub(crate) use reload::ReloadMetrics;
pub use resilience::{BreakerMetrics, InFlightMetrics, RateLimitMetrics, retries};

/// The metrics. Clones are the same metrics.
#[derive(Clone)]
pub struct Metrics {
    /// What `/metrics` shows.
    pub registry: Registry,
    /// How business goes.
    pub(crate) business: BusinessMetrics,
    /// `orderly_password_hashes_total`: passwords hashed or verified.
    pub(crate) password_hashes: IntCounter,
    /// `orderly_payment_attempts_total{outcome}`: attempts to charge or to refund, by
    /// outcome: charged, declined, refunded, voided, rescheduled, released (the
    /// breaker is open, or the service stops), dead_lettered or panicked.
    pub payment_attempts: IntCounterVec,
    /// The payment gateway's.
    pub gateway: GatewayMetrics,
    /// `orderly_redis_command_duration_seconds{command}`
    pub(crate) redis_latency: HistogramVec,
    /// `orderly_retries_total{dependency,outcome}`
    pub retries: IntCounterVec,
    /// Work that waits.
    pub(crate) queues: QueueMetrics,
    /// `orderly_events_published_total`: events that left the outbox.
    pub events_published: IntCounter,
    /// `orderly_task_restarts_total{task}`: background tasks that were started again.
    pub(crate) task_restarts: IntCounterVec,
    /// `orderly_cache_requests_total{layer,outcome}`: look-ups of the cache. The
    /// layers are local, redis and database, asked in this order; the outcomes are
    /// hit, miss, error, and stale (an expired entry, while the database fails).
    pub(crate) cache_requests: IntCounterVec,
    /// `orderly_handler_panics_total`: handlers that panicked.
    pub(crate) handler_panics: IntCounter,
    /// The circuit breakers'.
    pub breakers: BreakerMetrics,
    /// The load shedder's.
    pub(crate) in_flight: InFlightMetrics,
    /// The rate limits'.
    pub(crate) rate_limits: RateLimitMetrics,
    /// `orderly_health_check_status{check}`: 0 healthy, 1 degraded, 2 unhealthy.
    pub(crate) health_checks: IntGaugeVec,
    /// `orderly_event_loop_lag_seconds`: how late the latest event loop was.
    pub(crate) event_loop_lag: Gauge,
    /// The configuration's.
    pub(crate) reload: ReloadMetrics,
}

impl Metrics {
    /// Makes and registers all of them, but the process' own (`process`).
    ///
    /// # Errors
    /// Returns an error if two metrics have one name, which would be a bug.
    pub fn new() -> Result<Self> {
        let metrics = Self::build()?;
        for collector in metrics.collectors() {
            metrics.registry.register(collector)?;
        }
        Ok(metrics)
    }

    fn build() -> Result<Self> {
        Ok(Self {
            registry: Registry::new(),
            business: BusinessMetrics::new()?,
            password_hashes: counter("password_hashes", "Passwords hashed or verified")?,
            payment_attempts: counter_vec(
                "payment_attempts",
                "Payment attempts by outcome: charged, declined, refunded, voided, rescheduled, released \
                 (the breaker is open, or the service stops), dead_lettered, panicked",
                &["outcome"],
            )?,
            gateway: GatewayMetrics::new()?,
            redis_latency: redis_latency()?,
            retries: retries()?,
            queues: QueueMetrics::new()?,
            events_published: counter("events_published", "Events published from the outbox")?,
            task_restarts: counter_vec(
                "task_restarts",
                "Background tasks started again",
                &["task"],
            )?,
            cache_requests: counter_vec(
                "cache_requests",
                "Look-ups of the cache by layer (local, redis, database) and outcome: hit, miss, \
                 error, stale (an expired entry, while the database fails)",
                &["layer", "outcome"],
            )?,
            handler_panics: counter("handler_panics", "Handlers that panicked")?,
            breakers: BreakerMetrics::new()?,
            in_flight: InFlightMetrics::new()?,
            health_checks: gauge_vec(
                "health_check_status",
                "Health check: 0 healthy, 1 degraded, 2 unhealthy",
                &["check"],
            )?,
            event_loop_lag: event_loop_lag()?,
            reload: ReloadMetrics::new()?,
            rate_limits: RateLimitMetrics::new()?,
        })
    }

    /// Each of them, to be registered or described.
    pub(crate) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let mut collectors: Vec<Box<dyn Collector>> = vec![
            Box::new(self.password_hashes.clone()),
            Box::new(self.payment_attempts.clone()),
            Box::new(self.redis_latency.clone()),
            Box::new(self.retries.clone()),
            Box::new(self.events_published.clone()),
            Box::new(self.task_restarts.clone()),
            Box::new(self.cache_requests.clone()),
            Box::new(self.handler_panics.clone()),
            Box::new(self.health_checks.clone()),
            Box::new(self.event_loop_lag.clone()),
        ];
        collectors.extend(self.business.collectors());
        collectors.extend(self.gateway.collectors());
        collectors.extend(self.queues.collectors());
        collectors.extend(self.breakers.collectors());
        collectors.extend(self.in_flight.collectors());
        collectors.extend(self.rate_limits.collectors());
        collectors.extend(self.reload.collectors());
        collectors
    }
}
