//! Orders that are still unpaid after `orders.payment_window`.

use std::time::Duration;

use orderly::config::Settings;
use orderly::storage::dead_jobs::{self, DeadJobFilter};
use orderly::storage::jobs::{self, NewJob};
use sandbox_gateway::EntryKind::{Charge, Void};
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::eventually::eventually;
use crate::support::fixtures::id;

const EXPIRED: &str = "orderly_job_attempts_total{kind=\"order_expiry\",outcome=\"expired\"}";

/// A shop with one product, of which there are 5.
struct ExpiryTest {
    app: TestApp,
    product: Value,
    customer: String,
}

impl ExpiryTest {
    async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let app = TestApp::start_with(change).await;
        let admin = app.create_admin().await;
        Self {
            product: app.create_product(&admin, 250, 5).await,
            customer: app.register_customer().await,
            app,
        }
    }

    async fn place_order(&self) -> Value {
        let lines = [(&self.product, 2)];
        self.app
            .place_order(&self.customer, &lines)
            .await
            .expect(201)
    }

    async fn wait_until_expired(&self, order: &Value) {
        let (app, failed) = (&self.app, "payment_failed");
        let order = app
            .wait_for_order_status(&self.customer, order, failed)
            .await;
        assert_eq!(order["failure_reason"], "expired");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unpaid_order_expires_after_payment_window() {
    let window = Duration::from_millis(200);
    let test = ExpiryTest::start_with(|settings| settings.orders.payment_window = window).await;
    test.app.fail_gateway().await;
    let order = test.place_order().await;
    assert_eq!(order["failure_reason"], Value::Null);
    test.wait_until_expired(&order).await;
    assert_eq!(test.app.stock(&test.product).await, 5);
    test.app.wait_for_metric(EXPIRED, 1.0).await;

    test.app.restore_gateway().await;
    test.app.database.wait_for_row_count("jobs", 0).await;
    assert!(!test.app.ledger_of(&order).contains(&Charge));
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_has_whole_payment_window() {
    let test = ExpiryTest::start_with(|settings| {
        settings.orders.payment_window = Duration::from_hours(2);
    })
    .await;
    test.app.fail_gateway().await;
    let order = test.place_order().await;
    let expiry = "jobs WHERE kind = 'order_expiry' AND run_at = due_at \
                  AND run_at BETWEEN now() + interval '119 min' AND now() + interval '2 hours'";
    assert_eq!(test.app.database.count_rows(expiry).await, 1);
    test.app.restore_gateway().await;
    test.app
        .wait_for_order_status(&test.customer, &order, "paid")
        .await;
    test.app.database.wait_for_row_count("jobs", 0).await;
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn declined_and_cancelled_orders_keep_no_expiry() {
    let test = ExpiryTest::start_with(|_| {}).await;
    test.app.set_faults(&json!({"decline_rate": 1.0})).await;
    let declined = test.place_order().await;
    let declined = test
        .app
        .wait_for_order_status(&test.customer, &declined, "payment_failed")
        .await;
    assert_eq!(declined["failure_reason"], "declined");
    test.app.database.wait_for_row_count("jobs", 0).await;

    test.app.fail_gateway().await;
    let cancelled = test.place_order().await;
    let cancel = test
        .app
        .transition_order(&test.customer, &cancelled, "cancel");
    assert_eq!(cancel.await.expect(200)["failure_reason"], Value::Null);
    let expiry = "jobs WHERE kind = 'order_expiry'";
    assert_eq!(test.app.database.count_rows(expiry).await, 0);
    test.app.restore_gateway().await;
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_voids_dead_lettered_charge() {
    let test = ExpiryTest::start_with(|settings| settings.payment_jobs.max_attempts = 1).await;
    test.app.fail_gateway().await;
    let order = test.place_order().await;
    let dead = "jobs WHERE kind = 'payment' AND dead_at IS NOT NULL";
    test.app.database.wait_for_row_count(dead, 1).await;
    test.app.restore_gateway().await;
    test.app.end_payment_window(&order).await;
    test.wait_until_expired(&order).await;
    test.app.database.wait_for_row_count("jobs", 0).await;
    assert_eq!(test.app.ledger_of(&order), [Void]);
    assert_eq!(test.app.stock(&test.product).await, 5);
    test.app.finish().await;
}

/// An operator deleted the job of a charge that may have been made.
#[tokio::test(flavor = "multi_thread")]
async fn expiry_refunds_order_without_payment_job() {
    let test = ExpiryTest::start_with(|settings| settings.payment_jobs.max_attempts = 1).await;
    let lost_response = json!({"charge_then_reset_rate": 1.0});
    test.app.set_faults(&lost_response).await;
    let order = test.place_order().await;
    let dead = "jobs WHERE kind = 'payment' AND dead_at IS NOT NULL";
    test.app.database.wait_for_row_count(dead, 1).await;
    let mut conn = test.app.database.connect().await;
    let deleted = dead_jobs::delete(&mut conn, &DeadJobFilter::default()).await;
    assert_eq!(deleted.unwrap(), 1);
    test.app.restore_gateway().await;
    test.app.end_payment_window(&order).await;
    test.wait_until_expired(&order).await;
    test.app.database.wait_for_row_count("jobs", 0).await;
    // The invariants say that the money is back.
    assert_eq!(test.app.ledger_of(&order).len(), 2);
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_before_charge_never_calls_gateway() {
    // One payment at a time, and the first can't be recorded.
    let test = ExpiryTest::start_with(|settings| {
        settings.payment_jobs.concurrency = 1;
        settings.payment_jobs.lease_duration = Duration::from_mins(5);
    })
    .await;
    let locked = test.app.database.lock_table("payments").await;
    let first = test.place_order().await;
    test.app.database.wait_for_lock_waiters(1).await;
    let order = test.place_order().await;
    test.app.end_payment_window(&order).await;
    test.wait_until_expired(&order).await;
    let rest = format!("jobs WHERE key = '{}'", id(&order));
    assert_eq!(test.app.database.count_rows(&rest).await, 0);

    locked.release().await;
    let (app, paid) = (&test.app, "paid");
    app.wait_for_order_status(&test.customer, &first, paid)
        .await;
    assert!(test.app.ledger_of(&order).is_empty());
    test.app.finish().await;
}

/// The charge is at the gateway when the order expires, and its response comes late.
#[tokio::test(flavor = "multi_thread")]
async fn late_charge_does_not_pay_expired_order() {
    let test = ExpiryTest::start_with(|_| {}).await;
    let locked = test.app.database.lock_table("payments").await;
    let order = test.place_order().await;
    eventually("the money is taken", async || {
        (test.app.ledger_of(&order) == [Charge]).then_some(())
    })
    .await;
    // The settlement holds the order's row and waits for the table: the expiry waits for the row.
    test.app.database.wait_for_lock_waiters(1).await;
    test.app.end_payment_window(&order).await;
    test.app.database.wait_for_lock_waiters(2).await;
    // The settlement fails: its session ends, and the order is still pending.
    let settlement = "query LIKE 'INSERT INTO \"payments\"%'";
    test.app.database.terminate_session(settlement).await;
    test.wait_until_expired(&order).await;
    locked.release().await;

    test.app.database.wait_for_row_count("jobs", 0).await;
    assert_eq!(test.app.ledger_of(&order).len(), 2, "charged and refunded");
    assert_eq!(test.app.database.count_rows("payments").await, 0);
    assert_eq!(test.app.stock(&test.product).await, 5);
    test.wait_until_expired(&order).await;
    test.app.finish().await;
}

/// A worker that died between the commit and the end of its lease left no job, but an operator or a
/// replica of the version before may have.
#[tokio::test(flavor = "multi_thread")]
async fn paid_order_never_expires() {
    let test = ExpiryTest::start_with(|_| {}).await;
    let order = test.place_order().await;
    let (app, paid) = (&test.app, "paid");
    let before = app
        .wait_for_order_status(&test.customer, &order, paid)
        .await;
    let expiry = NewJob {
        kind: "order_expiry",
        key: Some(id(&order)),
        payload: &json!({"order_id": order["id"]}),
        delay: Duration::ZERO,
    };
    let mut conn = test.app.database.connect().await;
    jobs::enqueue(&mut conn, expiry).await.unwrap();
    let not_pending = EXPIRED.replace("\"expired\"", "\"not_pending\"");
    test.app.wait_for_metric(&not_pending, 1.0).await;
    test.app.database.wait_for_row_count("jobs", 0).await;
    assert_eq!(test.app.get_order(&test.customer, &order).await, before);
    test.app.finish().await;
}
