//! Work that waits in the database: payments to be made, events to be published.
//!
//! How many wait says how much there is to do; how long the oldest one has waited says
//! whether it is being done. Every replica measures the same tables: take the `max`
//! over replicas, never the `sum`.

use chrono::{DateTime, Utc};

use super::declaration::metrics;

metrics! {
    /// Work that waits.
    pub(crate) struct QueueMetrics {
        /// Payment jobs by state: waiting, dead_lettered (see orderly jobs).
        pub(crate) payment_jobs: IntGaugeVec[state];
        /// How long the oldest waiting payment job has waited, or while the database is away the
        /// last one seen; 0 without one.
        pub(crate) payment_jobs_oldest_age: Gauge;
        /// Events that wait to be published.
        pub(crate) outbox_events: IntGauge;
        /// How long the oldest unpublished event has waited, or while the database is away the
        /// last one seen; 0 without one.
        pub(crate) outbox_oldest_age: Gauge;
    }
}

metrics! {
    /// Work that background tasks do.
    pub struct JobMetrics {
        /// Payment attempts by outcome: charged, declined, refunded, voided, rescheduled, released
        /// (the breaker is open, or the service stops), dead_lettered, panicked.
        pub payment_attempts: IntCounterVec[outcome];
        /// Events published from the outbox.
        pub events_published: IntCounter;
        /// Background tasks started again.
        pub(crate) task_restarts: IntCounterVec[task];
    }
}

impl QueueMetrics {
    /// The age of something that waits `since` then, for a gauge.
    pub(crate) fn age(since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> f64 {
        let age = since.and_then(|since| (now - since).to_std().ok());
        age.map_or(0.0, |age| age.as_secs_f64())
    }
}
