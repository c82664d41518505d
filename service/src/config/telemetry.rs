//! Traces.

use std::time::Duration;

use super::section::{in_range, is_url_without_credentials, section};

section! {
    /// Where traces go, and how many of them.
    pub struct TelemetryConfig {
        /// The collector's OTLP/gRPC endpoint, such as `http://otel-collector:4317`. Empty: nothing is exported.
        otlp_endpoint: String = String::new(), collector_url;
        /// Share of the traces that begin here and are exported, 0 to 1. A trace that a caller has begun is exported
        /// if the caller says so.
        sampling_ratio: f64 = 1.0, in_range(0.0..=1.0);
    }
    durations {
        /// How long the collector may take to accept a batch of spans, 10ms to 1m. No request waits for it.
        export_timeout = Duration::from_secs(5), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
    }
}

fn collector_url(url: &str, (): &()) -> garde::Result {
    if url.is_empty() || is_url_without_credentials(url, &["http"]) {
        return Ok(());
    }
    Err(garde::Error::new(
        "expected an http URL without credentials, such as http://otel-collector:4317, or nothing",
    ))
}
