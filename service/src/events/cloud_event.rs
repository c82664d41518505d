//! The envelope: CloudEvents 1.0, JSON format, structured mode
//! (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).

use chrono::SecondsFormat;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::domain::event::OrderEvent;

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: uuid::Uuid,
    source: &'static str,
    #[serde(rename = "type")]
    kind: &'a str,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    data: &'a RawValue,
}

/// The event as JSON text: `type` is what happened, `subject` the order's id,
/// `data` the order. `source` and `id` together are unique (section 3.1 of the
/// specification), so a consumer can drop what it has seen.
///
/// # Errors
/// Returns an error if the event's data is not JSON.
pub(super) fn to_json(event: &OrderEvent) -> serde_json::Result<String> {
    serde_json::to_string(&CloudEvent {
        specversion: "1.0",
        id: event.id,
        source: "/v1/orders",
        kind: &event.event_type,
        subject: event.order_id.to_string(),
        time: event
            .occurred_at
            .to_rfc3339_opts(SecondsFormat::Micros, true),
        datacontenttype: "application/json",
        data: serde_json::from_str(&event.data)?,
    })
}
