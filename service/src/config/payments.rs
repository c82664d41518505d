//! Paying for orders.

use std::time::Duration;

use super::section::{in_range, is_url_without_credentials, section};

section! {
    /// The payment gateway and the job that calls it.
    pub struct PaymentsConfig {
        /// The gateway's root, an absolute http or https URL without credentials.
        gateway_url: String = "http://127.0.0.1:8090".into(), http_url;
        /// Payments under way at once in this process, 1 to 256.
        concurrency: usize = 8, in_range(1..=256);
        /// Attempts before a payment is dead-lettered (`orderly jobs`), 1 to 100; but never before
        /// `min_retry_duration`.
        max_attempts: u32 = 8, in_range(1..=100);
        /// Idle connections kept open to the gateway, 0 to 256.
        max_idle_connections: usize = 8, in_range(0..=256);
    }
    durations {
        /// How long connecting to the gateway may take, 10ms to 1m.
        connect_timeout = Duration::from_secs(1), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
        /// How long one call may take, from connecting to the last byte, 10ms to 5m.
        timeout = Duration::from_secs(5), in_range(Duration::from_millis(10)..=Duration::from_mins(5));
        /// How long the gateway may be silent while it answers, 10ms to 5m.
        read_timeout = Duration::from_secs(4), in_range(Duration::from_millis(10)..=Duration::from_mins(5));
        /// How long an idle connection to the gateway is kept, 1s to 10m.
        idle_timeout = Duration::from_mins(1), in_range(Duration::from_secs(1)..=Duration::from_mins(10));
        /// How long a payment is retried at least, 0s to 30d: no outage of the gateway that is shorter costs a payment.
        min_retry_duration = Duration::from_hours(24), in_range(Duration::ZERO..=Duration::from_hours(24 * 30));
        /// How often the job looks for due payments when it has none, 10ms to 1m.
        poll_interval = Duration::from_secs(1), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
        /// How long a claimed payment is hidden from other replicas, 1s to 1h. Longer than all calls
        /// (`timeout` times `retry.max_attempts`), or a second replica would attempt a payment that is under way.
        lease_duration = Duration::from_secs(30), in_range(Duration::from_secs(1)..=Duration::from_hours(1));
        /// Wait before the second attempt, 1ms to 1m; it doubles with each further one.
        backoff_base = Duration::from_millis(500), in_range(Duration::from_millis(1)..=Duration::from_mins(1));
        /// The longest wait between two attempts, 1ms to 1h; at least `backoff_base`.
        backoff_cap = Duration::from_mins(1), in_range(Duration::from_millis(1)..=Duration::from_hours(1));
    }
}

fn http_url(url: &str, (): &()) -> garde::Result {
    if is_url_without_credentials(url, &["http", "https"]) {
        return Ok(());
    }
    Err(garde::Error::new(
        "expected an http or https URL without credentials, such as https://pay.example",
    ))
}
