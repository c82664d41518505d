//! Paying for orders.

use std::time::Duration;

use super::check::{expects, in_range};
use super::section::section;
use super::urls::is_plain_url;

section! {
    /// The payment gateway.
    pub struct PaymentsConfig {
        /// The gateway's root, an absolute http or https URL without credentials and query.
        gateway_url: String = "http://127.0.0.1:8090".into(),
            expects("an http or https URL without credentials, such as https://pay.example", is_http_url);
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
    }
}

fn is_http_url(text: &str) -> bool {
    is_plain_url(text, &["http", "https"])
}
