//! Traces.

use std::time::Duration;

use super::check::{expects, in_range};
use super::section::section;
use super::urls::is_origin_url;

section! {
    /// Where traces go, and how many of them.
    pub struct TelemetryConfig {
        /// The collector's OTLP/gRPC endpoint, such as `http://otel-collector:4317`. Empty: nothing is exported.
        otlp_endpoint: String = String::new(), expects(
            "an http URL without credentials and path, such as http://otel-collector:4317, or nothing",
            is_collector_url
        );
        /// Share of the traces that begin here and are exported. A trace that a caller has begun is exported if the
        /// caller says so.
        sampling_ratio: f64 = 1.0, in_range(0.0..=1.0);
    }
    durations {
        /// How long the collector may take to accept a batch of spans. No request waits for it.
        export_timeout = Duration::from_secs(5), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
    }
}

fn is_collector_url(text: &str) -> bool {
    text.is_empty() || is_origin_url(text, &["http"])
}
