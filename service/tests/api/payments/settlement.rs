//! Paying: what becomes of an order, whatever the gateway does.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection as _;
use orderly::storage::dead_jobs::{self, DeadJob, DeadJobFilter};
use sandbox_gateway::EntryKind::{Charge, Decline, Refund, Void};
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::eventually::eventually;
use crate::support::fixtures::id;

const DEAD_LETTERED: &str = "orderly_jobs{kind=\"payment\",state=\"dead_lettered\"}";

/// A shop with one product, of which there are 5 at 250.
struct SettlementTest {
    app: TestApp,
    product: Value,
    customer: String,
}

impl SettlementTest {
    async fn start(app: TestApp) -> Self {
        let admin = app.create_admin().await;
        Self {
            product: app.create_product(&admin, 250, 5).await,
            customer: app.register_customer().await,
            app,
        }
    }

    /// Two pieces, which cost 500.
    async fn place_order(&self) -> Value {
        let response = self
            .app
            .place_order(&self.customer, &[(&self.product, 2)])
            .await;
        response.expect(201)
    }

    async fn wait_for_status(&self, order: &Value, status: &str) {
        self.app
            .wait_for_order_status(&self.customer, order, status)
            .await;
    }

    async fn cancel(&self, order: &Value) {
        let response = self
            .app
            .transition_order(&self.customer, order, "cancel")
            .await;
        response.expect(200);
    }

    async fn stock(&self) -> i64 {
        self.app.stock(&self.product).await
    }

    /// Waits until the gateway was asked at least that often.
    async fn wait_for_attempts(&self, attempts: i64) {
        let attempted = format!("jobs WHERE attempts >= {attempts}");
        self.app.database.wait_for_row_count(&attempted, 1).await;
    }

    /// What `orderly jobs list` shows.
    async fn dead_jobs(&self) -> Vec<DeadJob> {
        let mut conn = self.app.database.connect().await;
        dead_jobs::list(&mut conn, None, 10).await.unwrap()
    }

    /// Requeues all dead-lettered jobs, as `orderly jobs requeue --all`.
    async fn requeue(&self) -> usize {
        let mut conn = self.app.database.connect().await;
        let all = DeadJobFilter::default();
        dead_jobs::requeue(&mut conn, &all).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn charges_once_with_order_id_as_key() {
    let test = SettlementTest::start(TestApp::start().await).await;
    let order = test.place_order().await;
    test.wait_for_status(&order, "paid").await;
    let ledger = test.app.gateway.ledger();
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger[0].kind, Charge);
    assert_eq!(ledger[0].idempotency_key, id(&order));
    assert_eq!(ledger[0].amount_minor, 500);
    assert_eq!(test.stock().await, 3);
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn declined_payment_fails_order_and_restores_stock() {
    let test = SettlementTest::start(TestApp::start().await).await;
    test.app.set_faults(&json!({"decline_rate": 1.0})).await;
    let order = test.place_order().await;
    test.wait_for_status(&order, "payment_failed").await;
    assert_eq!(test.stock().await, 5);
    // A no is a no: it is not asked again.
    assert_eq!(test.app.ledger_of(&order), [Decline]);
    assert_eq!(test.app.database.count_rows("jobs").await, 0);
    test.app
        .wait_for_metric(
            "orderly_job_attempts_total{kind=\"payment\",outcome=\"declined\"}",
            1.0,
        )
        .await;
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_charge_without_response_until_paid() {
    for fault in ["error_rate", "reset_rate", "hang_rate"] {
        let app = TestApp::start_with(|settings| {
            settings.payments.timeout = Duration::from_millis(200);
        })
        .await;
        let test = SettlementTest::start(app).await;
        test.app.set_faults(&json!({ fault: 1.0 })).await;
        let order = test.place_order().await;
        test.wait_for_attempts(3).await;
        let order_now = test.app.get_order(&test.customer, &order).await;
        assert_eq!(order_now["status"], "pending");
        assert_eq!(test.stock().await, 3);
        assert!(test.app.ledger_of(&order).is_empty());

        test.app.restore_gateway().await;
        test.wait_for_status(&order, "paid").await;
        assert_eq!(test.app.ledger_of(&order), [Charge], "{fault}");
        test.app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn charges_once_when_response_is_lost() {
    let app = TestApp::start().await;
    let test = SettlementTest::start(app).await;
    let lost_response = json!({"charge_then_reset_rate": 1.0});
    test.app.set_faults(&lost_response).await;
    let order = test.place_order().await;
    test.wait_for_attempts(3).await;
    let order_now = test.app.get_order(&test.customer, &order).await;
    assert_eq!(order_now["status"], "pending");

    test.app.restore_gateway().await;
    test.wait_for_status(&order, "paid").await;
    assert_eq!(test.app.ledger_of(&order), [Charge]);
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_lettered_payment_can_be_requeued() {
    let app = TestApp::start_with(|settings| settings.payment_jobs.max_attempts = 3).await;
    let test = SettlementTest::start(app).await;
    test.app.fail_gateway().await;
    let order = test.place_order().await;
    test.app.wait_for_metric(DEAD_LETTERED, 1.0).await;
    let dead = test.dead_jobs().await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].key, id(&order));
    assert_eq!((dead[0].kind.as_str(), dead[0].attempts), ("payment", 3));
    assert_eq!(dead[0].payload["operation"], "charge");
    assert_eq!(dead[0].payload["amount_minor"], 500);
    let last_error = dead[0].last_error.clone().unwrap();
    assert!(last_error.contains("status 503"), "{last_error}");
    // Its goods are kept for it.
    let order_now = test.app.get_order(&test.customer, &order).await;
    assert_eq!(order_now["status"], "pending");
    assert_eq!(test.stock().await, 3);

    // Requeued too early, it is dead-lettered again.
    assert_eq!(test.requeue().await, 1);
    let dead_lettered_again = "jobs WHERE dead_at IS NOT NULL";
    test.app
        .database
        .wait_for_row_count(dead_lettered_again, 1)
        .await;

    test.app.restore_gateway().await;
    assert_eq!(test.requeue().await, 1);
    test.wait_for_status(&order, "paid").await;
    assert_eq!(test.app.ledger_of(&order), [Charge]);
    test.app.wait_for_metric(DEAD_LETTERED, 0.0).await;
    test.app.finish().await;
}

/// No circuit breaker helps here: so few calls are no proof of anything.
#[tokio::test(flavor = "multi_thread")]
async fn outage_never_dead_letters_payment_by_attempts_alone() {
    let app = TestApp::start_with(|settings| {
        settings.payment_jobs.max_attempts = 2;
        settings.payment_jobs.min_retry_duration = Duration::from_hours(1);
    })
    .await;
    let test = SettlementTest::start(app).await;
    test.app.fail_gateway().await;
    let order = test.place_order().await;
    test.wait_for_attempts(5).await;
    test.app.restore_gateway().await;
    test.wait_for_status(&order, "paid").await;
    assert_eq!(test.app.ledger_of(&order), [Charge]);
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_order_with_dead_lettered_payment_voids_it() {
    let app = TestApp::start_with(|settings| settings.payment_jobs.max_attempts = 1).await;
    let test = SettlementTest::start(app).await;
    test.app.fail_gateway().await;
    let order = test.place_order().await;
    test.app.wait_for_metric(DEAD_LETTERED, 1.0).await;

    test.cancel(&order).await;
    assert_eq!(test.stock().await, 5);
    // The refund finds the gateway down as well, and waits for a person in its turn.
    let dead_refund = "jobs WHERE payload ->> 'operation' = 'refund' AND dead_at IS NOT NULL";
    test.app.database.wait_for_row_count(dead_refund, 1).await;
    test.app.restore_gateway().await;
    assert_eq!(test.requeue().await, 1);
    test.app.database.wait_for_row_count("jobs", 0).await;
    assert_eq!(test.app.ledger_of(&order), [Void]);
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_order_refunds_charge_with_lost_response() {
    let app = TestApp::start().await;
    let test = SettlementTest::start(app).await;
    let lost_response = json!({"charge_then_reset_rate": 1.0});
    test.app.set_faults(&lost_response).await;
    let order = test.place_order().await;
    eventually("the money is taken", async || {
        (test.app.ledger_of(&order) == [Charge]).then_some(())
    })
    .await;
    test.cancel(&order).await;
    test.app.restore_gateway().await;
    test.app.database.wait_for_row_count("jobs", 0).await;
    assert_eq!(test.app.ledger_of(&order), [Charge, Refund]);
    assert_eq!(test.stock().await, 5);
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_before_charge_never_calls_gateway() {
    // One payment at a time, and the first can't be written down.
    let app = TestApp::start_with(|settings| {
        settings.payment_jobs.concurrency = 1;
        settings.payment_jobs.lease_duration = Duration::from_mins(5);
    })
    .await;
    let test = SettlementTest::start(app).await;
    let locked = test.app.database.lock_table("payments").await;
    let first = test.place_order().await;
    test.app.database.wait_for_lock_waiters(1).await;
    let order = test.place_order().await;
    test.cancel(&order).await;
    let job = format!("jobs WHERE key = '{}'", id(&order));
    assert_eq!(test.app.database.count_rows(&job).await, 0);

    locked.release().await;
    test.wait_for_status(&first, "paid").await;
    assert!(test.app.ledger_of(&order).is_empty());
    test.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_payment_that_cannot_be_recorded() {
    let app = TestApp::start_with(|settings| {
        settings.payment_jobs.max_attempts = 2;
        settings.payment_jobs.lease_duration = Duration::from_secs(1);
    })
    .await;
    let test = SettlementTest::start(app).await;
    let mut conn = test.app.database.connect().await;
    let rename = "ALTER TABLE payments RENAME TO elsewhere";
    conn.batch_execute(rename).await.unwrap();

    let order = test.place_order().await;

    test.app.wait_for_metric(DEAD_LETTERED, 1.0).await;
    let rename = "ALTER TABLE elsewhere RENAME TO payments";
    conn.batch_execute(rename).await.unwrap();
    assert_eq!(test.requeue().await, 1);
    test.wait_for_status(&order, "paid").await;
    test.app.finish().await;
}
