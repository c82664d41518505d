//! Deletes idempotency keys that have expired.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{pause, round};
use crate::storage::database::Database;
use crate::storage::error::StorageError;
use crate::storage::idempotency;
use crate::usecases::now;

/// An expired key can be claimed anew anyway: this only keeps the table small.
const INTERVAL: Duration = Duration::from_mins(10);

/// Works until told to stop.
pub async fn run(database: Database, stop: CancellationToken) {
    loop {
        let span = tracing::info_span!("expired_keys", otel.name = "delete expired keys");
        sweep(&database).instrument(span).await;
        if !pause(&stop, INTERVAL).await {
            return;
        }
    }
}

async fn sweep(database: &Database) {
    match round(delete(database)).await {
        Ok(0) => {}
        Ok(deleted) => tracing::info!(deleted, "expired idempotency keys"),
        Err(error) => tracing::warn!(%error, "expired idempotency keys stay"),
    }
}

async fn delete(database: &Database) -> Result<usize, StorageError> {
    let mut conn = database.connection().await?;
    idempotency::delete_expired(&mut conn, now()).await
}
