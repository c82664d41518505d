//! Events leave the outbox.

use diesel_async::AsyncPgConnection;
use tracing::Instrument as _;

use crate::domain::event::OrderEvent;
use crate::events::Publisher;
use crate::storage::outbox;
use crate::telemetry::trace_context;

/// Publishes the oldest events and deletes their rows, and returns how many that
/// were. The rows go only after the publish: a crash in between publishes them
/// again, it never loses them. `conn` is the relay's, of which there is one.
///
/// # Errors
/// Returns an error if the database or the publisher fails; the rows stay.
pub(crate) async fn publish_events(
    conn: &mut AsyncPgConnection,
    publisher: &Publisher,
    batch_size: i64,
) -> anyhow::Result<usize> {
    let stored_events = outbox::list_oldest(conn, batch_size).await?;
    if stored_events.is_empty() {
        return Ok(0);
    }
    let span = tracing::info_span!("publish_events", otel.name = "publish events");
    for stored in &stored_events {
        trace_context::link(&span, stored.trace_context.as_deref());
    }
    let publish = async {
        let (outbox_ids, events): (Vec<i64>, Vec<OrderEvent>) = (stored_events.into_iter())
            .map(|stored| (stored.outbox_id, stored.event))
            .unzip();
        publisher.publish(&events).await?;
        outbox::delete(conn, &outbox_ids).await?;
        Ok(events.len())
    };
    publish.instrument(span).await
}
