//! The transaction: all of it or nothing.
//!
//! (The one that everybody waits for, an order, saves round trips: [`super::pipeline`].)
//!
//! A use case takes one connection from the pool, and everything it does on it
//! inside [`in_transaction`] is committed together when the closure returns
//! `Ok`, and undone when it returns `Err`. Three rules keep it short and safe:
//!
//! - **Only SQL inside.** A call to anything else (HTTP, Redis, a hash) would
//!   hold row locks while it waits, and could not be rolled back.
//! - **One connection.** Asking the pool for a second one while holding the
//!   first deadlocks a full pool.
//! - **Bounded by the server.** Dropping the future does not end a transaction;
//!   `statement_timeout`, `lock_timeout` and
//!   `idle_in_transaction_session_timeout`, set when the connection is made, do.
//!
//! If the connection breaks while `COMMIT` is under way, nobody can tell whether
//! it was committed. That is what idempotency keys are for.
//!
//! The isolation level is Postgres' default, READ COMMITTED; where a decision
//! depends on a row, the row is locked first (PostgreSQL manual, 13.3.2).

use diesel_async::{AnsiTransactionManager, AsyncPgConnection, TransactionManager};

use super::error::StorageError;

/// Runs `work` in a transaction on `conn`.
///
/// # Errors
/// Returns the error of `work` or of `BEGIN`, after which nothing was committed, or that of
/// `COMMIT`, after which the commit is unknown.
pub(crate) async fn in_transaction<R, E>(
    conn: &mut AsyncPgConnection,
    work: impl AsyncFnOnce(&mut AsyncPgConnection) -> Result<R, E>,
) -> Result<R, E>
where
    E: From<StorageError>,
{
    AnsiTransactionManager::begin_transaction(&mut *conn)
        .await
        .map_err(StorageError::from)?;
    match work(&mut *conn).await {
        Ok(value) => {
            AnsiTransactionManager::commit_transaction(conn)
                .await
                .map_err(StorageError::from)?;
            Ok(value)
        }
        Err(error) => {
            // If even the rollback fails, the connection is broken: the server
            // rolls back by itself, and the pool will not hand it out again.
            if let Err(rollback) = AnsiTransactionManager::rollback_transaction(conn).await {
                tracing::warn!(error = %rollback, "the rollback failed");
            }
            Err(error)
        }
    }
}
