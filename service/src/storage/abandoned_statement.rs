//! Reclaims a connection whose last statement may still run.
//!
//! # Problem
//!
//! A request whose deadline has passed leaves its statement running. Closing the connection costs
//! the server two processes: one that receives the cancellation, and one for the connection that
//! replaces the closed one. Clients with short deadlines made Postgres fork 100 times a second.
//!
//! # How it works
//!
//! In the background, while the connection keeps its place in the pool:
//!
//! 1. `ROLLBACK` is sent. Its response arrives after that of the abandoned statement, and it ends
//!    a transaction. Most statements end within [`GRACE`].
//! 2. If not, the statement is cancelled, within the budget
//!    `database.max_new_connections_per_second`. Without budget, its end is awaited:
//!    `statement_timeout` bounds it.
//! 3. `ROLLBACK` is sent again, and the connection returns to the pool. If it fails or takes too
//!    long, the connection is closed.
//!
//! # Pitfalls
//!
//! - **A late cancellation hits the next statement.** The cancellation waits until the server has
//!   sent the signal ([`super::transport`]). The second `ROLLBACK` is sent after that, so it is the
//!   last statement that the signal can hit. Postgres ignores a signal that arrives between two
//!   statements.
//! - **Shutdown.** The pool waits for the connection, at most for the times above.
//!
//! # Tests
//!
//! `short_deadlines_open_no_sessions`, `cancelled_statement_leaves_session_in_pool` and
//! `late_cancellation_does_not_hit_next_statement` in `tests/api/storage/abandoned_statements.rs`.

use std::time::Duration;

use diesel::connection::InstrumentationEvent;
use diesel_async::pooled_connection::PoolableConnection as _;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
use tokio::time::timeout;
use tokio_postgres::CancelToken;

use super::connector::Connector;
use super::session_manager::PooledSession;

/// Time that a statement may take after its request without being cancelled.
const GRACE: Duration = Duration::from_millis(100);
/// Time until a cancelled statement has ended.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

impl Connector {
    /// Returns a connection to its pool once its last statement has ended, or closes it.
    pub(super) fn reclaim(&self, mut pooled: PooledSession) {
        // The instrumentation logs here what still ran: later the request is not known.
        pooled
            .conn
            .set_instrumentation(|_: InstrumentationEvent<'_>| {});
        // diesel counts the transaction as open or its end as unknown; `ROLLBACK` ends it.
        *pooled.conn.transaction_state() = diesel_async::AnsiTransactionManager::default();
        if pooled.conn.is_broken() {
            drop(PooledSession::take(pooled));
            return;
        }
        let connector = self.clone();
        self.runtime.spawn(async move {
            let outcome = connector.end_statement(&mut pooled.conn).await;
            if outcome.is_none() {
                drop(PooledSession::take(pooled));
            }
            connector
                .metrics
                .count_abandoned(outcome.unwrap_or("closed"));
        });
    }

    /// Waits for the end of the last statement and its transaction. Returns how it ended; `None` if
    /// the connection can't be used any more.
    async fn end_statement(&self, conn: &mut AsyncPgConnection) -> Option<&'static str> {
        let token = conn.cancel_token();
        if let Ok(rolled_back) = timeout(GRACE, roll_back(conn)).await {
            return rolled_back.then_some("finished");
        }
        let (limit, outcome) = match self.budget.try_acquire() {
            None => (self.statement_timeout, "finished"),
            Some(permit) => {
                self.runtime.spawn(permit.spend());
                if !self.cancel(&token).await {
                    return None;
                }
                (CANCEL_TIMEOUT, "cancelled")
            }
        };
        let rolled_back = timeout(limit, roll_back(conn)).await;
        rolled_back.is_ok_and(|done| done).then_some(outcome)
    }

    /// Has the server cancel what runs, and returns whether it has received that.
    ///
    /// The cancellation has a connection of its own, protected like the one whose statement it
    /// cancels, and ends with `database.connect_timeout`: a silent server would collect them.
    pub(super) async fn cancel(&self, token: &CancelToken) -> bool {
        self.metrics.count_opened("cancellation");
        let cancel = token.cancel_query(self.transport.for_cancellation());
        match timeout(self.connect_timeout, cancel).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::debug!(%error, "statement cancellation failed");
                false
            }
            Err(_) => {
                tracing::debug!("statement cancellation timed out");
                false
            }
        }
    }
}

/// Rolls back, after the responses of all earlier statements. Returns whether that succeeded.
async fn roll_back(conn: &mut AsyncPgConnection) -> bool {
    conn.batch_execute("ROLLBACK").await.is_ok()
}
