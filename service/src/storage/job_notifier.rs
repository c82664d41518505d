//! Job notifications: tell the jobs of every replica that there is work.
//!
//! Without them, a payment would wait for the next poll. Postgres has `NOTIFY`, but
//! a transaction that notifies takes a lock at its commit that is one for the whole
//! database, so notifying in the order transaction would queue up all commits behind
//! each other. So an order only notifies in process, after its commit; one task
//! sends these notifications as `NOTIFY`, many as one. A notification may be lost
//! in a crash: the jobs also poll.

use std::sync::Arc;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use futures_util::StreamExt as _;
use tokio::sync::Notify;

use super::error::StorageError;

/// Notifies in process; cheap, and never waits. Clones share the state.
#[derive(Clone, Default)]
pub struct JobNotifier(Arc<Notify>);

impl JobNotifier {
    /// Says that there is work, to be called after the commit.
    pub fn notify(&self) {
        self.0.notify_one();
    }

    /// Waits for a notification; those since the last call count as one.
    pub(crate) async fn notified(&self) {
        self.0.notified().await;
    }
}

/// Sends a notification to every replica that listens.
///
/// # Errors
/// Returns a [`StorageError`] if the database can't be reached; nothing was sent.
pub async fn send(conn: &mut AsyncPgConnection) -> Result<(), StorageError> {
    Ok(conn.batch_execute("NOTIFY orderly_jobs").await?)
}

/// Listens on `conn` and calls `on_notification` for each, until the connection breaks.
///
/// # Errors
/// Returns a [`StorageError`] when it has broken.
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
