//! Looking into the database behind the service's back, and meddling with it.

use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};

use super::database::TestDatabase;
use super::eventually::eventually;

#[derive(diesel::QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(diesel::QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    value: String,
}

/// What the query says, in its one column `value`, a bigint.
pub async fn number(conn: &mut AsyncPgConnection, query: &str) -> i64 {
    let number: Number = diesel::sql_query(query).get_result(conn).await.unwrap();
    number.value
}

/// What the query says, in its one column `value`, a text for each row.
pub async fn texts(conn: &mut AsyncPgConnection, query: &str) -> Vec<String> {
    let lines: Vec<Line> = diesel::sql_query(query).load(conn).await.unwrap();
    lines.into_iter().map(|line| line.value).collect()
}

/// A transaction of the test's own that keeps rows locked until it is dropped.
pub struct Locked(AsyncPgConnection);

impl Locked {
    /// Gives the rows free again.
    pub async fn release(mut self) {
        self.0.batch_execute("ROLLBACK").await.unwrap();
    }
}

impl TestDatabase {
    /// How many rows there are: of a table, perhaps with a `WHERE`.
    pub async fn rows(&self, from: &str) -> i64 {
        let query = format!("SELECT count(*) AS value FROM {from}");
        number(&mut self.connect().await, &query).await
    }

    /// Waits until there are that many.
    pub async fn rows_become(&self, from: &str, expected: i64) {
        let mut conn = self.connect().await;
        let query = format!("SELECT count(*) AS value FROM {from}");
        eventually(&format!("{expected} rows of {from}"), async || {
            (number(&mut conn, &query).await == expected).then_some(())
        })
        .await;
    }

    /// Locks the rows that the query selects, against everybody who changes them.
    pub async fn lock(&self, select: &str) -> Locked {
        let mut conn = self.connect().await;
        let lock = format!("BEGIN; {select} FOR UPDATE");
        conn.batch_execute(&lock).await.unwrap();
        Locked(conn)
    }

    /// Locks a table against everybody who writes to it; they can still read.
    pub async fn lock_table(&self, table: &str) -> Locked {
        let mut conn = self.connect().await;
        let lock = format!("BEGIN; LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE");
        conn.batch_execute(&lock).await.unwrap();
        Locked(conn)
    }

    /// Waits until that many sessions wait for a lock.
    pub async fn sessions_wait_for_a_lock(&self, expected: i64) {
        let waiting = "pg_stat_activity WHERE datname = current_database() \
                       AND wait_event_type = 'Lock'";
        self.rows_become(waiting, expected).await;
    }

    /// Waits until the service listens to the doorbell, so that no ring is lost.
    pub async fn somebody_listens(&self) {
        let listening = "pg_stat_activity WHERE datname = current_database() \
                         AND query LIKE 'LISTEN %' AND state = 'idle'";
        self.rows_become(listening, 1).await;
    }

    /// Ends the one session of the service that fits, as a restart of Postgres would.
    pub async fn kill(&self, session: &str) {
        let kill = format!(
            "WITH victim AS MATERIALIZED (SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND {session})
            SELECT count(*) AS value FROM victim WHERE pg_terminate_backend(pid, 10000)"
        );
        assert_eq!(number(&mut self.connect().await, &kill).await, 1);
    }
}
