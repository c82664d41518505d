//! Carries the doorbell's rings between replicas; see [`crate::storage::job_notifier`].

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Wakeups, pause, round};
use crate::storage::database::Database;
use crate::storage::job_notifier::{self, JobNotifier};
use crate::storage::error::StorageError;

/// Rings that come within this time are passed on as one.
const GATHER: Duration = Duration::from_millis(10);

/// How long to wait before listening again on a new connection.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// Passes the rings of this process on to all replicas, this one included.
pub(crate) async fn pass_on(database: Database, doorbell: JobNotifier, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = doorbell.notified() => {}
        }
        if let Err(error) = round(notify(&database)).await {
            tracing::debug!(%error, "a ring was lost; the jobs poll");
        }
        if !pause(&stop, GATHER).await {
            return;
        }
    }
}

async fn notify(database: &Database) -> Result<(), StorageError> {
    let mut conn = database.connection().await?;
    job_notifier::send(&mut conn).await
}

/// Wakes the jobs of this process when any replica rings.
pub(crate) async fn listen(database: Database, wakeups: Arc<Wakeups>, stop: CancellationToken) {
    let listen = async || {
        let conn = database.dedicated_connection().await?;
        job_notifier::listen(conn, || wakeups.all()).await
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            ended = listen() => if let Err(error) = ended {
                tracing::warn!(%error, "nobody listens to the doorbell; the jobs poll");
            },
        }
        if !pause(&stop, LISTEN_AGAIN).await {
            return;
        }
    }
}
