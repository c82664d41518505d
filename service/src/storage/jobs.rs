//! The table `jobs`: one queue with leases, for every kind of background work.
//!
//! # Problem
//! Work that follows from a change, such as charging for an order, is lost if the process dies between
//! the commit and the work. Two workers that take the same job do it twice.
//!
//! # How it works
//! A job is a row, inserted by the transaction of the change. [`lease`] takes due jobs of one kind and
//! commits immediately: no transaction is open while the job runs. A lease is a claim that expires: it
//! sets `run_at` to its end, so if the worker dies, the job is due again. `lease_token` distinguishes the
//! worker that lost its lease from the one that holds it. `SKIP LOCKED` lets any number of workers lease
//! at the same time without waiting for each other. The clock is that of Postgres, one for all replicas.
//!
//! A job is named by its kind and a key: one that the caller chooses if at most one such job may exist,
//! otherwise a random one. Its payload is JSON that the handler of the kind reads ([`crate::jobs::queue`]).
//!
//! # Pitfalls
//! - A job runs at least once. Its handler must tolerate a second run.
//! - Complete a job in the transaction that does its work ([`complete`]); a commit in between would leave
//!   work that is done twice or never.
//! - To partition the queue by shard, put `shard = $1 AND` in front of each `WHERE`, and the column in
//!   front of each index.
//!
//! # Tests
//! `tests/api/jobs/queue.rs` and `tests/api/payments/leases.rs`.

use std::time::Duration;

use diesel::sql_types::{Int4, Int8, Jsonb, Nullable, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::error::StorageError;
use super::statement::statement;
use crate::telemetry::trace_context;

/// A job to insert.
pub struct NewJob<'a, P> {
    /// Kind whose handler runs it.
    pub kind: &'static str,
    /// Key that one job of the kind may have at a time; `None` makes a random one.
    pub key: Option<&'a str>,
    /// Work to do.
    pub payload: &'a P,
    /// Time until it is due.
    pub delay: Duration,
}

statement! {
    EnqueueJob<'a> {
        kind: &'static str,
        key: Option<&'a str>,
        payload: Value,
        delay_ms: i64,
        trace_context: Option<String>,
    } returns ();
    "INSERT INTO jobs (kind, key, payload, run_at, due_at, trace_context) \
     SELECT " {kind: Text} ", coalesce(" {key: Nullable<Text>} ", gen_random_uuid()::text)," {payload: Jsonb} ", due_at, due_at, "
     {trace_context: Nullable<Text>} " \
     FROM (SELECT now() + " {delay_ms: Int8} " * interval '1 millisecond' AS due_at) AS job \
     ON CONFLICT (kind, key) DO UPDATE SET payload = excluded.payload, attempts = 0, \
     run_at = excluded.run_at, due_at = excluded.due_at, lease_token = NULL, last_error = NULL, \
     dead_at = NULL, trace_context = excluded.trace_context"
}

/// Inserts a job, in the transaction of the change that causes it. It replaces the job with the same
/// kind and key: the attempts start again, and the lease of a worker ends.
///
/// # Errors
/// Returns a [`StorageError`] if the payload is no JSON or the statement fails; nothing was changed.
pub async fn enqueue<P: Serialize>(
    conn: &mut AsyncPgConnection,
    job: NewJob<'_, P>,
) -> Result<(), StorageError> {
    EnqueueJob {
        kind: job.kind,
        key: job.key,
        payload: to_payload(job.payload)?,
        delay_ms: milliseconds(job.delay),
        trace_context: trace_context::current_traceparent(),
    }
    .execute(conn)
    .await?;
    Ok(())
}

/// The column `payload` of a job.
pub(super) fn to_payload(payload: &impl Serialize) -> Result<Value, StorageError> {
    serde_json::to_value(payload)
        .map_err(|error| diesel::result::Error::SerializationError(error.into()).into())
}

/// A duration as the statements take it.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A job that this worker may run until the lease ends.
#[derive(Debug, Clone)]
pub struct LeasedJob {
    /// Kind of the job.
    pub kind: &'static str,
    /// Name of the job among those of its kind.
    pub key: String,
    /// Work to do, as its kind writes it.
    pub payload: Value,
    /// Attempt number, starting at 1.
    pub attempt: u32,
    /// Time since the job was first due.
    pub age: Duration,
    /// Proof of the lease.
    pub token: Uuid,
    /// The span that caused the job, as a `traceparent`.
    pub trace_context: Option<String>,
}

type LeasedColumns = (Text, Jsonb, Int4, Int8, Nullable<Text>);
type LeasedRow = (String, Value, i32, i64, Option<String>);

statement! {
    LeaseJobs { kind: &'static str, token: Uuid, lease_ms: i64, limit: i64 } returns LeasedColumns;
    "UPDATE jobs SET lease_token = " {token: SqlUuid} ", attempts = attempts + 1, \
     run_at = now() + " {lease_ms: Int8} " * interval '1 millisecond' \
     WHERE kind = " {kind: Text} " AND key = ANY (ARRAY(SELECT key FROM jobs \
     WHERE kind = " {kind: Text} " AND dead_at IS NULL AND run_at <= now() \
     ORDER BY run_at LIMIT " {limit: Int8} " FOR UPDATE SKIP LOCKED)) \
     RETURNING key, payload, attempts, \
     (extract(epoch FROM now() - due_at) * 1000)::bigint, trace_context"
}

/// Leases up to `limit` due jobs of a kind for `duration`.
pub(crate) async fn lease(
    conn: &mut AsyncPgConnection,
    kind: &'static str,
    token: Uuid,
    duration: Duration,
    limit: usize,
) -> Result<Vec<LeasedJob>, StorageError> {
    let rows: Vec<LeasedRow> = LeaseJobs {
        kind,
        token,
        lease_ms: milliseconds(duration),
        limit: i64::try_from(limit).unwrap_or(i64::MAX),
    }
    .load(conn)
    .await?;
    let jobs = rows.into_iter().map(
        |(key, payload, attempts, age_ms, trace_context)| LeasedJob {
            kind,
            key,
            payload,
            attempt: u32::try_from(attempts).unwrap_or_default(),
            age: Duration::from_millis(u64::try_from(age_ms).unwrap_or_default()),
            token,
            trace_context,
        },
    );
    Ok(jobs.collect())
}

statement! {
    CompleteJob<'a> { kind: &'static str, key: &'a str, token: Uuid } returns ();
    "DELETE FROM jobs WHERE kind = " {kind: Text} " AND key = " {key: Text} " AND lease_token = " {token: SqlUuid}
}

/// Deletes a job that is done; without the lease the job stays.
///
/// # Errors
/// Returns a [`StorageError`] if the statement fails; nothing was deleted.
pub async fn complete(conn: &mut AsyncPgConnection, job: &LeasedJob) -> Result<(), StorageError> {
    CompleteJob {
        kind: job.kind,
        key: &job.key,
        token: job.token,
    }
    .execute(conn)
    .await?;
    Ok(())
}

statement! {
    RescheduleJob<'a> {
        kind: &'static str,
        key: &'a str,
        token: Uuid,
        delay_ms: i64,
        error: &'a str,
    } returns ();
    "UPDATE jobs SET lease_token = NULL, last_error = " {error: Text} ", \
     run_at = now() + " {delay_ms: Int8} " * interval '1 millisecond' \
     WHERE kind = " {kind: Text} " AND key = " {key: Text} " AND lease_token = " {token: SqlUuid}
}

/// Ends the lease of a job whose attempt failed; the job is due again after `delay`.
pub(crate) async fn reschedule(
    conn: &mut AsyncPgConnection,
    job: &LeasedJob,
    delay: Duration,
    error: &str,
) -> Result<(), StorageError> {
    RescheduleJob {
        kind: job.kind,
        key: &job.key,
        token: job.token,
        delay_ms: milliseconds(delay),
        error,
    }
    .execute(conn)
    .await?;
    Ok(())
}

statement! {
    ReleaseJob<'a> { kind: &'static str, key: &'a str, token: Uuid, delay_ms: i64 } returns ();
    "UPDATE jobs SET lease_token = NULL, attempts = attempts - 1, \
     run_at = now() + " {delay_ms: Int8} " * interval '1 millisecond' \
     WHERE kind = " {kind: Text} " AND key = " {key: Text} " AND lease_token = " {token: SqlUuid}
}

/// Ends the lease of a job that was never begun; the job is due again after `delay`, and the attempt
/// does not count.
pub(crate) async fn release(
    conn: &mut AsyncPgConnection,
    job: &LeasedJob,
    delay: Duration,
) -> Result<(), StorageError> {
    ReleaseJob {
        kind: job.kind,
        key: &job.key,
        token: job.token,
        delay_ms: milliseconds(delay),
    }
    .execute(conn)
    .await?;
    Ok(())
}

statement! {
    DeadLetterJob<'a> { kind: &'static str, key: &'a str, token: Uuid, error: &'a str } returns ();
    "UPDATE jobs SET lease_token = NULL, dead_at = now(), last_error = " {error: Text} " \
     WHERE kind = " {kind: Text} " AND key = " {key: Text} " AND lease_token = " {token: SqlUuid}
}

/// Dead-letters a job: it waits for an operator ([`dead_jobs`](super::dead_jobs)).
pub(crate) async fn dead_letter(
    conn: &mut AsyncPgConnection,
    job: &LeasedJob,
    error: &str,
) -> Result<(), StorageError> {
    DeadLetterJob {
        kind: job.kind,
        key: &job.key,
        token: job.token,
        error,
    }
    .execute(conn)
    .await?;
    Ok(())
}
