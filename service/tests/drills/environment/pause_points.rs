//! Pause points: places in a transaction at which a drill can pause the service, so that a
//! kill happens exactly there.
//!
//! Triggers wait for an advisory lock. While the drill holds that lock, every transaction
//! that reaches the pause point waits; while the lock is free, the triggers cost nothing.

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};

use crate::support::eventually::eventually;
use crate::support::sql::query_number;

/// The discriminant is the key of the advisory lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PausePoint {
    /// The products of an order are locked, nothing of it is written.
    Ordering = 1,
    /// All of an order is written, and its `COMMIT` is in progress: Postgres finishes it,
    /// even if the client has disconnected.
    Committing = 2,
    /// The gateway has the money, and the service is about to write that down.
    Settling = 3,
}

const TRIGGERS: &str = "\
    CREATE FUNCTION wait_at_pause_point() RETURNS trigger LANGUAGE plpgsql AS \
    'BEGIN PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint); \
     RETURN coalesce(NEW, OLD); END'; \
    CREATE TRIGGER ordering BEFORE INSERT ON orders \
    FOR EACH ROW EXECUTE FUNCTION wait_at_pause_point('1'); \
    CREATE CONSTRAINT TRIGGER committing AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED \
    FOR EACH ROW EXECUTE FUNCTION wait_at_pause_point('2'); \
    CREATE TRIGGER settling BEFORE DELETE ON jobs \
    FOR EACH ROW EXECUTE FUNCTION wait_at_pause_point('3')";

/// Installs the triggers; call it before the load starts.
pub async fn install(mut conn: AsyncPgConnection) {
    conn.batch_execute(TRIGGERS).await.unwrap();
}

/// Pauses every transaction at a pause point until the value is dropped.
pub struct Pause {
    conn: AsyncPgConnection,
    point: PausePoint,
}

impl Pause {
    /// Pauses transactions that reach `point` from now on.
    pub async fn at(point: PausePoint, mut conn: AsyncPgConnection) -> Self {
        let lock = format!("SELECT pg_advisory_lock({})", point as i64);
        conn.batch_execute(&lock).await.unwrap();
        Self { conn, point }
    }

    /// Waits until a transaction is paused.
    pub async fn wait_for_transaction(&mut self) {
        let waiting = format!(
            "SELECT count(*) AS value FROM pg_locks \
             WHERE locktype = 'advisory' AND objid = {} AND NOT granted",
            self.point as i64
        );
        eventually("a transaction is paused", async || {
            (query_number(&mut self.conn, &waiting).await > 0).then_some(())
        })
        .await;
    }
}
