//! Traces.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};

use super::Secret;
use super::check::{expects, in_range};
use super::key_value_list;
use super::section::section;
use super::urls::is_origin_url;

section! {
    /// Where traces go, and how many of them. Standard `OTEL_*` variables set the same; those named here win.
    pub struct TelemetryConfig {
        /// Whether spans are exported to the collector, if there is one.
        enabled: bool = true;
        /// The collector's OTLP/gRPC endpoint, such as `http://otel-collector:4317`. Empty: nothing is exported.
        otlp_endpoint: String = String::new(), expects(
            "an http URL without credentials and path, such as http://otel-collector:4317, or nothing",
            is_collector_url
        );
        /// Headers of each export: `name=value`, separated by commas, with other characters percent-encoded. For
        /// credentials that the collector demands.
        otlp_headers: Option<Secret> = None,
            expects("headers such as authorization=Basic%20abc,x-tenant=shop", are_headers);
        /// Compression of exports.
        compression: Compression = Compression::None;
        /// `service.name` of the spans. Empty: that of `resource_attributes`, or else `orderly`.
        service_name: String = String::new();
        /// More attributes of the process that the spans have, separated by commas, with other characters
        /// percent-encoded.
        resource_attributes: Vec<String> = Vec::new(), expects(
            "attributes such as deployment.environment.name=production,team=shop, none of them twice",
            are_attributes
        );
        /// Share of the traces that begin here and are exported.
        sampling_ratio: f64 = 1.0, in_range(0.0..=1.0);
        /// Whether a trace that a caller has begun is exported if the caller says so. Otherwise the ratio decides.
        parent_based_sampling: bool = true;
        /// Spans that may wait for the collector; one is about a kilobyte. Further ones are dropped.
        queue_size: usize = 8192, in_range(1..=1_000_000);
        /// Most spans in one export.
        batch_size: usize = 512, in_range(1..=100_000);
    }
    durations {
        /// How long a span waits at most for its batch to fill up.
        batch_delay = Duration::from_secs(1), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
        /// How long the collector may take to accept a batch of spans. No request waits for it.
        export_timeout = Duration::from_secs(5), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
    }
}

/// How exports are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Compression {
    /// Not at all.
    None,
    /// With gzip.
    Gzip,
}

impl TelemetryConfig {
    /// Returns the attributes of the process, decoded.
    pub(crate) fn resource_attributes(&self) -> Vec<(String, String)> {
        key_value_list::parse(&self.resource_attributes).unwrap_or_default()
    }

    /// Returns the headers of exports, decoded.
    pub(crate) fn headers(&self) -> Vec<(AsciiMetadataKey, AsciiMetadataValue)> {
        let headers = self.otlp_headers.as_ref().map(|headers| headers.expose());
        headers.and_then(parse_headers).unwrap_or_default()
    }
}

fn is_collector_url(text: &str) -> bool {
    text.is_empty() || is_origin_url(text, &["http"])
}

fn are_attributes(list: &[String]) -> bool {
    key_value_list::parse(list).is_some()
}

fn are_headers(headers: &Option<Secret>) -> bool {
    let are_valid = |headers: &Secret| parse_headers(headers.expose()).is_some();
    headers.as_ref().is_none_or(are_valid)
}

fn parse_headers(text: &str) -> Option<Vec<(AsciiMetadataKey, AsciiMetadataValue)>> {
    let entries: Vec<&str> = text.split(',').collect();
    let headers = key_value_list::parse(&entries)?.into_iter();
    headers
        .map(|(name, value)| {
            let name = name.to_ascii_lowercase().parse::<AsciiMetadataKey>().ok()?;
            // gRPC itself sets these.
            let is_reserved = name.as_str().starts_with("grpc-")
                || matches!(name.as_str(), "te" | "content-type" | "user-agent");
            let mut value = value.parse::<AsciiMetadataValue>().ok()?;
            value.set_sensitive(true);
            (!is_reserved).then_some((name, value))
        })
        .collect()
}
