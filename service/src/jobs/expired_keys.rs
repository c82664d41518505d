//! Deletes idempotency keys that have expired.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::pause;
use crate::storage::database::Database;
use crate::storage::error::StorageError;
use crate::storage::idempotency;
use crate::usecases::now;

/// An expired key can be claimed anew anyway: this only keeps the table small.
const INTERVAL: Duration = Duration::from_mins(10);

/// Works until told to stop.
pub async fn run(database: Database, stop: CancellationToken) {
    loop {
        match delete(&database).await {
            Ok(0) => {}
            Ok(deleted) => tracing::info!(deleted, "expired idempotency keys"),
            Err(error) => tracing::warn!(%error, "expired idempotency keys stay"),
        }
        if !pause(&stop, INTERVAL).await {
            return;
        }
    }
}

async fn delete(database: &Database) -> Result<usize, StorageError> {
    let mut conn = database.connection().await?;
    idempotency::delete_expired(&mut conn, now()).await
}
