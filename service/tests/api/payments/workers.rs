//! Workers: notified, polling, refunding, dead-lettering. Their leases are in `leases.rs`.
//!
//! The service's own worker polls once a minute here unless it is notified, and the
//! test drives a second worker.

use std::time::Duration;

use orderly::config::{OrdersConfig, PaymentsConfig, Settings};
use orderly::domain::basket::{Basket, BasketLine, Quantity};
use orderly::domain::idempotency::IdempotencyKey;
use orderly::domain::ids::{ProductId, UserId};
use orderly::domain::order::Order;
use orderly::jobs::payment::Payments;
use orderly::jobs::queue::JobWorker;
use orderly::payments::{PaymentGateway, ResilientGateway};
use orderly::resilience::backoff::Backoff;
use orderly::resilience::breaker::Breaker;
use orderly::resilience::retry::{Retry, RetryBudget};
use orderly::storage::dead_jobs::{self, DeadJobFilter};
use orderly::storage::job_notifier;
use orderly::storage::jobs::LeasedJob;
use orderly::storage::order_jobs::PaymentJob;
use orderly::telemetry::metrics::Metrics;
use orderly::usecases::place_order::{PlaceOrder, place_order_on};
use sandbox_gateway::EntryKind::{Charge, Refund};
use serde_json::{Value, json};

use crate::support::app::{TestApp, test_settings};
use crate::support::eventually::eventually;
use crate::support::fixtures::id;

/// Twice as long as anything here waits for.
pub fn poll_rarely(settings: &mut Settings) {
    settings.payment_jobs.poll_interval = Duration::from_mins(1);
}

/// Places an order as a process that died after the commit, without a job notification.
pub async fn place_order_without_notification(app: &TestApp) -> (String, Value) {
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let customer = app.register_customer().await;
    let me = app.get("/v1/users/me", &customer).await.expect(200);
    let line = BasketLine {
        product_id: ProductId(id(&product).parse().unwrap()),
        quantity: Quantity::new(2).unwrap(),
    };
    let request = PlaceOrder {
        user_id: UserId(id(&me).parse().unwrap()),
        basket: Basket::new(vec![line]).unwrap(),
        idempotency_key: IdempotencyKey::parse(b"key").unwrap(),
    };
    let response = |order: &Order| serde_json::to_string(&json!({"id": order.id}));
    let mut conn = app.database.connect().await;
    let config = OrdersConfig::default();
    let placed = place_order_on(&mut conn, &config, &request, response).await;
    (customer, json!({"id": placed.unwrap().order_id}))
}

/// A worker for the test to drive; its leases last for `lease`.
pub fn worker(app: &TestApp, lease: Duration) -> JobWorker<Payments> {
    let mut config = test_settings(&app.database, &app.gateway).payment_jobs;
    config.lease_duration = lease;
    let services = app.app.services.clone();
    JobWorker {
        database: services.database.clone(),
        job: Payments {
            services,
            gateway: gateway(&app.gateway.url()),
        },
        config,
        metrics: Metrics::new().unwrap().jobs,
    }
}

/// The work that a leased payment job describes.
pub fn payment(job: &LeasedJob) -> PaymentJob {
    serde_json::from_value(job.payload.clone()).unwrap()
}

pub fn gateway(url: &str) -> ResilientGateway {
    let settings = Settings::default();
    let config = PaymentsConfig {
        gateway_url: url.to_owned(),
        timeout: Duration::from_secs(20),
        read_timeout: Duration::from_secs(20),
        ..settings.payments
    };
    let metrics = Metrics::new().unwrap();
    ResilientGateway {
        gateway: PaymentGateway::new(&config).unwrap(),
        breaker: Breaker::new("gateway", settings.breaker, metrics.breakers),
        retry: Retry {
            backoff: Backoff {
                base: settings.retry.backoff_base,
                cap: settings.retry.backoff_cap,
            },
            max_attempts: 1,
            budget: RetryBudget::new(0.0),
            dependency: "gateway",
            retries: metrics.dependencies.retries,
        },
        metrics: metrics.gateway,
    }
}

/// Leases the only job there is.
pub async fn lease(worker: &JobWorker<Payments>) -> LeasedJob {
    let mut leased = worker.lease(10).await;
    assert_eq!(leased.len(), 1);
    leased.remove(0)
}

pub async fn status(app: &TestApp, customer: &str, order: &Value) -> Value {
    app.get_order(customer, order).await["status"].clone()
}

/// Notifies until the service's own worker has paid the order.
pub async fn notify_until_paid(app: &TestApp, customer: &str, order: &Value) {
    eventually("the order is paid", async || {
        app.app.services.job_notifier.notify();
        (status(app, customer, order).await == "paid").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_requeued_charge_cancelled_before_next_attempt() {
    let app = TestApp::start_with(poll_rarely).await;
    let (customer, order) = place_order_without_notification(&app).await;
    app.set_faults(&json!({"charge_then_reset_rate": 1.0}))
        .await;
    let mut failing_worker = worker(&app, Duration::from_mins(10));
    failing_worker.config.max_attempts = 1;
    let job = lease(&failing_worker).await;
    failing_worker.process(&job).await;
    assert_eq!(app.ledger_of(&order), [Charge]);
    let dead = "jobs WHERE dead_at IS NOT NULL";
    assert_eq!(app.database.count_rows(dead).await, 1);

    app.restore_gateway().await;
    let mut conn = app.database.connect().await;
    for (key, expected) in [("another key".to_owned(), 0), (job.key, 1)] {
        let filter = DeadJobFilter {
            key: Some(key),
            kind: None,
        };
        let requeued = dead_jobs::requeue(&mut conn, &filter).await;
        assert_eq!(requeued.unwrap(), expected);
    }
    let cancelled = app.transition_order(&customer, &order, "cancel").await;
    cancelled.expect(200);
    eventually("the money goes back", async || {
        app.app.services.job_notifier.notify();
        (app.ledger_of(&order) == [Charge, Refund]).then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn placed_order_notifies_worker() {
    let app = TestApp::start_with(poll_rarely).await;
    app.database.wait_for_listener().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let customer = app.register_customer().await;
    // Each time, not only the first: and long before the worker would have looked.
    for _ in 0..3 {
        let order = app
            .place_order(&customer, &[(&product, 1)])
            .await
            .expect(201);
        app.wait_for_order_status(&customer, &order, "paid").await;
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receives_job_notification_of_another_replica() {
    let app = TestApp::start_with(poll_rarely).await;
    app.database.wait_for_listener().await;
    let (customer, order) = place_order_without_notification(&app).await;
    let mut replica = app.database.connect().await;
    job_notifier::send(&mut replica).await.unwrap();
    app.wait_for_order_status(&customer, &order, "paid").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listens_again_after_losing_its_session() {
    let app = TestApp::start_with(poll_rarely).await;
    app.database.wait_for_listener().await;
    app.database
        .terminate_session("query LIKE 'LISTEN %'")
        .await;
    app.database.wait_for_listener().await;
    let (customer, order) = place_order_without_notification(&app).await;
    notify_until_paid(&app, &customer, &order).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_finds_job_after_lost_notification() {
    let app = TestApp::start().await;
    let (customer, order) = place_order_without_notification(&app).await;
    app.wait_for_order_status(&customer, &order, "paid").await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_permanent_error_immediately() {
    let app = TestApp::start_with(poll_rarely).await;
    let (_, order) = place_order_without_notification(&app).await;
    // Somebody has used the order's key for another amount, and was declined.
    app.set_faults(&json!({"decline_rate": 1.0})).await;
    let charge = json!({"reference": id(&order), "amount_minor": 1, "currency": "EUR"});
    let url = format!("{}/charges", app.gateway.url());
    let request = app.client.post(url).header("idempotency-key", id(&order));
    let declined = request.json(&charge).send().await.unwrap();
    assert_eq!(declined.status(), 402);
    app.set_faults(&json!({})).await;

    eventually("the payment is dead-lettered", async || {
        app.app.services.job_notifier.notify();
        (app.database
            .count_rows("jobs WHERE dead_at IS NOT NULL")
            .await
            == 1)
            .then_some(())
    })
    .await;
    let mut conn = app.database.connect().await;
    let dead = dead_jobs::list(&mut conn, None, 10).await.unwrap();
    assert_eq!(dead[0].attempts, 1);
    assert!(dead[0].last_error.as_deref().unwrap().contains("422"));
    app.finish().await;
}
