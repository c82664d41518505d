//! A connection on loan from a pool.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::PoolableConnection as _;

use super::connector::Connector;
use super::session_manager::PooledSession;
use super::sqlstate::SessionFate;
use super::statement_instrumentation::RunningStatements;
use crate::resilience::deadline;

/// Age from which a read-only session is closed, in the hope that a new one reaches a server that
/// can be written. While there is none, each session is replaced once in this time.
const READ_ONLY_SESSION_MAX_AGE: Duration = Duration::from_secs(5);

/// A connection on loan from a pool; it returns when it is dropped.
///
/// The drop decides on the session by the errors of its statements ([`super::sqlstate`]). If a
/// statement may still run, because the deadline has passed or the caller was dropped, the next
/// borrower would wait for it, and a transaction would keep its locks. Such a session returns to
/// the pool later ([`super::abandoned_statement`]).
pub struct Connection {
    pooled: Option<PooledSession>,
    connector: Connector,
    running: Arc<RunningStatements>,
    lent_at: Instant,
}

impl Connection {
    pub(super) fn new(mut pooled: PooledSession, connector: Connector) -> Self {
        // Each loan has its own instrumentation: what the last borrower left unfinished is not ours.
        let running = connector.instrument_statements(&mut pooled.conn);
        Self {
            pooled: Some(pooled),
            connector,
            running,
            lent_at: Instant::now(),
        }
    }
}

impl Deref for Connection {
    type Target = AsyncPgConnection;

    #[expect(clippy::expect_used, reason = "it is only taken by drop")]
    fn deref(&self) -> &AsyncPgConnection {
        &self.pooled.as_ref().expect("taken by drop only").conn
    }
}

impl DerefMut for Connection {
    #[expect(clippy::expect_used, reason = "it is only taken by drop")]
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        &mut self.pooled.as_mut().expect("taken by drop only").conn
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(mut pooled) = self.pooled.take() else {
            return;
        };
        let age = PooledSession::metrics(&pooled).age();
        match pooled.errors.fate() {
            // The change that made this session unusable was before its last loan ended; the
            // sessions that are older than this loan have probably seen it as well.
            SessionFate::Close => close_with_older(pooled, self.lent_at.elapsed()),
            SessionFate::CloseIfOld if age >= READ_ONLY_SESSION_MAX_AGE => {
                close_with_older(pooled, READ_ONLY_SESSION_MAX_AGE);
            }
            SessionFate::CloseIfOld | SessionFate::Keep => {
                let in_time = deadline::remaining() != Some(Duration::ZERO);
                if !in_time || !self.running.is_empty() || pooled.conn.is_broken() {
                    self.connector.reclaim(pooled);
                }
            }
        }
    }
}

/// Closes a connection, and the idle ones of its pool that are older than `age`.
fn close_with_older(pooled: PooledSession, age: Duration) {
    if let Some(pool) = PooledSession::pool(&pooled) {
        pool.retain(|_, metrics| metrics.age() < age);
    }
    drop(PooledSession::take(pooled));
}
