//! Background jobs.

use std::time::Duration;

use super::check::in_range;
use super::section::section;

section! {
    /// How the jobs of one kind are run. Each kind has a section of this type.
    pub struct JobConfig {
        /// Jobs in progress at once in this process.
        concurrency: usize = 8, in_range(1..=256);
        /// Attempts before a job is dead-lettered (`orderly jobs`); but never before `min_retry_duration`.
        max_attempts: u32 = 8, in_range(1..=100);
    }
    durations {
        /// How long a job is retried at least: no outage of a dependency that is shorter costs a job.
        min_retry_duration = Duration::from_hours(24), in_range(Duration::ZERO..=Duration::from_hours(24 * 30));
        /// How often the worker looks for due jobs when it has none.
        poll_interval = Duration::from_secs(1), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
        /// How long a leased job is hidden from other replicas. Longer than one attempt may take, or a second
        /// replica would run a job that is in progress; for `payment_jobs` that is all calls (`payments.timeout`
        /// times `retry.max_attempts`).
        lease_duration = Duration::from_secs(30), in_range(Duration::from_secs(1)..=Duration::from_hours(1));
        /// Wait before the second attempt; it doubles with each further one.
        backoff_base = Duration::from_millis(500), in_range(Duration::from_millis(1)..=Duration::from_mins(1));
        /// The longest wait between two attempts; at least `backoff_base`.
        backoff_cap = Duration::from_mins(1), in_range(Duration::from_millis(1)..=Duration::from_hours(1));
    }
}
