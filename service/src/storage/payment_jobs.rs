//! The table `payment_jobs`: a queue with leases.
//!
//! [`lease`] takes due jobs and commits at once: no transaction is open while
//! the gateway is called. A lease is a promise with an end: the job's `run_at`
//! is pushed to the end of the lease, so if the worker dies, the job is simply
//! due again; `lease_token` tells the worker that lost its lease from the one
//! that has it now. `SKIP LOCKED` lets any number of workers lease at once
//! without waiting for each other. The clock is Postgres' own, one for all.
//!
//! Run it: `tests/api/payment_workers.rs`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::dsl::now;
use diesel::prelude::*;
use diesel::sql_types::{Int4, Int8, Interval, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::error::StorageError;
use super::rows::money;
use super::schema::payment_jobs;
use super::statement::statement;
use crate::domain::ids::OrderId;
use crate::domain::money::Money;

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
    pub fn as_str(self) -> &'static str {
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
    /// The how manyth try this is, from 1.
    pub attempt: u32,
    /// Proves that the lease is ours.
    pub token: Uuid,
}

statement! {
    LeaseJobs { token: Uuid, lease_ms: i64, limit: i64 } returns (SqlUuid, Text, Int8, Text, Int4);
    "UPDATE payment_jobs SET lease_token = " {token: SqlUuid} ", attempts = attempts + 1, \
     run_at = now() + " {lease_ms: Int8} " * interval '1 millisecond' \
     WHERE order_id = ANY (ARRAY(SELECT order_id FROM payment_jobs \
     WHERE dead_at IS NULL AND run_at <= now() ORDER BY run_at LIMIT " {limit: Int8} " \
     FOR UPDATE SKIP LOCKED)) \
     RETURNING order_id, kind, amount_minor, currency, attempts"
}

/// Leases up to `limit` due jobs for `lease`.
///
/// # Errors
/// [`StorageError`].
pub async fn lease(
    conn: &mut AsyncPgConnection,
    token: Uuid,
    lease: Duration,
    limit: usize,
) -> Result<Vec<LeasedJob>, StorageError> {
    let rows: Vec<(Uuid, String, i64, String, i32)> = LeaseJobs {
        token,
        lease_ms: i64::try_from(lease.as_millis()).unwrap_or(i64::MAX),
        limit: i64::try_from(limit).unwrap_or(i64::MAX),
        lifetime: std::marker::PhantomData,
    }
    .load(conn)
    .await?;
    rows.into_iter()
        .map(|(order_id, kind, minor, currency, attempts)| {
            Ok(LeasedJob {
                order_id: OrderId(order_id),
                kind: JobKind::parse(&kind)?,
                amount: money(minor, &currency)?,
                attempt: u32::try_from(attempts).unwrap_or_default(),
                token,
            })
        })
        .collect()
}

/// Deletes a job that is done. `false`: the lease was lost, the job stays.
///
/// # Errors
/// [`StorageError`].
pub async fn finish(conn: &mut AsyncPgConnection, job: &LeasedJob) -> Result<bool, StorageError> {
    Ok(diesel::delete(held(job)).execute(conn).await? == 1)
}

/// Gives a job back, due again after `delay`.
///
/// # Errors
/// [`StorageError`].
pub async fn retry_later(
    conn: &mut AsyncPgConnection,
    job: &LeasedJob,
    delay: Duration,
    error: &str,
) -> Result<(), StorageError> {
    let delay = diesel::pg::data_types::PgInterval::from_microseconds(
        i64::try_from(delay.as_micros()).unwrap_or(i64::MAX),
    );
    diesel::update(held(job))
        .set((
            payment_jobs::lease_token.eq(None::<Uuid>),
            payment_jobs::run_at.eq(now_there() + delay.into_sql::<Interval>()),
            payment_jobs::last_error.eq(error),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Gives a job up: it waits for a person. See `orderly jobs`.
///
/// # Errors
/// [`StorageError`].
pub async fn bury(
    conn: &mut AsyncPgConnection,
    job: &LeasedJob,
    error: &str,
) -> Result<(), StorageError> {
    diesel::update(held(job))
        .set((
            payment_jobs::lease_token.eq(None::<Uuid>),
            payment_jobs::dead_at.eq(now_there().nullable()),
            payment_jobs::last_error.eq(error),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// The time on Postgres' clock.
fn now_there() -> diesel::dsl::AsExprOf<now, Timestamptz> {
    now.into_sql::<Timestamptz>()
}

type Held = diesel::dsl::Filter<
    diesel::dsl::Find<payment_jobs::table, Uuid>,
    diesel::dsl::Eq<payment_jobs::lease_token, Option<Uuid>>,
>;

fn held(job: &LeasedJob) -> Held {
    payment_jobs::table
        .find(job.order_id.0)
        .filter(payment_jobs::lease_token.eq(Some(job.token)))
}

/// Takes back the charge of an order that was cancelled, in the transaction that
/// cancels it. A charge that no worker ever began is deleted. One that may be
/// under way becomes a refund, due now, and the worker's lease is void.
///
/// # Errors
/// [`StorageError`].
pub async fn call_off(conn: &mut AsyncPgConnection, order_id: OrderId) -> Result<(), StorageError> {
    let job = payment_jobs::table.find(order_id.0);
    let never_begun = job.filter(payment_jobs::attempts.eq(0));
    if diesel::delete(never_begun).execute(conn).await? == 1 {
        return Ok(());
    }
    diesel::update(job)
        .set((
            payment_jobs::kind.eq(JobKind::Refund.as_str()),
            payment_jobs::attempts.eq(0),
            payment_jobs::run_at.eq(now_there()),
            payment_jobs::lease_token.eq(None::<Uuid>),
            payment_jobs::dead_at.eq(None::<DateTime<Utc>>),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// A job that was given up.
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
    pub currency: String,
    /// How often it was tried.
    pub attempts: i32,
    /// What the last try said.
    pub last_error: Option<String>,
    /// When it was given up.
    pub dead_at: Option<DateTime<Utc>>,
}

/// The jobs that were given up, oldest first, at most `limit`.
///
/// # Errors
/// [`StorageError`].
pub async fn dead(conn: &mut AsyncPgConnection, limit: i64) -> Result<Vec<DeadJob>, StorageError> {
    Ok(payment_jobs::table
        .filter(payment_jobs::dead_at.is_not_null())
        .order(payment_jobs::dead_at)
        .limit(limit)
        .select(DeadJob::as_select())
        .load(conn)
        .await?)
}

/// Puts jobs that were given up back into the queue, due now: one, or all of
/// them. Returns how many that were. The tries are counted from 1, for 0 would
/// say that the gateway was never asked (see [`call_off`]).
///
/// # Errors
/// [`StorageError`].
pub async fn requeue(
    conn: &mut AsyncPgConnection,
    order_id: Option<OrderId>,
) -> Result<usize, StorageError> {
    let mut dead = diesel::update(payment_jobs::table)
        .set((
            payment_jobs::attempts.eq(1),
            payment_jobs::run_at.eq(now_there()),
            payment_jobs::dead_at.eq(None::<DateTime<Utc>>),
        ))
        .filter(payment_jobs::dead_at.is_not_null())
        .into_boxed();
    if let Some(order_id) = order_id {
        dead = dead.filter(payment_jobs::order_id.eq(order_id.0));
    }
    Ok(dead.execute(conn).await?)
}

/// How many jobs wait (dead ones not counted) and how many are dead.
///
/// # Errors
/// [`StorageError`].
pub async fn depth(conn: &mut AsyncPgConnection) -> Result<(i64, i64), StorageError> {
    let waiting = payment_jobs::table
        .filter(payment_jobs::dead_at.is_null())
        .count()
        .get_result(conn)
        .await?;
    let dead = payment_jobs::table
        .filter(payment_jobs::dead_at.is_not_null())
        .count()
        .get_result(conn)
        .await?;
    Ok((waiting, dead))
}
