//! Moments at which the service can be held up, so that a kill falls exactly there.
//!
//! Triggers wait for an advisory lock. While the drill has that lock, every transaction
//! that comes to the moment stays in it; while nobody has it, they cost nothing.

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};

use crate::support::eventually::eventually;
use crate::support::sql::number;

/// The number is that of the lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The products of an order are locked, nothing of it is written.
    Ordering = 1,
    /// All of an order is written, and its `COMMIT` is under way: Postgres will end it,
    /// whether or not anybody is left to hear of it.
    Committing = 2,
    /// The gateway has the money, and the service is about to write that down.
    Settling = 3,
}

const TRIGGERS: &str = "\
    CREATE FUNCTION wait_at_moment() RETURNS trigger LANGUAGE plpgsql AS \
    'BEGIN PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint); \
     RETURN coalesce(NEW, OLD); END'; \
    CREATE TRIGGER ordering BEFORE INSERT ON orders \
    FOR EACH ROW EXECUTE FUNCTION wait_at_moment('1'); \
    CREATE CONSTRAINT TRIGGER committing AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED \
    FOR EACH ROW EXECUTE FUNCTION wait_at_moment('2'); \
    CREATE TRIGGER settling BEFORE DELETE ON payment_jobs \
    FOR EACH ROW EXECUTE FUNCTION wait_at_moment('3')";

/// Makes it possible to hold somebody up; to be done before the customers come.
pub async fn prepare(mut conn: AsyncPgConnection) {
    conn.batch_execute(TRIGGERS).await.unwrap();
}

/// Whoever comes to the moment is held up there, until the value is dropped.
pub struct HeldUp {
    conn: AsyncPgConnection,
    moment: Moment,
}

impl HeldUp {
    /// Holds up whoever comes from now on.
    pub async fn at(moment: Moment, mut conn: AsyncPgConnection) -> Self {
        let lock = format!("SELECT pg_advisory_lock({})", moment as i64);
        conn.batch_execute(&lock).await.unwrap();
        Self { conn, moment }
    }

    /// Waits until somebody is.
    pub async fn somebody(&mut self) {
        let waiting = format!(
            "SELECT count(*) AS value FROM pg_locks \
             WHERE locktype = 'advisory' AND objid = {} AND NOT granted",
            self.moment as i64
        );
        eventually("somebody is held up", async || {
            (number(&mut self.conn, &waiting).await > 0).then_some(())
        })
        .await;
    }
}
