//! A connection on loan from a pool.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::PoolableConnection as _;
use diesel_async::pooled_connection::deadpool::Object;

use super::connector::Connector;
use crate::resilience::deadline;

/// A connection on loan from a pool; it goes back when it is dropped.
///
/// If the deadline of the request is over by then, its last statement may still
/// run on the server: nobody waits for it, but the next borrower would have to.
/// And if it was dropped in the midst of a transaction, by a panic or since the client
/// has gone, the transaction's locks would wait in the pool for that borrower.
/// So the server is asked to cancel what runs, and the connection is closed.
pub struct Connection {
    pooled: Option<Object<AsyncPgConnection>>,
    connector: Connector,
}

impl Connection {
    pub(super) fn new(mut pooled: Object<AsyncPgConnection>, connector: Connector) -> Self {
        // Each loan has its own instrumentation: what the last borrower left unfinished is not ours.
        connector.instrument_statements(&mut pooled);
        Self {
            pooled: Some(pooled),
            connector,
        }
    }
}

impl Deref for Connection {
    type Target = AsyncPgConnection;

    #[expect(clippy::expect_used, reason = "it is only taken by drop")]
    fn deref(&self) -> &AsyncPgConnection {
        self.pooled.as_ref().expect("taken by drop only")
    }
}

impl DerefMut for Connection {
    #[expect(clippy::expect_used, reason = "it is only taken by drop")]
    fn deref_mut(&mut self) -> &mut AsyncPgConnection {
        self.pooled.as_mut().expect("taken by drop only")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(mut pooled) = self.pooled.take() {
            let in_time = deadline::remaining() != Some(Duration::ZERO);
            if in_time && !pooled.is_broken() {
                return;
            }
            self.connector.abandon(Object::take(pooled));
        }
    }
}
