//! What is seen of each statement: a span in the trace of its request or job, and a log
//! line if it takes long. Neither has the values that the statement was given.
//!
//! The slowest statements are those that nobody waited for to the end. Of them diesel
//! tells the beginning only: the connection is dropped, and its instrumentation with it, which
//! then logs what still ran.
//!
//! diesel tells when a statement begins and ends. Asked for its text it adds the values
//! behind it, so [`statement_text`] stops listening before they come.

use std::collections::VecDeque;
use std::fmt::{self, Display, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use diesel::connection::{Instrumentation, InstrumentationEvent};
use diesel::result::Error;
use tracing::Span;
use tracing::field::Empty;

use super::query_summary::query_summary;
use crate::resilience::deadline;
use crate::telemetry::sampled_span::sampled_span;

/// Watches one connection, which runs one statement after the other. Some may be sent
/// before those before them are done; they are done in the same order. The span of such
/// a one begins when it is sent, its time when it is its turn.
pub(super) struct StatementInstrumentation {
    slow_threshold: Duration,
    running: VecDeque<RunningStatement>,
    counter: Arc<RunningStatements>,
}

/// Number of statements of a loan that were sent and whose response has not arrived.
#[derive(Default)]
pub(super) struct RunningStatements(AtomicUsize);

impl RunningStatements {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

struct RunningStatement {
    began: Instant,
    span: Span,
    statement: String,
}

impl StatementInstrumentation {
    /// Logs statements that take longer than `slow_threshold`, and keeps `counter` up to date.
    pub(super) fn new(slow_threshold: Duration, counter: Arc<RunningStatements>) -> Self {
        Self {
            slow_threshold,
            running: VecDeque::new(),
            counter,
        }
    }
}

impl StatementInstrumentation {
    fn count_running(&self) {
        let running = self.running.len();
        self.counter.0.store(running, Ordering::Relaxed);
    }
}

impl Instrumentation for StatementInstrumentation {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        match event {
            InstrumentationEvent::StartQuery { query, .. } => {
                let span = sampled_span!(
                    "statement",
                    otel.kind = "client",
                    otel.name = Empty,
                    otel.status_code = Empty,
                    db.system.name = "postgresql",
                    db.operation.name = Empty,
                    db.query.summary = Empty,
                    error.type = Empty,
                );
                let statement = statement_text(query);
                if !span.is_disabled() {
                    let summary = query_summary(&statement);
                    span.record("otel.name", &summary);
                    span.record("db.operation.name", summary.split(' ').next());
                    span.record("db.query.summary", &summary);
                }
                self.running.push_back(RunningStatement {
                    began: Instant::now(),
                    span,
                    statement,
                });
                self.count_running();
            }
            InstrumentationEvent::FinishQuery { error, .. } => {
                // The end of the span is when it is dropped.
                let Some(finished) = self.running.pop_front() else {
                    return;
                };
                self.count_running();
                if let Some(error) = error {
                    finished.span.record("otel.status_code", "ERROR");
                    finished.span.record("error.type", error_type(error));
                }
                finished.log_if_slow(self.slow_threshold, false);
                // Only now is it its turn, whenever it was sent.
                if let Some(next) = self.running.front_mut() {
                    next.began = Instant::now();
                }
            }
            _ => {}
        }
    }
}

impl Drop for StatementInstrumentation {
    fn drop(&mut self) {
        // Those behind it have not begun.
        if let Some(abandoned) = self.running.pop_front() {
            if !deadline::has_requested_deadline_passed() {
                abandoned.span.record("otel.status_code", "ERROR");
            }
            abandoned.span.record("error.type", "abandoned");
            abandoned.log_if_slow(self.slow_threshold, true);
        }
    }
}

impl RunningStatement {
    fn log_if_slow(&self, slow_threshold: Duration, abandoned: bool) {
        let took = self.began.elapsed();
        if took > slow_threshold {
            let (statement, duration_ms) = (&self.statement, took.as_millis());
            tracing::warn!(statement, duration_ms, abandoned, "a slow statement");
        }
    }
}

/// The text of a statement, without its values.
fn statement_text(query: &dyn Display) -> String {
    let mut first = FirstWrite(None);
    // An error is how it is told to stop.
    let _stopped = write!(first, "{query}");
    first.0.unwrap_or_default()
}

/// Takes what is written first, and no more.
struct FirstWrite(Option<String>);

impl fmt::Write for FirstWrite {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        match self.0 {
            Some(_) => Err(fmt::Error),
            None => {
                self.0 = Some(piece.to_owned());
                Ok(())
            }
        }
    }
}

/// One of few words, and nothing of the message, which may quote a value.
fn error_type(error: &Error) -> String {
    match error {
        Error::DatabaseError(kind, _) => format!("{kind:?}"),
        Error::NotFound => "NotFound".to_owned(),
        _ => "_OTHER".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::schema::users;
    use diesel::prelude::*;

    #[test]
    fn statement_text_contains_no_values() {
        let query = users::table.filter(users::email.eq("canary@example.com"));
        let query = diesel::debug_query::<diesel::pg::Pg, _>(&query);
        assert!(query.to_string().contains("canary"));
        let text = statement_text(&query);
        assert!(text.starts_with("SELECT") && text.contains("$1"), "{text}");
        assert!(
            !text.contains("canary") && !text.contains("binds"),
            "{text}"
        );
    }
}
