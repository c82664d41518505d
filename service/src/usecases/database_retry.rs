//! Retries of reads, and of writes that the database aborted.

use diesel_async::AsyncPgConnection;

use super::{Services, UseCaseError};
use crate::cache::LoadError;
use crate::resilience::retry::Retry;
use crate::storage::Connection;
use crate::storage::database::Database;
use crate::storage::error::StorageError;

/// Runs `query` on a connection of its own, and again on another one if the first
/// was broken or unusable, as often as `retry` and its budget allow. After a restart of
/// Postgres every idle connection is a broken one; this spares clients the 503,
/// and the next attempt uses none of those that were idle by then.
///
/// # Errors
/// Returns the last error of `query`, or of the pool.
pub(super) async fn read_with_retry<T, F>(
    database: &Database,
    retry: &Retry,
    query: impl Fn(Connection) -> F,
) -> Result<T, StorageError>
where
    F: Future<Output = Result<T, StorageError>>,
{
    let attempt = || async {
        let result = query(database.connection().await?).await;
        if matches!(result, Err(StorageError::Unavailable(_))) {
            database.close_all_idle();
        }
        result
    };
    let is_retryable = |error: &StorageError| {
        matches!(
            error,
            StorageError::Unavailable(_) | StorageError::Aborted(_)
        )
    };
    retry.run(attempt, is_retryable).await
}

/// Runs `write` on a connection of its own, and again on another one if the database aborted its
/// transaction: nothing was committed then. Other errors may leave the commit unknown, so the
/// client decides on a retry.
///
/// # Errors
/// Returns the last error of `write`, or of the pool.
pub(super) async fn write_with_retry<T>(
    services: &Services,
    mut write: impl AsyncFnMut(&mut AsyncPgConnection) -> Result<T, UseCaseError>,
) -> Result<T, UseCaseError> {
    let mut attempts = services.database_retry.attempts();
    loop {
        let mut conn = services.database.connection().await?;
        let result = write(&mut conn).await;
        // The connection must be back in the pool, or closed, before the next is borrowed.
        drop(conn);
        match result {
            Err(UseCaseError::Aborted(_)) if attempts.wait_for_next().await => {}
            result => return result,
        }
    }
}

impl LoadError for StorageError {
    fn is_outage(&self) -> bool {
        match self {
            Self::Unavailable(_)
            | Self::Aborted(_)
            | Self::ServerFault(_)
            | Self::PoolExhausted
            | Self::DeadlineExceeded(_)
            | Self::StatementTimeout
            | Self::LockTimeout => true,
            Self::ConstraintViolated(_) | Self::UnreadableRow(_) | Self::Unexpected(_) => false,
        }
    }
}
