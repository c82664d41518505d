//! Fills the search keys of products that the version before has written.
//!
//! SQL cannot compute them: the tables of Unicode are in this program. Until then a search finds such a product as the
//! locale of the database allows.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::{sleep_unless_stopped, with_timeout};
use crate::storage::database::Database;
use crate::storage::error::StorageError;
use crate::storage::products;

/// Replicas of the version before write such rows for as long as a deployment rolls.
const INTERVAL: Duration = Duration::from_mins(1);

/// Rows filled by one statement: their locks last for milliseconds.
const BATCH_SIZE: i64 = 500;

/// Runs until it is stopped.
pub(crate) async fn run(database: Database, stop: CancellationToken) {
    loop {
        let span = tracing::info_span!("search_keys", otel.name = "fill search keys");
        fill(&database, &stop).instrument(span).await;
        if !sleep_unless_stopped(&stop, INTERVAL).await {
            return;
        }
    }
}

/// Fills batch by batch until nothing is left, or all that is left is locked.
async fn fill(database: &Database, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match with_timeout(fill_batch(database)).await {
            Ok(0) => return,
            Ok(filled) => tracing::info!(filled, "search keys filled"),
            Err(error) => {
                tracing::warn!(%error, "search keys not filled");
                return;
            }
        }
    }
}

async fn fill_batch(database: &Database) -> Result<usize, StorageError> {
    let mut conn = database.connection().await?;
    let products = products::find_without_search_key(&mut conn, BATCH_SIZE).await?;
    match products.is_empty() {
        true => Ok(0),
        false => products::fill_search_keys(&mut conn, &products).await,
    }
}
