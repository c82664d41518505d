//! A transaction in two waits instead of one for each statement.
//!
//! A round trip costs more than most statements do: on both sides a process is woken up, reads,
//! writes and goes to sleep again. And while it takes its time, everybody who wants a row that the
//! transaction has locked waits as well. But Postgres reads the next statement as soon as it has
//! done one, so statements that do not need each other's answers can be sent together
//! (PostgreSQL manual, "Frontend/Backend Protocol", "Pipelining"):
//!
//! ```text
//! send    BEGIN  first  second  --wait-->  decide  last  COMMIT  --wait-->
//! ```
//!
//! Easy to get wrong:
//!
//! - **A statement fails.** Postgres refuses the ones behind it until the transaction is rolled
//!   back, and a `COMMIT` behind it rolls back. So each answer is looked at, in order.
//! - **A statement is not sent at all**, since it can't be prepared or a value can't be written.
//!   Then `COMMIT` commits what was before it. What `first` and `second` write must mean nothing
//!   without what `last` writes.
//! - **`COMMIT` overtakes.** diesel-async prepares a statement on its first use, and sends it when
//!   that is answered. `COMMIT` is a prepared statement here too, so that it queues up behind.
//! - **Nobody waits any more.** If the future is dropped in between, the transaction is open and
//!   nobody will end it. From beginning to end the connection counts as broken, so that it is
//!   closed instead of going back to the pool, and Postgres rolls back.
//!
//! Transactions that hold no contended locks use diesel-async's `transaction`, which is plainer.
//!
//! See it break: `order_takes_five_statements_and_two_waits` in
//! `tests/api/storage/round_trips.rs`, and `tests/api/storage/pipeline.rs`.

use std::pin::pin;

use diesel::connection::TransactionManagerStatus;
use diesel_async::{
    AnsiTransactionManager, AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _,
    TransactionManager,
};
use futures_util::future::maybe_done;
use futures_util::poll;

use super::error::StorageError;
use super::statement::statement;

statement! {
    Commit {} returns ();
    "COMMIT"
}

/// A transaction on a connection that is lent to it. It ends with [`Pipeline::end`].
pub struct Pipeline<'a> {
    conn: &'a mut AsyncPgConnection,
    open: bool,
}

impl<'a> Pipeline<'a> {
    /// Begins nothing yet.
    pub fn new(conn: &'a mut AsyncPgConnection) -> Self {
        transaction_status(conn).set_in_error();
        Self { conn, open: false }
    }

    /// Begins the transaction, and sends two statements along. Returns both answers, also if one
    /// or both have failed.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if `BEGIN` fails.
    pub async fn begin<A, B>(
        &mut self,
        first: impl AsyncFnOnce(&AsyncPgConnection) -> A,
        second: impl AsyncFnOnce(&AsyncPgConnection) -> B,
    ) -> Result<(A, B), StorageError> {
        let conn = &*self.conn;
        self.open = true;
        let mut begin = pin!(maybe_done(async {
            (&mut &*conn).batch_execute("BEGIN").await
        }));
        let mut first = pin!(maybe_done(first(conn)));
        let mut second = pin!(maybe_done(second(conn)));
        // Polled once, a statement is sent. Answers come in order, and are taken in order.
        let _ = (poll!(&mut begin), poll!(&mut first), poll!(&mut second));
        (&mut begin).await;
        (&mut first).await;
        (&mut second).await;
        let outputs = (
            begin.take_output(),
            first.take_output(),
            second.take_output(),
        );
        let (Some(begun), Some(first), Some(second)) = outputs else {
            return Err(StorageError::Unavailable("an answer was lost".to_owned()));
        };
        begun?;
        Ok((first, second))
    }

    /// Runs one more statement, and commits.
    ///
    /// # Errors
    /// Returns the error of `last`, after which nothing that it writes was committed, or that of
    /// `COMMIT`, after which the commit is unknown.
    pub(crate) async fn commit<R>(
        &mut self,
        last: impl AsyncFnOnce(&AsyncPgConnection) -> Result<R, StorageError>,
    ) -> Result<R, StorageError> {
        let conn = &*self.conn;
        let mut last = pin!(maybe_done(last(conn)));
        let mut commit = pin!(maybe_done(send_commit(conn)));
        let _ = (poll!(&mut last), poll!(&mut commit));
        (&mut last).await;
        (&mut commit).await;
        let (Some(last), Some(committed)) = (last.take_output(), commit.take_output()) else {
            return Err(StorageError::Unavailable("an answer was lost".to_owned()));
        };
        // After a `COMMIT` that has failed it is not known whether there is a transaction.
        self.open = committed.is_err();
        let last = last?;
        committed?;
        Ok(last)
    }

    /// Rolls back what was not committed, and gives the connection back as good.
    pub async fn end(self) {
        if self.open
            && let Err(error) = self.conn.batch_execute("ROLLBACK").await
        {
            // The connection stays broken; when it is closed, the server rolls back.
            tracing::warn!(%error, "the rollback failed");
            return;
        }
        *transaction_status(self.conn) = TransactionManagerStatus::default();
    }
}

fn transaction_status(conn: &mut AsyncPgConnection) -> &mut TransactionManagerStatus {
    AnsiTransactionManager::transaction_manager_status_mut(conn)
}

async fn send_commit(mut conn: &AsyncPgConnection) -> Result<(), StorageError> {
    Commit {}.execute(&mut conn).await?;
    Ok(())
}
