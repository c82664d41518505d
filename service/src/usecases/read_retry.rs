//! Reads: the one thing that is always safe to do twice.

use crate::cache::LoadError;
use crate::resilience::retry::Retry;
use crate::storage::Connection;
use crate::storage::database::Database;
use crate::storage::error::StorageError;

/// Runs `query` on a connection of its own, and again on another one if the first
/// was broken, as often as `retry` and its budget allow. After a restart of
/// Postgres every idle connection is a broken one; this spares clients the 503,
/// and the next try goes to none of those that were idle by then.
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
    let is_retryable = |error: &StorageError| matches!(error, StorageError::Unavailable(_));
    let attempt = || async {
        let result = query(database.connection().await?).await;
        if result.as_ref().is_err_and(is_retryable) {
            database.close_all_idle();
        }
        result
    };
    retry.run(attempt, is_retryable).await
}

impl LoadError for StorageError {
    fn is_outage(&self) -> bool {
        match self {
            Self::Unavailable(_)
            | Self::PoolExhausted
            | Self::DeadlineExceeded(_)
            | Self::StatementTimeout
            | Self::LockTimeout => true,
            Self::ConstraintViolated(_) | Self::UnreadableRow(_) | Self::Unexpected(_) => false,
        }
    }
}
