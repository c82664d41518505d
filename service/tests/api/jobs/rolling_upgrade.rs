//! A rolling upgrade to the general queue: the statements of the version before, word for word and
//! prepared before the migration, run beside the code of this version (`migrations/README.md`).

use std::collections::BTreeSet;
use std::time::Duration;

use diesel::sql_types::{Int4, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use futures_util::future::join_all;
use sandbox_gateway::EntryKind::{Charge, Void};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::payments::workers::{place_order_without_notification, poll_rarely, status, worker};
use crate::support::app::TestApp;
use crate::support::fixtures::id;
use crate::support::sql::{query_number, query_texts};

pub(super) const UP: &str = include_str!("../../../../migrations/2026-11-28-000010_jobs/up.sql");
pub(super) const DOWN: &str =
    include_str!("../../../../migrations/2026-11-28-000010_jobs/down.sql");

/// The statements of the version before that name `payment_jobs`.
const STATEMENTS_BEFORE: &str = include_str!("version_before.sql");

#[derive(Debug, diesel::QueryableByName)]
struct LeasedRow {
    #[diesel(sql_type = SqlUuid)]
    order_id: Uuid,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Int4)]
    attempts: i32,
}

/// A session of a replica of the version before.
pub(super) struct ReplicaBefore {
    pub(super) conn: AsyncPgConnection,
    user: Uuid,
    product: Uuid,
}

impl ReplicaBefore {
    /// Places an order with the old statement.
    pub(super) async fn place_order(&mut self) -> Value {
        let order = Uuid::now_v7();
        let (user, product) = (self.user, self.product);
        let place = format!("record_order('{order}', '{user}', '{product}', NULL)");
        self.run(&place).await;
        json!({"id": order})
    }

    async fn lease(&mut self, token: Uuid, limit: usize) -> Vec<LeasedRow> {
        let lease = format!("EXECUTE lease('{token}', 600000, {limit})");
        diesel::sql_query(lease).load(&mut self.conn).await.unwrap()
    }

    /// Runs a prepared statement, and returns the number of rows it changed.
    async fn run(&mut self, statement: &str) -> usize {
        let statement = diesel::sql_query(format!("EXECUTE {statement}"));
        statement.execute(&mut self.conn).await.unwrap()
    }
}

pub(super) struct UpgradeTest {
    pub(super) app: TestApp,
    pub(super) conn: AsyncPgConnection,
    customer: String,
    user: Uuid,
    product: Value,
}

impl UpgradeTest {
    /// An app whose own worker does nothing, on the schema of the version before.
    pub(super) async fn start() -> Self {
        let app = TestApp::start_with(poll_rarely).await;
        let product = app
            .create_product(&app.create_admin().await, 250, 100)
            .await;
        let customer = app.register_customer().await;
        let me = app.get("/v1/users/me", &customer).await.expect(200);
        let mut conn = app.database.connect().await;
        run_migration(&mut conn, DOWN).await;
        Self {
            user: id(&me).parse().unwrap(),
            app,
            conn,
            customer,
            product,
        }
    }

    pub(super) async fn replica_before(&self) -> ReplicaBefore {
        let mut conn = self.app.database.connect().await;
        conn.batch_execute(STATEMENTS_BEFORE).await.unwrap();
        let product = id(&self.product).parse().unwrap();
        ReplicaBefore {
            conn,
            user: self.user,
            product,
        }
    }

    async fn status(&self, order: &Value) -> Value {
        status(&self.app, &self.customer, order).await
    }

    /// The jobs of an order, by kind and operation.
    async fn jobs_of(&mut self, order: &Value) -> Vec<String> {
        let jobs = format!(
            "SELECT concat_ws(' ', kind, payload ->> 'operation') AS value FROM jobs
             WHERE key = '{}' ORDER BY kind",
            id(order)
        );
        query_texts(&mut self.conn, &jobs).await
    }

    /// What the version before does to an order beside its job.
    async fn set_status(&mut self, order: &Value, status: &str) {
        let id = id(order);
        let restock = "UPDATE products SET stock = stock + 1";
        let pay =
            format!("INSERT INTO payments VALUES ('{id}', 'charge-of-{id}', 250, 'EUR', now())");
        let also = if status == "paid" { &pay } else { restock };
        let update = format!("UPDATE orders SET status = '{status}' WHERE id = '{id}'; {also}");
        self.conn.batch_execute(&update).await.unwrap();
    }
}

pub(super) async fn run_migration(conn: &mut AsyncPgConnection, sql: &str) {
    // A busy machine must not look like a held lock.
    let sql = sql.replace("lock_timeout = '1s'", "lock_timeout = '1min'");
    conn.batch_execute(&format!("BEGIN; {sql}; COMMIT"))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_work_on_same_jobs() {
    let mut test = UpgradeTest::start().await;
    let mut before = test.replica_before().await;
    let (by_new, by_old) = (before.place_order().await, before.place_order().await);
    let token = Uuid::now_v7();
    // Each statement has run once, so that its plan names the table.
    before.run("depth").await;
    before.run("list_dead(10)").await;
    let no_order = Uuid::nil();
    for statement in ["cancel", "requeue"] {
        before.run(&format!("{statement}('{no_order}')")).await;
    }
    let first = before.lease(token, 1).await;
    assert_eq!(first[0].order_id.to_string(), id(&by_new));
    let release = format!("release('{}', '0 s', '{token}')", id(&by_new));
    assert_eq!(before.run(&release).await, 1);
    let first = before.lease(token, 1).await;
    assert_eq!((first[0].kind.as_str(), first[0].attempts), ("charge", 1));
    assert_eq!(first[0].order_id.to_string(), id(&by_old));

    run_migration(&mut test.conn, UP).await;

    // No job is lost, none is leased twice, and each pending order expires.
    assert_eq!(
        test.jobs_of(&by_old).await,
        ["order_expiry", "payment charge"]
    );
    let now = worker(&test.app, Duration::from_mins(10));
    let leased = now.lease(10).await;
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].key, id(&by_new));
    now.process(&leased[0]).await;
    assert_eq!(test.status(&by_new).await, "paid");
    assert!(test.jobs_of(&by_new).await.is_empty());
    // The version before settles what it leased before the migration.
    let stale = format!("complete('{}', '{}')", id(&by_old), Uuid::now_v7());
    assert_eq!(before.run(&stale).await, 0);
    let settle = |order: &Value| format!("complete('{}', '{token}')", id(order));
    assert_eq!(before.run(&settle(&by_old)).await, 1);
    assert!(test.jobs_of(&by_old).await.is_empty());

    // It places an order that this version pays.
    let order = before.place_order().await;
    assert_eq!(
        test.jobs_of(&order).await,
        ["order_expiry", "payment charge"]
    );
    let leased = now.lease(10).await;
    now.process(&leased[0]).await;
    assert_eq!(test.status(&order).await, "paid");
    assert_eq!(test.app.ledger_of(&order), [Charge]);

    // It leases an order of this version, fails, and dead-letters the job; both versions list it.
    let (customer, order) = place_order_without_notification(&test.app).await;
    assert_eq!(before.lease(token, 10).await.len(), 1);
    assert!(now.lease(10).await.is_empty());
    let order_id = id(&order);
    let reschedule = format!("reschedule('{order_id}', '0 s', 'no response', '{token}')");
    assert_eq!(before.run(&reschedule).await, 1);
    assert_eq!(before.run(&reschedule).await, 0, "the lease has ended");
    assert_eq!(before.lease(token, 10).await[0].attempts, 2);
    let dead_letter = format!("dead_letter('{order_id}', 'given up', '{token}')");
    assert_eq!(before.run(&dead_letter).await, 1);
    assert_eq!(before.run("list_dead(10)").await, 1);
    let dead = "jobs WHERE dead_at IS NOT NULL AND last_error = 'given up' AND attempts = 2";
    assert_eq!(test.app.database.count_rows(dead).await, 1);
    assert_eq!(before.run(&format!("requeue('{order_id}')")).await, 1);
    let leased = now.lease(10).await;
    now.process(&leased[0]).await;
    assert_eq!(status(&test.app, &customer, &order).await, "paid");

    test.set_status(&by_old, "paid").await;
    let pending = query_number(&mut before.conn, "EXECUTE depth").await;
    assert_eq!(pending, 0);
    // The gateway of this test was not asked about that one.
    assert!(test.app.ledger_of(&by_old).is_empty());
    stop(test).await;
}

/// Ends a test whose orders did not all go through the gateway.
pub(super) async fn stop(test: UpgradeTest) {
    test.app.app.stop().await.unwrap();
    test.app.gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn version_before_cancels_on_new_schema() {
    let mut test = UpgradeTest::start().await;
    let mut before = test.replica_before().await;
    run_migration(&mut test.conn, UP).await;

    // Never attempted: the charge goes, and the expiry with it.
    let order = before.place_order().await;
    test.set_status(&order, "cancelled").await;
    assert_eq!(before.run(&format!("cancel('{}')", id(&order))).await, 1);
    assert!(test.jobs_of(&order).await.is_empty());

    // Attempted: the charge becomes a refund, whose worker is this version.
    let order = before.place_order().await;
    let now = worker(&test.app, Duration::from_mins(10));
    let charge = now.lease(10).await.remove(0);
    test.set_status(&order, "cancelled").await;
    assert_eq!(before.run(&format!("cancel('{}')", id(&order))).await, 0);
    let refund = format!("refund('{}', NULL)", id(&order));
    assert_eq!(before.run(&refund).await, 1);
    assert_eq!(test.jobs_of(&order).await, ["payment refund"]);
    let refund = now.lease(10).await.remove(0);
    now.process(&refund).await;
    now.process(&charge).await;
    assert_eq!(test.status(&order).await, "cancelled");
    assert_eq!(test.app.ledger_of(&order), [Void]);
    assert!(test.jobs_of(&order).await.is_empty());

    // A lease that commits while the cancellation waits is seen: the charge is not forgotten.
    let order = before.place_order().await;
    let lease = format!(
        "BEGIN; UPDATE jobs SET attempts = 1, lease_token = gen_random_uuid(),
         run_at = now() + interval '1 min' WHERE kind = 'payment' AND key = '{}'",
        id(&order)
    );
    test.conn.batch_execute(&lease).await.unwrap();
    let cancel = format!("cancel('{}')", id(&order));
    let commit = async {
        test.app.database.wait_for_lock_waiters(1).await;
        test.conn.batch_execute("COMMIT").await.unwrap();
    };
    let (cancelled, ()) = tokio::join!(before.run(&cancel), commit);
    assert_eq!(cancelled, 0);
    test.set_status(&order, "cancelled").await;
    let refund = format!("refund('{}', NULL)", id(&order));
    assert_eq!(before.run(&refund).await, 1);
    let refund = now.lease(10).await.remove(0);
    now.process(&refund).await;
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_lease_each_job_once() {
    let mut test = UpgradeTest::start().await;
    let mut placing = test.replica_before().await;
    for _ in 0..40 {
        placing.place_order().await;
    }
    let mut replicas = Vec::new();
    for _ in 0..4 {
        replicas.push(test.replica_before().await);
    }
    run_migration(&mut test.conn, UP).await;

    let now = worker(&test.app, Duration::from_mins(10));
    let lease_before = replicas.iter_mut().map(async |replica| {
        let mut leased = Vec::new();
        loop {
            let rows = replica.lease(Uuid::now_v7(), 2).await;
            if rows.is_empty() {
                return leased;
            }
            leased.extend(rows.iter().map(|row| row.order_id.to_string()));
        }
    });
    let lease_now = (0..2).map(async |_| {
        let mut leased = Vec::new();
        loop {
            let jobs = now.lease(2).await;
            if jobs.is_empty() {
                return leased;
            }
            leased.extend(jobs.into_iter().map(|job| job.key));
        }
    });
    let (by_old, by_new) = tokio::join!(join_all(lease_before), join_all(lease_now));
    let all: Vec<String> = by_old.into_iter().chain(by_new).flatten().collect();
    let distinct: BTreeSet<&String> = all.iter().collect();
    assert_eq!((all.len(), distinct.len()), (40, 40));
    stop(test).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn down_migration_keeps_every_payment() {
    let mut test = UpgradeTest::start().await;
    let mut before = test.replica_before().await;
    for _ in 0..3 {
        before.place_order().await;
    }
    let token = Uuid::now_v7();
    let leased = before.lease(token, 2).await;
    let dead_letter = format!(
        "dead_letter('{}', 'given up', '{token}')",
        leased[0].order_id
    );
    assert_eq!(before.run(&dead_letter).await, 1);
    let rows = "SELECT p::text AS value FROM payment_jobs p ORDER BY order_id";
    let expected = query_texts(&mut test.conn, rows).await;

    run_migration(&mut test.conn, UP).await;
    assert_eq!(query_texts(&mut test.conn, rows).await, expected);
    run_migration(&mut test.conn, DOWN).await;
    assert_eq!(query_texts(&mut test.conn, rows).await, expected);
    run_migration(&mut test.conn, UP).await;
    let expiries = "jobs WHERE kind = 'order_expiry' AND run_at > now() + interval '23 hours'";
    assert_eq!(test.app.database.count_rows(expiries).await, 3);
    stop(test).await;
}
