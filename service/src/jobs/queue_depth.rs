//! Measures the work that waits in the database: payment jobs and events.
//!
//! While the database is away, what was last seen waiting grows older all the same:
//! an age that stood still would keep its alert from ever going off.
//!
//! See it break: `ages_keep_growing_while_postgres_is_unavailable` in
//! `tests/api/operations/business_metrics.rs`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::{sleep_unless_stopped, with_timeout};
use crate::storage::database::Database;
use crate::storage::error::StorageError;
use crate::storage::{outbox, payment_jobs};
use crate::telemetry::metrics::QueueMetrics;

/// Since when the oldest of each has waited; `None` without one.
#[derive(Default)]
struct OldestPending {
    job: Option<DateTime<Utc>>,
    event: Option<DateTime<Utc>>,
}

/// Works until told to stop.
pub(crate) async fn run(
    database: Database,
    queues: QueueMetrics,
    interval: Duration,
    stop: CancellationToken,
) {
    let mut oldest = OldestPending::default();
    loop {
        match with_timeout(measure(&database, &queues)).await {
            Ok(measured) => oldest = measured,
            Err(error) => tracing::debug!(%error, "the queues can't be measured"),
        }
        // In any case: while the database is away nothing is done, and what waits goes on waiting.
        let age = |since| QueueMetrics::age(since, Utc::now());
        queues.payment_jobs_oldest_age.set(age(oldest.job));
        queues.outbox_oldest_age.set(age(oldest.event));
        if !sleep_unless_stopped(&stop, interval).await {
            return;
        }
    }
}

async fn measure(
    database: &Database,
    queues: &QueueMetrics,
) -> Result<OldestPending, StorageError> {
    let mut conn = database.connection().await?;
    let jobs = payment_jobs::depth(&mut conn).await?;
    let (events, oldest_event) = outbox::depth(&mut conn).await?;
    drop(conn);

    let gauge = |state| queues.payment_jobs.with_label_values(&[state]);
    gauge("waiting").set(jobs.waiting);
    gauge("dead_lettered").set(jobs.dead_lettered);
    queues.outbox_events.set(events);
    Ok(OldestPending {
        job: jobs.oldest_created_at,
        event: oldest_event,
    })
}
