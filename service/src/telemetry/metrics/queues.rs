//! Work that waits in the database, jobs and events to be published, and work that is done.
//!
//! How many wait says how much there is to do; how long the oldest one has waited says
//! whether it is being done. Every replica measures the same tables: take the `max`
//! over replicas, never the `sum`.

use chrono::{DateTime, Utc};

use super::declaration::metrics;

metrics! {
    /// Work that waits.
    pub(crate) struct QueueMetrics {
        /// Jobs by kind and state: scheduled (due later), waiting (due, or being retried),
        /// dead_lettered (see orderly jobs).
        pub(crate) jobs: IntGaugeVec[kind(..), state(scheduled, waiting, dead_lettered)];
        /// How long the oldest waiting job has been due, by kind, or while the database is away the
        /// last one seen; 0 without one.
        pub(crate) job_oldest_age: GaugeVec[kind(..)];
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
        /// Attempts at jobs by kind and outcome: rescheduled, released (the breaker is open, or the
        /// service stops), dead_lettered, panicked, or the result of a completed job, such as charged.
        pub job_attempts: IntCounterVec[kind(..), outcome(..)];
        /// Duration of an attempt at a job, by kind.
        pub(crate) job_duration: HistogramVec[kind(..)]
            buckets [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
        /// Events published from the outbox.
        pub events_published: IntCounter;
        /// Background tasks started again.
        pub(crate) task_restarts: IntCounterVec[task(..)];
    }
}

impl JobMetrics {
    /// Outcomes of an attempt that did not complete its job.
    const UNCOMPLETED: [&str; 4] = ["rescheduled", "released", "dead_lettered", "panicked"];

    /// Initializes the series of a kind of job, whose completed jobs have `outcomes`.
    pub(crate) fn initialize_kind(&self, kind: &str, outcomes: &[&str]) {
        for outcome in outcomes.iter().chain(&Self::UNCOMPLETED) {
            self.job_attempts.with_label_values(&[kind, outcome]);
        }
        self.job_duration.with_label_values(&[kind]);
    }
}

impl QueueMetrics {
    /// Initializes the series of a kind of job, so that an empty queue is 0 and not absent.
    pub(crate) fn initialize_kind(&self, kind: &str) {
        self.set_jobs(kind, 0, 0, 0);
        self.job_oldest_age.with_label_values(&[kind]).set(0.0);
    }

    pub(crate) fn set_jobs(&self, kind: &str, scheduled: i64, waiting: i64, dead_lettered: i64) {
        for (state, jobs) in [
            ("scheduled", scheduled),
            ("waiting", waiting),
            ("dead_lettered", dead_lettered),
        ] {
            self.jobs.with_label_values(&[kind, state]).set(jobs);
        }
    }

    /// The age of something that waits `since` then, for a gauge.
    pub(crate) fn age(since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> f64 {
        let age = since.and_then(|since| (now - since).to_std().ok());
        age.map_or(0.0, |age| age.as_secs_f64())
    }
}
