//! Panics as log lines.
//!
//! Rust writes a panic to standard error, as plain text: a collector of JSON lines
//! drops it or files it under nobody, and where in the code it was is lost. Here it is
//! a line like any other, written while the span of the request or job is still
//! entered, so it has their `trace_id`.
//!
//! What a panic says may quote anything, such as the value that `unwrap` did not
//! expect. So only a literal is logged, which the source code says as well; the place
//! is logged always. `RUST_BACKTRACE=1` adds how it came there.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};

/// Logs every panic of the process from now on.
pub(crate) fn install_hook() {
    panic::set_hook(Box::new(log_panic));
}

fn log_panic(panicked: &PanicHookInfo<'_>) {
    let location = panicked.location().map(ToString::to_string);
    let panic_message = panicked.payload().downcast_ref::<&'static str>().copied();
    let backtrace = Backtrace::capture();
    let backtrace = match backtrace.status() {
        BacktraceStatus::Captured => Some(backtrace.to_string()),
        _ => None,
    };
    tracing::error!(location, panic_message, backtrace, "a panic");
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::config::TelemetryConfig;
    use crate::telemetry::log_format::{JsonFormat, SkipSpanFields};
    use crate::telemetry::{trace_context, traces};
    use serde_json::Value;
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt;
    use tracing_subscriber::prelude::*;

    #[derive(Clone, Default)]
    struct LogBuffer(Arc<Mutex<Vec<u8>>>);

    impl Write for LogBuffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// For the whole process: a subscriber of one thread does not see the span while it writes a line.
    fn log_to(log: &LogBuffer) {
        let log = log.clone();
        let lines = fmt::layer()
            .fmt_fields(SkipSpanFields)
            .event_format(JsonFormat)
            .with_writer(move || log.clone());
        let subscriber = tracing_subscriber::registry()
            .with(lines)
            .with(traces::layer(&TelemetryConfig::default()).unwrap());
        tracing::subscriber::set_global_default(subscriber).unwrap();
    }

    /// The line that a panic leaves in the trace that it happened in.
    fn panic_line(log: &LogBuffer, panics: impl FnOnce() + panic::UnwindSafe) -> Value {
        let span = tracing::info_span!("request").entered();
        let trace_id = trace_context::current_trace_id().unwrap();
        panic::catch_unwind(panics).unwrap_err();
        drop(span);
        let written = log.0.lock().unwrap();
        let mut lines = (written.split(|byte| *byte == b'\n'))
            .filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        // Other tests run, and log, at the same time.
        let line = lines.find(|line| line["trace_id"] == trace_id.as_str());
        line.unwrap()
    }

    #[test]
    fn logs_panic_with_location_and_trace_without_values() {
        let log = LogBuffer::default();
        log_to(&log);
        // For all threads: a test that fails in the meantime says so without a message.
        let previous_hook = panic::take_hook();
        install_hook();
        let literal = panic_line(&log, || panic!("a bug"));
        let value = "canary";
        let quoting = panic_line(&log, || panic!("unexpected: {value}"));
        panic::set_hook(previous_hook);

        assert_eq!(literal["message"], "a panic");
        assert_eq!(literal["level"], "ERROR");
        assert_eq!(literal["panic_message"], "a bug");
        let location = literal["location"].as_str().unwrap();
        assert!(location.contains("panics.rs:"), "{location}");
        assert!(quoting["location"].is_string(), "{quoting}");
        assert!(!quoting.to_string().contains(value), "{quoting}");
    }
}
