//! Dead-lettered jobs: rows of `jobs` that wait for an operator.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::Value;

use super::error::StorageError;
use super::schema::jobs;
use super::statement::statement;

/// A dead-lettered job.
#[derive(Debug, Clone, Queryable, Selectable, serde::Serialize)]
#[diesel(table_name = jobs, check_for_backend(diesel::pg::Pg))]
pub struct DeadJob {
    /// Kind, such as `payment`.
    pub kind: String,
    /// Name of the job among those of its kind; the order's id for the jobs of an order.
    pub key: String,
    /// Work to do.
    pub payload: Value,
    /// Number of attempts.
    pub attempts: i32,
    /// Error of the last attempt.
    pub last_error: Option<String>,
    pub(crate) dead_at: Option<DateTime<Utc>>,
}

/// Dead-lettered jobs to change; without a key and a kind all of them.
#[derive(Debug, Clone, Default)]
pub struct DeadJobFilter {
    /// Those with this key.
    pub key: Option<String>,
    /// Those of this kind.
    pub kind: Option<String>,
}

/// Returns the dead-lettered jobs, oldest first, at most `limit`.
///
/// # Errors
/// Returns a [`StorageError`] if the statement fails.
pub async fn list(
    conn: &mut AsyncPgConnection,
    kind: Option<&str>,
    limit: i64,
) -> Result<Vec<DeadJob>, StorageError> {
    let mut dead = jobs::table
        .filter(jobs::dead_at.is_not_null())
        .order(jobs::dead_at)
        .limit(limit)
        .select(DeadJob::as_select())
        .into_boxed();
    if let Some(kind) = kind {
        dead = dead.filter(jobs::kind.eq(kind));
    }
    Ok(dead.load(conn).await?)
}

statement! {
    RequeueDead<'a> { key: Option<&'a str>, kind: Option<&'a str> } returns ();
    "UPDATE jobs SET attempts = 1, due_at = now(), run_at = now(), dead_at = NULL \
     WHERE dead_at IS NOT NULL AND key = coalesce(" {key: Nullable<Text>} ", key) \
     AND kind = coalesce(" {kind: Nullable<Text>} ", kind)"
}

/// Puts dead-lettered jobs back into the queue, due now, and returns their number. The attempts are
/// counted from 1, because 0 means that the job never began (`order_jobs::cancel_or_refund`).
///
/// # Errors
/// Returns a [`StorageError`] if the statement fails; nothing was changed.
pub async fn requeue(
    conn: &mut AsyncPgConnection,
    filter: &DeadJobFilter,
) -> Result<usize, StorageError> {
    let (key, kind) = (filter.key.as_deref(), filter.kind.as_deref());
    Ok(RequeueDead { key, kind }.execute(conn).await?)
}

statement! {
    DeleteDead<'a> { key: Option<&'a str>, kind: Option<&'a str> } returns ();
    "DELETE FROM jobs WHERE dead_at IS NOT NULL AND key = coalesce(" {key: Nullable<Text>} ", key) \
     AND kind = coalesce(" {kind: Nullable<Text>} ", kind)"
}

/// Deletes dead-lettered jobs and returns their number.
///
/// # Errors
/// Returns a [`StorageError`] if the statement fails; nothing was deleted.
pub async fn delete(
    conn: &mut AsyncPgConnection,
    filter: &DeadJobFilter,
) -> Result<usize, StorageError> {
    let (key, kind) = (filter.key.as_deref(), filter.kind.as_deref());
    Ok(DeleteDead { key, kind }.execute(conn).await?)
}
