//! What the tests ask the database, and hold in it.

use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};

use crate::support::database::TestDatabase;
use crate::support::eventually::eventually;

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// How many rows there are: `count(conn, "users WHERE …")`.
pub async fn count(conn: &mut AsyncPgConnection, from: &str) -> i64 {
    let query = format!("SELECT count(*) AS n FROM {from}");
    let count: Count = diesel::sql_query(query).get_result(conn).await.unwrap();
    count.n
}

/// A lock that the test holds until it says [`Self::release`].
pub struct Held(AsyncPgConnection);

impl Held {
    /// Takes it, as the first statement of a transaction.
    pub async fn take(database: &TestDatabase, lock: &str) -> Self {
        let mut conn = database.connect().await;
        let begin = format!("BEGIN; {lock}");
        conn.batch_execute(&begin).await.unwrap();
        Self(conn)
    }

    /// Waits until so many others wait for it.
    pub async fn awaited_by(&mut self, others: i64) {
        eventually(&format!("{others} wait for the lock"), async || {
            // Within a transaction, the view shows what it showed first.
            let refresh = "SELECT pg_stat_clear_snapshot()";
            self.0.batch_execute(refresh).await.unwrap();
            let waiting = "pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'";
            (count(&mut self.0, waiting).await == others).then_some(())
        })
        .await;
    }

    pub async fn release(mut self) {
        self.0.batch_execute("ROLLBACK").await.unwrap();
    }
}

/// The row of a product.
pub fn row_of(product: &serde_json::Value) -> String {
    let id = product["id"].as_str().unwrap();
    format!("SELECT 1 FROM products WHERE id = '{id}' FOR UPDATE")
}
