//! Every metric of ours, by name.
//!
//! Names follow the Prometheus conventions: base units, `_total` for what only
//! grows. The HTTP metrics are actix-web-prom's, in the same registry.

use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

/// The metrics. Clones are the same metrics.
#[derive(Clone)]
pub struct Metrics {
    /// What `/metrics` shows.
    pub registry: Registry,
    /// `orderly_password_hashes_total`: passwords hashed or verified.
    pub password_hashes: IntCounter,
    /// `orderly_payments_total{outcome}`: tries to charge or to refund, by what
    /// came of them: charged, declined, refunded, voided, retried or buried.
    pub payments: IntCounterVec,
    /// `orderly_payment_jobs{state}`: jobs that wait, and jobs given up (dead).
    pub payment_jobs: IntGaugeVec,
    /// `orderly_events_published_total`: events that left the outbox.
    pub events_published: IntCounter,
}

impl Metrics {
    /// Makes and registers all of them.
    ///
    /// # Errors
    /// If two have one name.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let metrics = Self {
            password_hashes: IntCounter::new(
                "orderly_password_hashes_total",
                "Passwords hashed or verified",
            )?,
            payments: IntCounterVec::new(
                Opts::new("orderly_payments_total", "Payment tries by outcome"),
                &["outcome"],
            )?,
            payment_jobs: IntGaugeVec::new(
                Opts::new("orderly_payment_jobs", "Payment jobs by state"),
                &["state"],
            )?,
            events_published: IntCounter::new(
                "orderly_events_published_total",
                "Events published from the outbox",
            )?,
            registry: registry.clone(),
        };
        registry.register(Box::new(metrics.password_hashes.clone()))?;
        registry.register(Box::new(metrics.payments.clone()))?;
        registry.register(Box::new(metrics.payment_jobs.clone()))?;
        registry.register(Box::new(metrics.events_published.clone()))?;
        Ok(metrics)
    }
}
