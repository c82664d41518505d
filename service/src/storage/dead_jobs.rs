//! Dead-lettered payment jobs: rows of `payment_jobs` that wait for a person.

use chrono::{DateTime, Utc};
use diesel::dsl::now;
use diesel::prelude::*;
use diesel::sql_types::Timestamptz;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::error::StorageError;
use super::schema::payment_jobs;
use crate::domain::ids::OrderId;

/// A dead-lettered job.
#[derive(Debug, Clone, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = payment_jobs, check_for_backend(diesel::pg::Pg))]
pub struct DeadJob {
    /// Whose payment.
    pub order_id: Uuid,
    /// `charge` or `refund`.
    pub kind: String,
    /// How much, in minor units.
    pub amount_minor: i64,
    /// ISO 4217.
    pub(crate) currency: String,
    /// Number of attempts.
    pub attempts: i32,
    /// Error of the last attempt.
    pub last_error: Option<String>,
    pub(crate) dead_at: Option<DateTime<Utc>>,
}

/// Returns the dead-lettered jobs, oldest first, at most `limit`.
///
/// # Errors
/// Returns a [`StorageError`] if the statement fails.
pub async fn list(conn: &mut AsyncPgConnection, limit: i64) -> Result<Vec<DeadJob>, StorageError> {
    Ok(payment_jobs::table
        .filter(payment_jobs::dead_at.is_not_null())
        .order(payment_jobs::dead_at)
        .limit(limit)
        .select(DeadJob::as_select())
        .load(conn)
        .await?)
}

/// Puts dead-lettered jobs back into the queue, due now: one, or all of
/// them. Returns how many that were. The attempts are counted from 1, for 0 would
/// say that the gateway was never asked (see `payment_jobs::cancel`).
///
/// # Errors
/// Returns a [`StorageError`] if the statement fails; nothing was changed.
pub async fn requeue(
    conn: &mut AsyncPgConnection,
    order_id: Option<OrderId>,
) -> Result<usize, StorageError> {
    let mut dead = diesel::update(payment_jobs::table)
        .set((
            payment_jobs::attempts.eq(1),
            payment_jobs::created_at.eq(now.into_sql::<Timestamptz>()),
            payment_jobs::run_at.eq(now.into_sql::<Timestamptz>()),
            payment_jobs::dead_at.eq(None::<DateTime<Utc>>),
        ))
        .filter(payment_jobs::dead_at.is_not_null())
        .into_boxed();
    if let Some(order_id) = order_id {
        dead = dead.filter(payment_jobs::order_id.eq(order_id.0));
    }
    Ok(dead.execute(conn).await?)
}
