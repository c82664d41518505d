//! Work that waits in the database: payments to be made, events to be published.
//!
//! How many wait says how much there is to do; how long the oldest one has waited says
//! whether it is being done. Every replica measures the same tables: take the `max`
//! over replicas, never the `sum`.

use chrono::{DateTime, Utc};
use prometheus::core::Collector;
use prometheus::{Gauge, IntGauge, IntGaugeVec, Result};

use super::constructors::{float_gauge, gauge, gauge_vec};

/// Work that waits.
#[derive(Clone)]
pub(crate) struct QueueMetrics {
    /// `orderly_payment_jobs{state}`: jobs that wait, and jobs dead-lettered (dead_lettered).
    pub(crate) payment_jobs: IntGaugeVec,
    /// `orderly_payment_jobs_oldest_age_seconds`
    pub(crate) payment_jobs_oldest_age: Gauge,
    /// `orderly_outbox_events`
    pub(crate) outbox_events: IntGauge,
    /// `orderly_outbox_oldest_age_seconds`
    pub(crate) outbox_oldest_age: Gauge,
}

impl QueueMetrics {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            payment_jobs: gauge_vec(
                "payment_jobs",
                "Payment jobs by state: waiting, dead_lettered (see orderly jobs)",
                &["state"],
            )?,
            payment_jobs_oldest_age: float_gauge(
                "payment_jobs_oldest_age_seconds",
                "How long the oldest waiting payment job has waited, or while the database is away the \
                 last one seen; 0 without one",
            )?,
            outbox_events: gauge("outbox_events", "Events that wait to be published")?,
            outbox_oldest_age: float_gauge(
                "outbox_oldest_age_seconds",
                "How long the oldest unpublished event has waited, or while the database is away the \
                 last one seen; 0 without one",
            )?,
        })
    }

    /// The age of something that waits `since` then, for a gauge.
    pub(crate) fn age(since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> f64 {
        let age = since.and_then(|since| (now - since).to_std().ok());
        age.map_or(0.0, |age| age.as_secs_f64())
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.payment_jobs.clone()),
            Box::new(self.payment_jobs_oldest_age.clone()),
            Box::new(self.outbox_events.clone()),
            Box::new(self.outbox_oldest_age.clone()),
        ]
    }
}
