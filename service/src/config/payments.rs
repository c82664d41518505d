//! Paying for orders.

use std::time::Duration;

use super::check::{expects, in_range, is_url_without_credentials};
use super::section::section;

section! {
    /// The payment gateway and the job that calls it.
    pub struct PaymentsConfig {
        /// The gateway's root, an absolute http or https URL without credentials.
        gateway_url: String = "http://127.0.0.1:8090".into(),
            expects("an http or https URL without credentials, such as https://pay.example", is_http_url);
        /// Payments under way at once in this process.
        concurrency: usize = 8, in_range(1..=256);
        /// Attempts before a payment is dead-lettered (`orderly jobs`); but never before `min_retry_duration`.
        max_attempts: u32 = 8, in_range(1..=100);
        /// Idle connections kept open to the gateway.
        max_idle_connections: usize = 8, in_range(0..=256);
    }
    durations {
        /// How long connecting to the gateway may take.
        connect_timeout = Duration::from_secs(1), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
        /// How long one call may take, from connecting to the last byte.
        timeout = Duration::from_secs(5), in_range(Duration::from_millis(10)..=Duration::from_mins(5));
        /// How long the gateway may be silent while it answers.
        read_timeout = Duration::from_secs(4), in_range(Duration::from_millis(10)..=Duration::from_mins(5));
        /// How long an idle connection to the gateway is kept.
        idle_timeout = Duration::from_mins(1), in_range(Duration::from_secs(1)..=Duration::from_mins(10));
        /// How long a payment is retried at least: no outage of the gateway that is shorter costs a payment.
        min_retry_duration = Duration::from_hours(24), in_range(Duration::ZERO..=Duration::from_hours(24 * 30));
        /// How often the job looks for due payments when it has none.
        poll_interval = Duration::from_secs(1), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
        /// How long a claimed payment is hidden from other replicas. Longer than all calls (`timeout` times
        /// `retry.max_attempts`), or a second replica would attempt a payment that is under way.
        lease_duration = Duration::from_secs(30), in_range(Duration::from_secs(1)..=Duration::from_hours(1));
        /// Wait before the second attempt; it doubles with each further one.
        backoff_base = Duration::from_millis(500), in_range(Duration::from_millis(1)..=Duration::from_mins(1));
        /// The longest wait between two attempts; at least `backoff_base`.
        backoff_cap = Duration::from_mins(1), in_range(Duration::from_millis(1)..=Duration::from_hours(1));
    }
}

fn is_http_url(text: &str) -> bool {
    is_url_without_credentials(text, &["http", "https"])
}
