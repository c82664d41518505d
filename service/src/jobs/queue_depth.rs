//! Measures the work that waits in the database: payment jobs and events.

use std::time::Duration;

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::{pause, round};
use crate::storage::database::Database;
use crate::storage::error::StorageError;
use crate::storage::{outbox, payment_jobs};
use crate::telemetry::metrics::QueueMetrics;

/// Works until told to stop.
pub async fn run(
    database: Database,
    queues: QueueMetrics,
    interval: Duration,
    stop: CancellationToken,
) {
    loop {
        if let Err(error) = round(measure(&database, &queues)).await {
            tracing::debug!(%error, "the queues can't be measured");
        }
        if !pause(&stop, interval).await {
            return;
        }
    }
}

async fn measure(database: &Database, queues: &QueueMetrics) -> Result<(), StorageError> {
    let mut conn = database.connection().await?;
    let jobs = payment_jobs::depth(&mut conn).await?;
    let (events, oldest_event) = outbox::depth(&mut conn).await?;
    drop(conn);

    let state = |state| queues.payment_jobs.with_label_values(&[state]);
    state("waiting").set(jobs.waiting);
    state("dead").set(jobs.dead);
    queues.outbox_events.set(events);
    let age = |since| QueueMetrics::age(since, Utc::now());
    queues.payment_jobs_oldest_age.set(age(jobs.oldest));
    queues.outbox_oldest_age.set(age(oldest_event));
    Ok(())
}
