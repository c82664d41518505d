//! Opens the connections of a pool, and checks them before they are lent again.

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use diesel::ConnectionError;
use diesel_async::pooled_connection::PoolableConnection as _;

use super::connector::{Connector, Session};

/// Manager of the connections of one pool.
pub(super) struct SessionManager(pub(super) Connector);

/// A pool of sessions.
pub(super) type SessionPool = deadpool::managed::Pool<SessionManager>;
/// A session on loan.
pub(super) type PooledSession = deadpool::managed::Object<SessionManager>;

impl Manager for SessionManager {
    type Type = Session;
    type Error = ConnectionError;

    async fn create(&self) -> Result<Session, ConnectionError> {
        self.0.open_pooled().await
    }

    /// Without a round trip: a session that broke unnoticed costs one request a 503.
    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<ConnectionError> {
        if session.conn.is_broken() {
            return Err(RecycleError::message("the connection is broken"));
        }
        Ok(())
    }
}
