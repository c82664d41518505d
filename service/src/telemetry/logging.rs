//! Which log lines are written, by a filter that can be changed while the service runs,
//! and where to (`log_writer.rs`).

use std::io::IsTerminal as _;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use super::log_format::{JsonFormat, PrettyFormat, SkipSpanFields};
use super::log_writer::LogWriter;
use crate::config::{LogConfig, LogFormat};

/// The filter of the process, as long as there is logging.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Writes to standard output, as long as there is logging.
static WRITER: OnceLock<LogWriter> = OnceLock::new();

/// Lines that may wait for whoever reads standard output; one is about 300 bytes.
const QUEUE_CAPACITY: usize = 8192;

/// How long the end of the process waits for that reader. One that is well needs less than a
/// tenth of it.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// Writes lines to standard output.
///
/// # Errors
/// Returns an error if the filter can't be read.
pub(super) fn layer(config: &LogConfig) -> anyhow::Result<impl Layer<Registry>> {
    let (filter, handle) = reload::Layer::new(parse_filter(&config.filter)?);
    FILTER.get_or_init(|| handle);
    let writer = WRITER.get_or_init(|| LogWriter::start(std::io::stdout(), QUEUE_CAPACITY));
    let lines = fmt::layer()
        .fmt_fields(SkipSpanFields)
        .with_writer(writer.queue());
    let lines = match config.format {
        LogFormat::Pretty => lines
            .with_ansi(std::io::stdout().is_terminal())
            .event_format(PrettyFormat)
            .boxed(),
        LogFormat::Json => lines.event_format(JsonFormat).boxed(),
    };
    Ok(lines.with_filter(filter))
}

/// Logs by another filter from now on.
///
/// # Errors
/// Returns an error if the filter can't be read, or logging was not started.
pub(crate) fn set_filter(filter: &str) -> anyhow::Result<()> {
    let handle = FILTER.get().context("logging was not started")?;
    Ok(handle.reload(parse_filter(filter)?)?)
}

/// Returns the number of log lines that were dropped.
pub(super) fn dropped_lines() -> u64 {
    WRITER.get().map_or(0, LogWriter::dropped_lines)
}

/// Writes the lines that still wait when it is dropped, so also when a panic ends the process.
pub(crate) struct LogFlushGuard;

impl Drop for LogFlushGuard {
    fn drop(&mut self) {
        if let Some(writer) = WRITER.get() {
            writer.flush_within(FLUSH_TIMEOUT);
        }
    }
}

fn parse_filter(filter: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(filter).context("log.filter can't be read")
}
