//! Deletes idempotency keys that have expired.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{sleep_unless_stopped, with_timeout};
use crate::storage::database::Database;
use crate::storage::error::StorageError;
use crate::storage::idempotency;
use crate::usecases::clock::current_time;

/// An expired key can be claimed anew anyway: this only keeps the table small.
const INTERVAL: Duration = Duration::from_mins(10);

/// Rows deleted by one statement: far below what `database.statement_timeout` allows. All at once, a backlog that
/// takes longer than that would never go.
const BATCH_SIZE: u32 = 5000;

/// Works until told to stop.
pub(crate) async fn run(database: Database, stop: CancellationToken) {
    loop {
        let span = tracing::info_span!("expired_keys", otel.name = "delete expired keys");
        delete_expired(&database, &stop).instrument(span).await;
        if !sleep_unless_stopped(&stop, INTERVAL).await {
            return;
        }
    }
}

/// Deletes batch by batch until nothing is left.
async fn delete_expired(database: &Database, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match with_timeout(delete_batch(database)).await {
            Ok(0) => return,
            Ok(deleted) => tracing::info!(deleted, "expired idempotency keys"),
            Err(error) => {
                tracing::warn!(%error, "expired idempotency keys stay");
                return;
            }
        }
    }
}

async fn delete_batch(database: &Database) -> Result<usize, StorageError> {
    let mut conn = database.connection().await?;
    idempotency::delete_expired(&mut conn, current_time(), BATCH_SIZE).await
}
