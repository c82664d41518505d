//! The migrations of the rolling upgrade under load: their locks, and the plans that they leave.

use diesel::sql_types::Text;
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};

use super::rolling_upgrade::{DOWN, UP, UpgradeTest, run_migration, stop};
use crate::support::fixtures::id;

const PREPARE_UP: &str =
    include_str!("../../../../migrations/2026-11-28-000009_failure_reason/up.sql");
const PREPARE_DOWN: &str =
    include_str!("../../../../migrations/2026-11-28-000009_failure_reason/down.sql");

#[derive(diesel::QueryableByName)]
struct PlanLine {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    text: String,
}

/// Runs a migration while a transaction of the version before holds an order, and deletes the job of the
/// order as soon as the migration waits.
async fn migrate_beside_cancellation(test: &mut UpgradeTest, sql: &str, waits_for_lease: bool) {
    let order = test.replica_before().await.place_order().await;
    let id = id(&order);
    let database = &test.app.database;
    let mut cancelling = database.connect().await;
    let lock = format!("BEGIN; SELECT FROM orders WHERE id = '{id}' FOR UPDATE");
    cancelling.batch_execute(&lock).await.unwrap();
    let mut leasing = database.connect().await;
    if waits_for_lease {
        let lease = "BEGIN; UPDATE payment_jobs SET attempts = attempts WHERE false";
        leasing.batch_execute(lease).await.unwrap();
    }

    let cancel = async {
        database.wait_for_lock_waiters(1).await;
        let delete = format!("DELETE FROM payment_jobs WHERE order_id = '{id}' AND attempts = 0");
        let deleted = diesel::sql_query(delete).execute(&mut cancelling).await;
        cancelling.batch_execute("COMMIT").await.unwrap();
        deleted.unwrap()
    };
    let end_lease = async {
        if waits_for_lease {
            // The migration waits for the lease, and the cancellation for the migration.
            database.wait_for_lock_waiters(2).await;
            leasing.batch_execute("COMMIT").await.unwrap();
        }
    };
    let migration = run_migration(&mut test.conn, sql);
    let ((), deleted, ()) = tokio::join!(migration, cancel, end_lease);
    assert_eq!(deleted, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_do_not_deadlock_with_cancellation() {
    let mut test = UpgradeTest::start().await;
    run_migration(&mut test.conn, PREPARE_DOWN).await;
    for (sql, waits_for_lease) in [
        (PREPARE_UP, false),
        (UP, true),
        (DOWN, true),
        (PREPARE_DOWN, false),
    ] {
        migrate_beside_cancellation(&mut test, sql, waits_for_lease).await;
    }
    stop(test).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_of_version_before_use_index_on_view() {
    let mut test = UpgradeTest::start().await;
    let rows =
        "INSERT INTO payment_jobs (order_id, kind, amount_minor, currency, run_at, created_at)
        SELECT gen_random_uuid(), 'charge', 1, 'EUR', now() + n * interval '1 s', now()
        FROM generate_series(1, 3000) AS n";
    test.conn.batch_execute(rows).await.unwrap();
    let mut before = test.replica_before().await;
    run_migration(&mut test.conn, UP).await;
    let prepare = "ANALYZE jobs; SET plan_cache_mode = force_generic_plan";
    before.conn.batch_execute(prepare).await.unwrap();

    const ID: &str = "'00000000-0000-0000-0000-000000000000'";
    for statement in [
        format!("lease({ID}, 600000, 10)"),
        format!("complete({ID}, {ID})"),
        format!("reschedule({ID}, '1 s', '', {ID})"),
        format!("release({ID}, '1 s', {ID})"),
        format!("dead_letter({ID}, '', {ID})"),
        format!("cancel({ID})"),
        format!("refund({ID}, NULL)"),
    ] {
        let explain = diesel::sql_query(format!("EXPLAIN EXECUTE {statement}"));
        let lines: Vec<PlanLine> = explain.load(&mut before.conn).await.unwrap();
        let plan: String = lines.into_iter().map(|line| line.text + "\n").collect();
        assert!(
            plan.contains("jobs_payment_order_id"),
            "{statement}:\n{plan}"
        );
        assert!(!plan.contains("Seq Scan"), "{statement}:\n{plan}");
    }
    stop(test).await;
}
