//! How the service tells what it does: log lines, traces and metrics.
//!
//! One event, three readers. A line of the log says what happened, with the
//! `trace_id` and `span_id` of the request or job it belongs to (`log_format`); a trace
//! says where the time of one request went (`traces`); a metric says how all of
//! them do ([`metrics`]).
//!
//! All of it is best effort: a collector that is away or hangs delays no request and
//! fails no shutdown, it only costs the spans it would have got.

mod exporter;
pub(crate) mod log_format;
pub(crate) mod log_throttle;
mod log_writer;
pub(crate) mod logging;
pub mod metrics;
mod otlp;
pub(crate) mod panics;
pub(crate) mod propagation;
pub(crate) mod sampled_span;
mod sampler;
pub(crate) mod trace_context;
pub(crate) mod traces;

use anyhow::Context as _;
use tracing_subscriber::prelude::*;

use crate::config::{LogConfig, TelemetryConfig};

/// Starts logging and tracing for the whole process. Must be called on the runtime
/// that will outlive everything: it carries the connection to the collector.
///
/// # Errors
/// Returns an error if the log filter or the collector's URL can't be used, or this was called before.
pub fn start(log: &LogConfig, telemetry: &TelemetryConfig) -> anyhow::Result<()> {
    tracing_subscriber::registry()
        .with(logging::layer(log)?)
        .with(traces::layer(telemetry)?)
        .try_init()
        .context("telemetry was started twice")
}
