//! Migrations beside open transactions: none blocks customers for longer than its lock timeout.

use std::time::{Duration, Instant};

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use orderly::storage::migrations::{LOCK_TIMEOUT, MIGRATIONS, Migration};
use tokio::time::timeout;

use crate::support::database::TestDatabase;
use crate::support::eventually::eventually;
use crate::support::migrations::{MigrationRun, REFERENCES_ORDERS, apply};
use crate::support::sql::query_texts;

/// A migration of a release to come.
const fn migration(sql: &'static str) -> Migration {
    Migration {
        name: "2999-12-31-000009_next",
        sql,
    }
}

macro_rules! declared {
    ($sql:literal) => {
        concat!("-- Oldest compatible version: 20261120000001\n", $sql)
    };
}

/// None of these sets a lock timeout: the runner has one for all.
const LOCKING: [Migration; 5] = [
    migration(declared!(
        "CREATE TABLE returns (id uuid REFERENCES orders (id))"
    )),
    migration(declared!("ALTER TABLE orders ADD COLUMN note text")),
    migration(declared!(
        "CREATE INDEX orders_newest ON orders (created_at)"
    )),
    migration(declared!(
        "ALTER TABLE orders ALTER COLUMN currency TYPE varchar(3)"
    )),
    migration(declared!(
        "LOCK TABLE orders IN EXCLUSIVE MODE; UPDATE orders SET updated_at = now()"
    )),
];

/// Many times the lock timeout, for a busy machine.
const LIMIT: Duration = LOCK_TIMEOUT.saturating_mul(15);

fn with_next(next: Migration) -> Vec<Migration> {
    [MIGRATIONS, &[next]].concat()
}

async fn open_order(database: &TestDatabase) -> AsyncPgConnection {
    let mut conn = database.connect().await;
    // The lock of an INSERT, in a transaction that stays open.
    let insert = "BEGIN; LOCK TABLE orders IN ROW EXCLUSIVE MODE";
    conn.batch_execute(insert).await.unwrap();
    conn
}

#[tokio::test(flavor = "multi_thread")]
async fn migration_waits_no_longer_than_lock_timeout() {
    let database = TestDatabase::new().await;
    let _open = open_order(&database).await;
    for next in LOCKING {
        let migrations = with_next(next);
        let attempt = timeout(LIMIT, apply(&database.url, &migrations)).await;
        let error = attempt.expect("it waits for the lock").unwrap_err();
        let message = format!("{error:#}");
        assert!(message.contains("got no lock in 1 attempts"), "{message}");
        assert!(message.contains("idle in transaction"), "{message}");
    }
    let recorded = "__diesel_schema_migrations WHERE version LIKE '2999%'";
    assert_eq!(database.count_rows(recorded).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn order_waits_for_one_attempt_of_migration() {
    let database = TestDatabase::new().await;
    let mut open = open_order(&database).await;
    let run = MigrationRun::new(Duration::from_mins(5));
    let migrations = with_next(REFERENCES_ORDERS);
    let customer = async {
        database.wait_for_lock_waiters(1).await;
        let order = timeout(LIMIT, open_order(&database)).await;
        drop(order.expect("the order waits for the migration"));
        eventually("a second attempt failed", async || {
            (run.retries() >= 2).then_some(())
        })
        .await;
        open.batch_execute("COMMIT").await.unwrap();
    };
    let (applied, ()) = tokio::join!(run.apply(&database.url, &migrations), customer);
    assert_eq!(applied.unwrap().applied, ["29991231000003"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_pause_before_retry() {
    let database = TestDatabase::new().await;
    let _open = open_order(&database).await;
    let run = MigrationRun::new(Duration::from_hours(1));
    let migrations = with_next(REFERENCES_ORDERS);
    let stop = async {
        eventually("an attempt failed", async || {
            (run.retries() > 0).then_some(())
        })
        .await;
        run.stop.cancel();
    };
    let (applied, ()) = tokio::join!(run.apply(&database.url, &migrations), stop);
    assert!(applied.unwrap_err().to_string().contains("stopped"));
}

const CONCURRENT_INDEX: Migration = migration(
    "-- Oldest compatible version: 20261120000001\n\
     -- No transaction: the index is built while orders are placed.\n\
     DROP INDEX CONCURRENTLY IF EXISTS orders_newest;\n\
     CREATE INDEX CONCURRENTLY orders_newest ON orders (created_at);\n",
);

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_index_is_built_beside_open_orders_and_second_run() {
    let database = TestDatabase::new().await;
    let mut open = open_order(&database).await;
    let migrations = with_next(CONCURRENT_INDEX);
    let (first, second) = (
        MigrationRun::new(Duration::ZERO),
        MigrationRun::new(Duration::ZERO),
    );
    let begin_second = async {
        // The build waits for the open order.
        database.wait_for_lock_waiters(1).await;
        second.apply(&database.url, &migrations).await
    };
    let commit = async {
        // The second run waits for the build, which waits for all snapshots, and has none itself.
        eventually("the second run waits", async || {
            second.is_waiting().then_some(())
        })
        .await;
        let began = Instant::now();
        drop(open_order(&database).await);
        eventually("the build outlasts a lock timeout", async || {
            (began.elapsed() > LOCK_TIMEOUT * 2).then_some(())
        })
        .await;
        open.batch_execute("COMMIT").await.unwrap();
    };
    let (first, second, ()) = tokio::join!(
        first.apply(&database.url, &migrations),
        begin_second,
        commit
    );
    assert_eq!(first.unwrap().applied, ["29991231000009"]);
    assert!(second.unwrap().applied.is_empty());
    let valid = "pg_index WHERE indexrelid = 'orders_newest'::regclass AND indisvalid";
    assert_eq!(database.count_rows(valid).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_index_replaces_invalid_one() {
    let database = TestDatabase::new().await;
    let mut conn = database.connect().await;
    let invalid = "CREATE INDEX orders_newest ON orders (created_at);
        UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'orders_newest'::regclass";
    conn.batch_execute(invalid).await.unwrap();
    apply(&database.url, &with_next(CONCURRENT_INDEX))
        .await
        .unwrap();
    let valid = "pg_index WHERE indexrelid = 'orders_newest'::regclass AND indisvalid";
    assert_eq!(database.count_rows(valid).await, 1);
}

/// What `down.sql` must restore: columns, constraints and indexes.
const SCHEMA: &str = "SELECT * FROM (
        SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default)
        FROM information_schema.columns WHERE table_schema = 'public'
        UNION ALL SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
    ) AS schema (value) ORDER BY value";

#[tokio::test(flavor = "multi_thread")]
async fn every_migration_is_reverted_and_applied_again() {
    let database = TestDatabase::new().await;
    let mut conn = database.connect().await;
    let expected = query_texts(&mut conn, SCHEMA).await;
    for migration in MIGRATIONS.iter().rev() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
        let down = std::fs::read_to_string(format!("{root}/{}/down.sql", migration.name)).unwrap();
        let forget = format!(
            "DELETE FROM __diesel_schema_migrations WHERE version = '{}'",
            migration.version()
        );
        let revert = format!("BEGIN; {down}; {forget}; COMMIT");
        conn.batch_execute(&revert).await.unwrap();
    }
    let empty = query_texts(&mut conn, SCHEMA).await;
    let is_of_table = |line: &String| line.contains("__diesel_schema_migrations");
    assert!(empty.iter().all(is_of_table), "{empty:?}");

    let applied = apply(&database.url, MIGRATIONS).await.unwrap().applied;
    assert_eq!(applied.len(), MIGRATIONS.len());
    assert_eq!(query_texts(&mut conn, SCHEMA).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn declarations_are_stored_with_migrations() {
    let database = TestDatabase::new().await;
    let stored = "SELECT version || ' ' || oldest_compatible AS value
                  FROM __diesel_schema_migrations ORDER BY version";
    let stored = query_texts(&mut database.connect().await, stored).await;
    let declared = |migration: &Migration| {
        format!(
            "{} {}",
            migration.version(),
            migration.oldest_compatible().unwrap()
        )
    };
    assert_eq!(stored, MIGRATIONS.iter().map(declared).collect::<Vec<_>>());
}
