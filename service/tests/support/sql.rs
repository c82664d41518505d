//! Direct queries and locks on the database of a test.

use diesel::sql_types::{BigInt, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};

use super::app::TestApp;
use super::database::TestDatabase;
use super::eventually::eventually;

#[derive(diesel::QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(diesel::QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Text)]
    value: String,
}

/// Returns the one column `value` of the query, a bigint.
pub async fn query_number(conn: &mut AsyncPgConnection, query: &str) -> i64 {
    let number: NumberRow = diesel::sql_query(query).get_result(conn).await.unwrap();
    number.value
}

/// Returns the one column `value` of the query, a text for each row.
pub async fn query_texts(conn: &mut AsyncPgConnection, query: &str) -> Vec<String> {
    let lines: Vec<TextRow> = diesel::sql_query(query).load(conn).await.unwrap();
    lines.into_iter().map(|line| line.value).collect()
}

/// A transaction that keeps rows locked until it is dropped.
pub struct RowLock(AsyncPgConnection);

impl RowLock {
    /// Ends the transaction and releases the rows.
    pub async fn release(mut self) {
        self.0.batch_execute("ROLLBACK").await.unwrap();
    }
}

impl TestDatabase {
    /// Counts the rows of a table, perhaps with a `WHERE`.
    pub async fn count_rows(&self, from: &str) -> i64 {
        let query = format!("SELECT count(*) AS value FROM {from}");
        query_number(&mut self.connect().await, &query).await
    }

    /// Waits until there are that many.
    pub async fn wait_for_row_count(&self, from: &str, expected: i64) {
        let mut conn = self.connect().await;
        let query = format!("SELECT count(*) AS value FROM {from}");
        eventually(&format!("{expected} rows of {from}"), async || {
            (query_number(&mut conn, &query).await == expected).then_some(())
        })
        .await;
    }

    /// Locks the rows that the query selects against changes.
    pub async fn lock_rows(&self, select: &str) -> RowLock {
        let mut conn = self.connect().await;
        let lock = format!("BEGIN; {select} FOR UPDATE");
        conn.batch_execute(&lock).await.unwrap();
        RowLock(conn)
    }

    /// Locks a table against writes; reads still work.
    pub async fn lock_table(&self, table: &str) -> RowLock {
        let mut conn = self.connect().await;
        let lock = format!("BEGIN; LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE");
        conn.batch_execute(&lock).await.unwrap();
        RowLock(conn)
    }

    /// Waits until that many sessions wait for a lock. The job that fills search keys is not
    /// counted: it starts with the service, and may wait for the lock as well.
    pub async fn wait_for_lock_waiters(&self, expected: i64) {
        let waiting = "pg_stat_activity WHERE datname = current_database() \
                       AND wait_event_type = 'Lock' AND query NOT LIKE '%IS DISTINCT FROM%'";
        self.wait_for_row_count(waiting, expected).await;
    }

    /// Waits until the service listens for job notifications, so that none is lost.
    pub async fn wait_for_listener(&self) {
        let listening = "pg_stat_activity WHERE datname = current_database() \
                         AND query LIKE 'LISTEN %' AND state = 'idle'";
        self.wait_for_row_count(listening, 1).await;
    }

    /// Terminates the one session of the service that matches, as a restart of Postgres would.
    pub async fn terminate_session(&self, session: &str) {
        let kill = format!(
            "WITH victim AS MATERIALIZED (SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND {session})
            SELECT count(*) AS value FROM victim WHERE pg_terminate_backend(pid, 10000)"
        );
        assert_eq!(query_number(&mut self.connect().await, &kill).await, 1);
    }
}

impl TestApp {
    /// Blocks all reads of products until `ROLLBACK`.
    pub async fn lock_products(&self) -> AsyncPgConnection {
        let mut conn = self.database.connect().await;
        let lock = "BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE";
        conn.batch_execute(lock).await.unwrap();
        conn
    }
}
