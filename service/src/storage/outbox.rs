//! The table `outbox`: events that are still to be published.
//!
//! An event that is published inside a transaction may tell of something that is
//! then rolled back; one that is published after it may be lost in a crash. So
//! the event is a row, committed with the change it tells of, and
//! `jobs/outbox_relay.rs` publishes it afterwards, at least once.
//!
//! To partition the outbox by shard, add `shard = $1` as the first filter of [`list_oldest`], the column in
//! front of the primary key, and the shard to the key of the relay lock: one relay for each shard.

use chrono::{DateTime, Utc};
use diesel::dsl::{count_star, min};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::advisory_locks;
use super::error::StorageError;
use super::schema::outbox;
use crate::domain::event::OrderEvent;
use crate::domain::ids::OrderId;
use crate::telemetry::trace_context;

diesel::define_sql_function! {
    /// Takes a lock that lasts as long as the session, if it is free.
    fn pg_try_advisory_lock(key: BigInt) -> diesel::sql_types::Bool;
}

/// Adds an event, in the transaction of the change that it tells of.
pub(crate) async fn append(
    conn: &mut AsyncPgConnection,
    event: &OrderEvent,
) -> Result<(), StorageError> {
    diesel::insert_into(outbox::table)
        .values((
            outbox::event_id.eq(event.id),
            outbox::order_id.eq(event.order_id.0),
            outbox::kind.eq(&event.event_type),
            outbox::data.eq(&event.data),
            outbox::occurred_at.eq(event.occurred_at),
            outbox::trace_context.eq(trace_context::current_traceparent()),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Becomes the one relay of this database, for as long as the session of `conn`
/// lasts. `false`: another replica is.
pub(crate) async fn try_acquire_relay_lock(
    conn: &mut AsyncPgConnection,
) -> Result<bool, StorageError> {
    Ok(
        diesel::select(pg_try_advisory_lock(advisory_locks::OUTBOX_RELAY))
            .get_result(conn)
            .await?,
    )
}

/// An event that waits in the table.
pub(crate) struct StoredEvent {
    pub(crate) outbox_id: i64,
    pub(crate) event: OrderEvent,
    /// The span that it happened in, as a `traceparent`.
    pub(crate) trace_context: Option<String>,
}

/// The oldest `limit` events.
pub(crate) async fn list_oldest(
    conn: &mut AsyncPgConnection,
    limit: i64,
) -> Result<Vec<StoredEvent>, StorageError> {
    type OutboxRow = (
        i64,
        Uuid,
        Uuid,
        String,
        String,
        DateTime<Utc>,
        Option<String>,
    );
    let rows: Vec<OutboxRow> = outbox::table
        .order(outbox::id)
        .limit(limit)
        .load(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(
            |(outbox_id, id, order_id, kind, data, occurred_at, trace_context)| {
                let event = OrderEvent {
                    id,
                    order_id: OrderId(order_id),
                    event_type: kind,
                    data,
                    occurred_at,
                };
                StoredEvent {
                    outbox_id,
                    event,
                    trace_context,
                }
            },
        )
        .collect())
}

/// Deletes the rows of events that were published.
pub(crate) async fn delete(
    conn: &mut AsyncPgConnection,
    outbox_ids: &[i64],
) -> Result<(), StorageError> {
    diesel::delete(outbox::table.filter(outbox::id.eq_any(outbox_ids)))
        .execute(conn)
        .await?;
    Ok(())
}

/// How many events wait, and since when the oldest one does.
pub(crate) async fn depth(
    conn: &mut AsyncPgConnection,
) -> Result<(i64, Option<DateTime<Utc>>), StorageError> {
    Ok(outbox::table
        .select((count_star(), min(outbox::occurred_at)))
        .first(conn)
        .await?)
}
