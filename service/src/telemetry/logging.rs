//! Log lines: for people or for machines.
//!
//! Every line that belongs to a request is written inside the request's span,
//! which carries the trace id, so all lines of one request can be found by it.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::config::{LogConfig, LogFormat};

/// Starts logging for the whole process, to standard output.
///
/// # Errors
/// If the filter can't be read, or logging was started before.
pub fn start(config: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.filter).context("log.filter can't be read")?;
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        LogFormat::Pretty => fmt::layer()
            .with_target(false)
            .with_ansi(std::io::stdout().is_terminal())
            .boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
    };
    // Gives each span its place in a W3C trace: that is where trace ids are from.
    let tracer = SdkTracerProvider::default().tracer("orderly");
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(tracing_opentelemetry::layer().with_tracer(tracer))
        .try_init()
        .context("logging was started twice")
}
