//! The table `payment_jobs`: a queue with leases.
//!
//! `lease` takes due jobs and commits at once: no transaction is open while
//! the gateway is called. A lease is a promise with an end: the job's `run_at`
//! is pushed to the end of the lease, so if the worker dies, the job is simply
//! due again; `lease_token` tells the worker that lost its lease from the one
//! that has it now. `SKIP LOCKED` lets any number of workers lease at once
//! without waiting for each other. The clock is Postgres' own, one for all.
//!
//! Run it: `tests/api/payments/leases.rs`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::dsl::{count_star, min, now};
use diesel::pg::data_types::PgInterval;
use diesel::prelude::*;
use diesel::sql_types::{Int4, Int8, Interval, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::error::StorageError;
use super::rows::money;
use super::schema::payment_jobs;
use super::statement::statement;
use crate::domain::ids::OrderId;
use crate::domain::money::Money;
use crate::telemetry::trace_context;

/// What is to be done about an order's money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Take it.
    Charge,
    /// Make sure that nothing was taken, or give it back.
    Refund,
}

impl JobKind {
    /// The name in the table.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Refund => "refund",
        }
    }

    fn parse(name: &str) -> Result<Self, StorageError> {
        [Self::Charge, Self::Refund]
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| StorageError::UnreadableRow("unknown job kind".to_owned()))
    }
}

/// A job that is ours until the lease ends.
#[derive(Debug, Clone)]
pub struct LeasedJob {
    /// Whose payment.
    pub order_id: OrderId,
    /// What to do.
    pub kind: JobKind,
    /// How much.
    pub amount: Money,
    /// Attempt number, starting at 1.
    pub attempt: u32,
    /// Since when it is to be done.
    pub age: Duration,
    /// Proves that the lease is ours.
    pub token: Uuid,
    /// The span that caused the job, as a `traceparent`.
    pub trace_context: Option<String>,
}

type LeasedColumns = (SqlUuid, Text, Int8, Text, Int4, Int8, Nullable<Text>);
type LeasedRow = (Uuid, String, i64, String, i32, i64, Option<String>);

statement! {
    LeaseJobs { token: Uuid, lease_ms: i64, limit: i64 } returns LeasedColumns;
    "UPDATE payment_jobs SET lease_token = " {token: SqlUuid} ", attempts = attempts + 1, \
     run_at = now() + " {lease_ms: Int8} " * interval '1 millisecond' \
     WHERE order_id = ANY (ARRAY(SELECT order_id FROM payment_jobs \
     WHERE dead_at IS NULL AND run_at <= now() ORDER BY run_at LIMIT " {limit: Int8} " \
     FOR UPDATE SKIP LOCKED)) \
     RETURNING order_id, kind, amount_minor, currency, attempts, \
     (extract(epoch FROM now() - created_at) * 1000)::bigint, trace_context"
}

/// Leases up to `limit` due jobs for `duration`.
pub(crate) async fn lease(
    conn: &mut AsyncPgConnection,
    token: Uuid,
    duration: Duration,
    limit: usize,
) -> Result<Vec<LeasedJob>, StorageError> {
    let rows: Vec<LeasedRow> = LeaseJobs {
        token,
        lease_ms: i64::try_from(duration.as_millis()).unwrap_or(i64::MAX),
        limit: i64::try_from(limit).unwrap_or(i64::MAX),
    }
    .load(conn)
    .await?;
    rows.into_iter()
        .map(
            |(order_id, kind, minor, currency, attempts, age_ms, trace_context)| {
                Ok(LeasedJob {
                    order_id: OrderId(order_id),
                    kind: JobKind::parse(&kind)?,
                    amount: money(minor, &currency)?,
                    attempt: u32::try_from(attempts).unwrap_or_default(),
                    age: Duration::from_millis(u64::try_from(age_ms).unwrap_or_default()),
                    token,
                    trace_context,
                })
            },
        )
        .collect()
}

/// Deletes a job that is done. `false`: the lease was lost, the job stays.
pub(crate) async fn complete(
    conn: &mut AsyncPgConnection,
    job: &LeasedJob,
) -> Result<bool, StorageError> {
    Ok(diesel::delete(where_lease_held(job)).execute(conn).await? == 1)
}

/// Gives a job back, due again after `delay`.
pub(crate) async fn reschedule(
    conn: &mut AsyncPgConnection,
    job: &LeasedJob,
    delay: Duration,
    error: &str,
) -> Result<(), StorageError> {
    diesel::update(where_lease_held(job))
        .set((
            payment_jobs::lease_token.eq(None::<Uuid>),
            payment_jobs::run_at.eq(db_now() + interval(delay).into_sql::<Interval>()),
            payment_jobs::last_error.eq(error),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Gives a job back that was never begun, due again after `delay`: the attempt
/// does not count.
pub(crate) async fn release(
    conn: &mut AsyncPgConnection,
    job: &LeasedJob,
    delay: Duration,
) -> Result<(), StorageError> {
    diesel::update(where_lease_held(job))
        .set((
            payment_jobs::lease_token.eq(None::<Uuid>),
            payment_jobs::attempts.eq(payment_jobs::attempts - 1),
            payment_jobs::run_at.eq(db_now() + interval(delay).into_sql::<Interval>()),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Dead-letters a job: it waits for a person. See `orderly jobs`.
pub(crate) async fn dead_letter(
    conn: &mut AsyncPgConnection,
    job: &LeasedJob,
    error: &str,
) -> Result<(), StorageError> {
    diesel::update(where_lease_held(job))
        .set((
            payment_jobs::lease_token.eq(None::<Uuid>),
            payment_jobs::dead_at.eq(db_now().nullable()),
            payment_jobs::last_error.eq(error),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

fn interval(duration: Duration) -> PgInterval {
    PgInterval::from_microseconds(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}

/// The time on Postgres' clock.
fn db_now() -> diesel::dsl::AsExprOf<now, Timestamptz> {
    now.into_sql::<Timestamptz>()
}

type LeaseFilter = diesel::dsl::Filter<
    diesel::dsl::Find<payment_jobs::table, Uuid>,
    diesel::dsl::Eq<payment_jobs::lease_token, Option<Uuid>>,
>;

fn where_lease_held(job: &LeasedJob) -> LeaseFilter {
    payment_jobs::table
        .find(job.order_id.0)
        .filter(payment_jobs::lease_token.eq(Some(job.token)))
}

/// Takes back the charge of an order that was cancelled, in the transaction that
/// cancels it. A charge that no worker ever began is deleted. One that may be
/// under way becomes a refund, due now, and the worker's lease is void.
pub(crate) async fn cancel_or_refund(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
) -> Result<(), StorageError> {
    let job = payment_jobs::table.find(order_id.0);
    let unattempted = job.filter(payment_jobs::attempts.eq(0));
    if diesel::delete(unattempted).execute(conn).await? == 1 {
        return Ok(());
    }
    diesel::update(job)
        .set((
            payment_jobs::kind.eq(JobKind::Refund.as_str()),
            payment_jobs::attempts.eq(0),
            payment_jobs::created_at.eq(db_now()),
            payment_jobs::run_at.eq(db_now()),
            payment_jobs::lease_token.eq(None::<Uuid>),
            payment_jobs::dead_at.eq(None::<DateTime<Utc>>),
            payment_jobs::trace_context.eq(trace_context::current_traceparent()),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// What is in the queue.
pub(crate) struct QueueDepth {
    /// Jobs that wait; dead ones are not counted.
    pub(crate) waiting: i64,
    pub(crate) dead_lettered: i64,
    /// Since when the oldest one waits.
    pub(crate) oldest_created_at: Option<DateTime<Utc>>,
}

pub(crate) async fn depth(conn: &mut AsyncPgConnection) -> Result<QueueDepth, StorageError> {
    let (waiting, oldest) = payment_jobs::table
        .filter(payment_jobs::dead_at.is_null())
        .select((count_star(), min(payment_jobs::created_at)))
        .first(conn)
        .await?;
    let dead = payment_jobs::table
        .filter(payment_jobs::dead_at.is_not_null())
        .count()
        .get_result(conn)
        .await?;
    Ok(QueueDepth {
        waiting,
        dead_lettered: dead,
        oldest_created_at: oldest,
    })
}
