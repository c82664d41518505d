//! Events leave the outbox.

use diesel_async::AsyncPgConnection;

use crate::domain::event::OrderEvent;
use crate::events::Publisher;
use crate::storage::outbox;

/// Publishes the oldest events and deletes their rows, and returns how many that
/// were. The rows go only after the publish: a crash in between publishes them
/// again, it never loses them. `conn` is the relay's, of which there is one.
///
/// # Errors
/// If the database or the publisher fails; the rows stay.
pub async fn publish_events(
    conn: &mut AsyncPgConnection,
    publisher: &Publisher,
    batch: i64,
) -> anyhow::Result<usize> {
    let (rows, events): (Vec<i64>, Vec<OrderEvent>) =
        outbox::oldest(conn, batch).await?.into_iter().unzip();
    if events.is_empty() {
        return Ok(0);
    }
    publisher.publish(&events).await?;
    outbox::delete(conn, &rows).await?;
    Ok(events.len())
}
