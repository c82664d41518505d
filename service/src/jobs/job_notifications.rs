//! Carries job notifications between replicas; see [`crate::storage::job_notifier`].

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{JobWakeups, sleep_unless_stopped, with_timeout};
use crate::storage::database::Database;
use crate::storage::error::StorageError;
use crate::storage::job_notifier::{self, JobNotifier};

/// Notifications that come within this time are sent as one.
const COALESCE_INTERVAL: Duration = Duration::from_millis(10);

/// How long to wait before listening again on a new connection.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// Sends the notifications of this process to all replicas, this one included.
pub(crate) async fn run_sender(database: Database, notifier: JobNotifier, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = notifier.notified() => {}
        }
        if let Err(error) = with_timeout(send_notification(&database)).await {
            tracing::debug!(%error, "job notification failed, falling back to polling");
        }
        if !sleep_unless_stopped(&stop, COALESCE_INTERVAL).await {
            return;
        }
    }
}

async fn send_notification(database: &Database) -> Result<(), StorageError> {
    let mut conn = database.connection().await?;
    job_notifier::send(&mut conn).await
}

/// Wakes the jobs of this process when any replica sends a notification.
pub(crate) async fn run_listener(
    database: Database,
    wakeups: Arc<JobWakeups>,
    stop: CancellationToken,
) {
    let listen_once = async || {
        let conn = database.dedicated_connection().await?;
        job_notifier::listen(conn, || wakeups.wake_all()).await
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            result = listen_once() => if let Err(error) = result {
                tracing::warn!(%error, "job notification listener failed, falling back to polling");
            },
        }
        if !sleep_unless_stopped(&stop, RECONNECT_DELAY).await {
            return;
        }
    }
}
