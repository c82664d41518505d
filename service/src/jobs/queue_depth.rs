//! Measures how many payment jobs wait and how many were given up.

use std::time::Duration;

use prometheus::IntGaugeVec;
use tokio_util::sync::CancellationToken;

use super::pause;
use crate::storage::database::Database;
use crate::storage::error::StorageError;
use crate::storage::payment_jobs;

/// Works until told to stop; `jobs` is `orderly_payment_jobs{state}`.
pub async fn run(
    database: Database,
    jobs: IntGaugeVec,
    interval: Duration,
    stop: CancellationToken,
) {
    loop {
        match depth(&database).await {
            Ok((waiting, dead)) => {
                jobs.with_label_values(&["waiting"]).set(waiting);
                jobs.with_label_values(&["dead"]).set(dead);
            }
            Err(error) => tracing::debug!(%error, "the queue can't be measured"),
        }
        if !pause(&stop, interval).await {
            return;
        }
    }
}

async fn depth(database: &Database) -> Result<(i64, i64), StorageError> {
    let mut conn = database.connection().await?;
    payment_jobs::depth(&mut conn).await
}
