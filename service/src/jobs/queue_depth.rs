//! Measures the work that waits in the database: jobs and events.
//!
//! While the database is unavailable, the age of the oldest known work keeps growing: an age that stood
//! still would keep its alert from firing.
//!
//! Test: `ages_keep_growing_while_postgres_is_unavailable` in
//! `tests/api/operations/business_metrics.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::{sleep_unless_stopped, with_timeout};
use crate::storage::database::Database;
use crate::storage::error::StorageError;
use crate::storage::queue_depth::QueueDepth;
use crate::storage::{outbox, queue_depth};
use crate::telemetry::metrics::QueueMetrics;

/// Time between two measurements, shorter than a scrape interval of Prometheus.
const MEASURE_INTERVAL: Duration = Duration::from_secs(1);

/// Time since which the oldest of each has waited; `None` without one.
#[derive(Default)]
struct OldestPending {
    /// By kind, for each kind that was ever seen in the table.
    jobs: BTreeMap<String, Option<DateTime<Utc>>>,
    event: Option<DateTime<Utc>>,
}

/// Works until told to stop.
pub(crate) async fn run(database: Database, queues: QueueMetrics, stop: CancellationToken) {
    let mut oldest = OldestPending::default();
    loop {
        if let Err(error) = with_timeout(measure(&database, &queues, &mut oldest)).await {
            tracing::debug!(%error, "queue measurement failed");
        }
        let now = Utc::now();
        for (kind, due_at) in &oldest.jobs {
            let age = queues.job_oldest_age.with_label_values(&[kind]);
            age.set(QueueMetrics::age(*due_at, now));
        }
        queues
            .outbox_oldest_age
            .set(QueueMetrics::age(oldest.event, now));
        if !sleep_unless_stopped(&stop, MEASURE_INTERVAL).await {
            return;
        }
    }
}

async fn measure(
    database: &Database,
    queues: &QueueMetrics,
    oldest: &mut OldestPending,
) -> Result<(), StorageError> {
    let mut conn = database.connection().await?;
    let depths = queue_depth::measure(&mut conn).await?;
    let (events, oldest_event) = outbox::depth(&mut conn).await?;
    drop(conn);

    for (kind, oldest_due_at) in &mut oldest.jobs {
        if !depths.iter().any(|depth| depth.kind == *kind) {
            *oldest_due_at = None;
            queues.set_jobs(kind, 0, 0, 0);
        }
    }
    for depth in depths {
        let QueueDepth {
            kind,
            scheduled,
            waiting,
            dead_lettered,
            oldest_due_at,
        } = depth;
        queues.set_jobs(&kind, scheduled, waiting, dead_lettered);
        oldest.jobs.insert(kind, oldest_due_at);
    }
    oldest.event = oldest_event;
    queues.outbox_events.set(events);
    Ok(())
}
