//! Paying: what becomes of an order, whatever the gateway does.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection as _;
use orderly::domain::ids::OrderId;
use orderly::payments::sandbox::EntryKind::{Charge, Decline, Refund, Void};
use orderly::storage::dead_jobs::{self, DeadJob};
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::eventually::eventually;
use crate::support::shop::id;

const DEAD: &str = "orderly_payment_jobs{state=\"dead_lettered\"}";

/// A shop with one product, of which there are 5 at 250.
struct Shop {
    app: TestApp,
    product: Value,
    customer: String,
}

impl Shop {
    async fn open(app: TestApp) -> Self {
        let admin = app.admin().await;
        Self {
            product: app.product(&admin, 250, 5).await,
            customer: app.customer().await,
            app,
        }
    }

    /// Two pieces, which cost 500.
    async fn order(&self) -> Value {
        let answer = self.app.order(&self.customer, &[(&self.product, 2)]).await;
        answer.expect(201)
    }

    async fn reaches(&self, order: &Value, status: &str) {
        self.app.order_reaches(&self.customer, order, status).await;
    }

    async fn cancel(&self, order: &Value) {
        let answer = self.app.order_move(&self.customer, order, "cancel").await;
        answer.expect(200);
    }

    async fn stock(&self) -> i64 {
        self.app.stock(&self.product).await
    }

    /// Waits until the gateway was asked at least that often.
    async fn is_tried(&self, tries: i64) {
        let tried = format!("payment_jobs WHERE attempts >= {tries}");
        self.app.database.rows_become(&tried, 1).await;
    }

    /// What `orderly jobs list` shows.
    async fn dead_jobs(&self) -> Vec<DeadJob> {
        let mut conn = self.app.database.connect().await;
        dead_jobs::list(&mut conn, 10).await.unwrap()
    }

    /// What `orderly jobs requeue` does.
    async fn requeue(&self, order: Option<&Value>) -> usize {
        let order = order.map(|order| OrderId(id(order).parse().unwrap()));
        let mut conn = self.app.database.connect().await;
        dead_jobs::requeue(&mut conn, order).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn charges_once_with_order_id_as_key() {
    let shop = Shop::open(TestApp::start().await).await;
    let order = shop.order().await;
    shop.reaches(&order, "paid").await;
    let ledger = shop.app.gateway.ledger();
    assert_eq!(ledger.len(), 1);
    assert_eq!(ledger[0].kind, Charge);
    assert_eq!(ledger[0].idempotency_key, id(&order));
    assert_eq!(ledger[0].amount_minor, 500);
    assert_eq!(shop.stock().await, 3);
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn declined_payment_fails_order_and_restores_stock() {
    let shop = Shop::open(TestApp::start().await).await;
    shop.app.faults(&json!({"decline_rate": 1.0})).await;
    let order = shop.order().await;
    shop.reaches(&order, "payment_failed").await;
    assert_eq!(shop.stock().await, 5);
    // A no is a no: it is not asked again.
    assert_eq!(shop.app.ledger_of(&order), [Decline]);
    assert_eq!(shop.app.database.rows("payment_jobs").await, 0);
    shop.app
        .metric_becomes("orderly_payment_attempts_total{outcome=\"declined\"}", 1.0)
        .await;
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_charge_without_response_until_paid() {
    for fault in ["error_rate", "reset_rate", "hang_rate"] {
        let app = TestApp::start_with(|settings| {
            settings.payments.timeout = Duration::from_millis(200);
        })
        .await;
        let shop = Shop::open(app).await;
        shop.app.faults(&json!({ fault: 1.0 })).await;
        let order = shop.order().await;
        shop.is_tried(3).await;
        let order_now = shop.app.view_order(&shop.customer, &order).await;
        assert_eq!(order_now["status"], "pending");
        assert_eq!(shop.stock().await, 3);
        assert!(shop.app.ledger_of(&order).is_empty());

        shop.app.gateway_comes_back().await;
        shop.reaches(&order, "paid").await;
        assert_eq!(shop.app.ledger_of(&order), [Charge], "{fault}");
        shop.app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn charges_once_when_response_is_lost() {
    let app = TestApp::start().await;
    let shop = Shop::open(app).await;
    let lost = json!({"charge_then_reset_rate": 1.0});
    shop.app.faults(&lost).await;
    let order = shop.order().await;
    shop.is_tried(3).await;
    let order_now = shop.app.view_order(&shop.customer, &order).await;
    assert_eq!(order_now["status"], "pending");

    shop.app.gateway_comes_back().await;
    shop.reaches(&order, "paid").await;
    assert_eq!(shop.app.ledger_of(&order), [Charge]);
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_lettered_payment_can_be_requeued() {
    let app = TestApp::start_with(|settings| settings.payments.max_attempts = 3).await;
    let shop = Shop::open(app).await;
    shop.app.gateway_goes_down().await;
    let order = shop.order().await;
    shop.app.metric_becomes(DEAD, 1.0).await;
    let dead = shop.dead_jobs().await;
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].order_id.to_string(), id(&order));
    assert_eq!((dead[0].kind.as_str(), dead[0].attempts), ("charge", 3));
    assert_eq!(dead[0].amount_minor, 500);
    let last_error = dead[0].last_error.clone().unwrap();
    assert!(last_error.contains("status 503"), "{last_error}");
    // Its goods are kept for it.
    let order_now = shop.app.view_order(&shop.customer, &order).await;
    assert_eq!(order_now["status"], "pending");
    assert_eq!(shop.stock().await, 3);

    // Requeued too early, it is given up again; another one's id does nothing.
    let nobodys = json!({"id": uuid::Uuid::now_v7()});
    assert_eq!(shop.requeue(Some(&nobodys)).await, 0);
    assert_eq!(shop.requeue(None).await, 1);
    let buried_again = "payment_jobs WHERE dead_at IS NOT NULL";
    shop.app.database.rows_become(buried_again, 1).await;

    shop.app.gateway_comes_back().await;
    assert_eq!(shop.requeue(Some(&order)).await, 1);
    shop.reaches(&order, "paid").await;
    assert_eq!(shop.app.ledger_of(&order), [Charge]);
    shop.app.metric_becomes(DEAD, 0.0).await;
    shop.app.finish().await;
}

/// No circuit breaker helps here: so few calls are no proof of anything.
#[tokio::test(flavor = "multi_thread")]
async fn outage_never_dead_letters_payment_by_attempts_alone() {
    let app = TestApp::start_with(|settings| {
        settings.payments.max_attempts = 2;
        settings.payments.min_retry_duration = Duration::from_hours(1);
    })
    .await;
    let shop = Shop::open(app).await;
    shop.app.gateway_goes_down().await;
    let order = shop.order().await;
    shop.is_tried(5).await;
    shop.app.gateway_comes_back().await;
    shop.reaches(&order, "paid").await;
    assert_eq!(shop.app.ledger_of(&order), [Charge]);
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_order_with_dead_lettered_payment_voids_it() {
    let app = TestApp::start_with(|settings| settings.payments.max_attempts = 1).await;
    let shop = Shop::open(app).await;
    shop.app.gateway_goes_down().await;
    let order = shop.order().await;
    shop.app.metric_becomes(DEAD, 1.0).await;

    shop.cancel(&order).await;
    assert_eq!(shop.stock().await, 5);
    // The refund finds the gateway down as well, and waits for a person in its turn.
    let dead_refund = "payment_jobs WHERE kind = 'refund' AND dead_at IS NOT NULL";
    shop.app.database.rows_become(dead_refund, 1).await;
    shop.app.gateway_comes_back().await;
    assert_eq!(shop.requeue(Some(&order)).await, 1);
    shop.app.database.rows_become("payment_jobs", 0).await;
    assert_eq!(shop.app.ledger_of(&order), [Void]);
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_order_refunds_charge_with_lost_response() {
    let app = TestApp::start().await;
    let shop = Shop::open(app).await;
    let lost = json!({"charge_then_reset_rate": 1.0});
    shop.app.faults(&lost).await;
    let order = shop.order().await;
    eventually("the money is taken", async || {
        (shop.app.ledger_of(&order) == [Charge]).then_some(())
    })
    .await;
    shop.cancel(&order).await;
    shop.app.gateway_comes_back().await;
    shop.app.database.rows_become("payment_jobs", 0).await;
    assert_eq!(shop.app.ledger_of(&order), [Charge, Refund]);
    assert_eq!(shop.stock().await, 5);
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_before_charge_never_calls_gateway() {
    // One payment at a time, and the first can't be written down.
    let app = TestApp::start_with(|settings| {
        settings.payments.concurrency = 1;
        settings.payments.lease_duration = Duration::from_mins(5);
    })
    .await;
    let shop = Shop::open(app).await;
    let locked = shop.app.database.lock_table("payments").await;
    let first = shop.order().await;
    shop.app.database.sessions_wait_for_a_lock(1).await;
    let order = shop.order().await;
    shop.cancel(&order).await;
    let job = format!("payment_jobs WHERE order_id = '{}'", id(&order));
    assert_eq!(shop.app.database.rows(&job).await, 0);

    locked.release().await;
    shop.reaches(&first, "paid").await;
    assert!(shop.app.ledger_of(&order).is_empty());
    shop.app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_payment_that_cannot_be_recorded() {
    let app = TestApp::start_with(|settings| {
        settings.payments.max_attempts = 2;
        settings.payments.lease_duration = Duration::from_secs(1);
    })
    .await;
    let shop = Shop::open(app).await;
    let mut conn = shop.app.database.connect().await;
    let rename = "ALTER TABLE payments RENAME TO elsewhere";
    conn.batch_execute(rename).await.unwrap();

    let order = shop.order().await;

    shop.app.metric_becomes(DEAD, 1.0).await;
    let rename = "ALTER TABLE elsewhere RENAME TO payments";
    conn.batch_execute(rename).await.unwrap();
    assert_eq!(shop.requeue(Some(&order)).await, 1);
    shop.reaches(&order, "paid").await;
    shop.app.finish().await;
}
