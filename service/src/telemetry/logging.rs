//! Which log lines are written: a filter that can be changed while the service runs.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use anyhow::Context as _;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use super::lines::{Json, Pretty, Unformatted};
use crate::config::{LogConfig, LogFormat};

/// The filter of the process, as long as there is logging.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Writes lines to standard output.
///
/// # Errors
/// If the filter can't be read.
pub(super) fn layer(config: &LogConfig) -> anyhow::Result<impl Layer<Registry>> {
    let (filter, handle) = reload::Layer::new(read(&config.filter)?);
    FILTER.get_or_init(|| handle);
    let lines = fmt::layer().fmt_fields(Unformatted);
    let lines = match config.format {
        LogFormat::Pretty => lines
            .with_ansi(std::io::stdout().is_terminal())
            .event_format(Pretty)
            .boxed(),
        LogFormat::Json => lines.event_format(Json).boxed(),
    };
    Ok(lines.with_filter(filter))
}

/// Logs by another filter from now on.
///
/// # Errors
/// If the filter can't be read, or logging was not started.
pub fn change_filter(filter: &str) -> anyhow::Result<()> {
    let handle = FILTER.get().context("logging was not started")?;
    Ok(handle.reload(read(filter)?)?)
}

fn read(filter: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(filter).context("log.filter can't be read")
}
