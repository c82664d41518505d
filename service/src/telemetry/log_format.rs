//! What a log line looks like: for people or for machines.
//!
//! Either way a line that belongs to a request or a job ends with its `trace_id` and
//! `span_id`, so that all lines of one are found by it, and the trace by the line.
//! The fields of spans are not repeated on each line: the trace has them, and to
//! format them costs more than the line.
//!
//! Run it: `request_and_job_log_lines_have_trace_ids` in
//! `tests/process/logging.rs`.

use std::fmt;

use chrono::{SecondsFormat, Utc};
use serde::ser::{SerializeMap, Serializer as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::trace_context;

/// For people: `2026-05-04T09:30:00.000000Z  INFO ready address=… trace_id=…`.
pub(super) struct PrettyFormat;

/// For collectors: one JSON object a line, the fields of the event at its top level.
pub(super) struct JsonFormat;

/// Leaves the fields of spans out.
pub(super) struct SkipSpanFields;

impl<'writer> FormatFields<'writer> for SkipSpanFields {
    fn format_fields<R: RecordFields>(&self, _: Writer<'writer>, _: R) -> fmt::Result {
        Ok(())
    }
}

impl<S, N> FormatEvent<S, N> for PrettyFormat
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (dim, colour, plain) = match writer.has_ansi_escapes() {
            true => ("\x1b[2m", colour(*event.metadata().level()), "\x1b[0m"),
            false => ("", "", ""),
        };
        let level = event.metadata().level();
        write!(writer, "{dim}{}{plain} {colour}{level:>5}{plain} ", now())?;
        DefaultFields::new().format_fields(writer.by_ref(), event)?;
        if let Some(span) = trace_context::span_context_of(event) {
            let (trace_id, span_id) = (span.trace_id(), span.span_id());
            write!(writer, "{dim} trace_id={trace_id} span_id={span_id}{plain}")?;
        }
        writeln!(writer)
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

impl<S, N> FormatEvent<S, N> for JsonFormat
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Vec::with_capacity(512);
        write_json(&mut line, event).map_err(|_| fmt::Error)?;
        writer.write_str(std::str::from_utf8(&line).map_err(|_| fmt::Error)?)?;
        writeln!(writer)
    }
}

fn write_json(line: &mut Vec<u8>, event: &Event<'_>) -> serde_json::Result<()> {
    let mut json = serde_json::Serializer::new(line);
    let mut map = json.serialize_map(None)?;
    map.serialize_entry("timestamp", &now())?;
    map.serialize_entry("level", event.metadata().level().as_str())?;
    let mut fields = JsonFieldVisitor {
        map: &mut map,
        log_target: None,
        written: Ok(()),
    };
    event.record(&mut fields);
    let JsonFieldVisitor {
        log_target,
        written,
        ..
    } = fields;
    written?;
    let target = log_target.as_deref().unwrap_or(event.metadata().target());
    map.serialize_entry("target", target)?;
    if let Some(span) = trace_context::span_context_of(event) {
        map.serialize_entry("trace_id", &format_args!("{}", span.trace_id()))?;
        map.serialize_entry("span_id", &format_args!("{}", span.span_id()))?;
    }
    map.end()
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Writes the fields of an event. Lines of the crate `log` come with their origin in
/// fields `log.…`, of which only the target is of use.
struct JsonFieldVisitor<'a, M: SerializeMap> {
    map: &'a mut M,
    log_target: Option<String>,
    written: Result<(), M::Error>,
}

impl<M: SerializeMap> JsonFieldVisitor<'_, M> {
    fn write(&mut self, field: &Field, value: &(impl serde::Serialize + ?Sized)) {
        if self.written.is_ok() && !field.name().starts_with("log.") {
            self.written = self.map.serialize_entry(field.name(), value);
        }
    }
}

impl<M: SerializeMap> Visit for JsonFieldVisitor<'_, M> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, &format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "log.target" {
            self.log_target = Some(value.to_owned());
        }
        self.write(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.write(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write(field, &value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.record_u64(field, u64::try_from(value).unwrap_or(u64::MAX));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write(field, &value);
    }
}
