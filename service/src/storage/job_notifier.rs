//! The doorbell: tells the jobs of every replica that there is work.
//!
//! Without it, a payment would wait for the next poll. `NOTIFY` is Postgres'
//! doorbell, but a transaction that notifies takes a lock at its commit that is
//! one for the whole database, so notifying in the order transaction would queue
//! up all commits behind each other. So an order only rings in process, after
//! its commit; one task passes the rings on as `NOTIFY`, many rings as one. A
//! ring may be lost in a crash: the jobs also poll.

use std::sync::Arc;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use futures_util::StreamExt as _;
use tokio::sync::Notify;

use super::error::StorageError;

/// Rings; cheap, and never waits. Clones ring the same bell.
#[derive(Clone, Default)]
pub struct JobNotifier(Arc<Notify>);

impl JobNotifier {
    /// Says that there is work, to be called after the commit.
    pub fn notify(&self) {
        self.0.notify_one();
    }

    /// Waits for a ring; rings since the last call count as one.
    pub(crate) async fn notified(&self) {
        self.0.notified().await;
    }
}

/// Passes a ring on to every replica that listens.
///
/// # Errors
/// [`StorageError`].
pub async fn send(conn: &mut AsyncPgConnection) -> Result<(), StorageError> {
    Ok(conn.batch_execute("NOTIFY orderly_jobs").await?)
}

/// Listens on `conn` and calls `heard` for each ring, until the connection breaks.
///
/// # Errors
/// [`StorageError`] when it has broken.
pub(crate) async fn listen(
    mut conn: AsyncPgConnection,
    mut on_notification: impl FnMut(),
) -> Result<(), StorageError> {
    conn.batch_execute("LISTEN orderly_jobs").await?;
    let mut notifications = std::pin::pin!(conn.notifications_stream());
    while let Some(notification) = notifications.next().await {
        notification?;
        on_notification();
    }
    Ok(())
}
