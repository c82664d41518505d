//! Leases of payment jobs: taken over when they expire, lost, and released when a worker stops.

use std::time::Duration;

use orderly::jobs::payment::Payments;
use orderly::jobs::queue::JobWorker;
use orderly::storage::jobs::LeasedJob;
use orderly::storage::order_jobs::PaymentJob;
use sandbox_gateway::EntryKind::Charge;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::workers::{
    gateway, lease, notify_until_paid, payment, place_order_without_notification, poll_rarely,
    status, worker,
};
use crate::support::app::TestApp;
use crate::support::eventually::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn takes_over_expired_lease_and_charges_once() {
    let app = TestApp::start_with(poll_rarely).await;
    let (customer, order) = place_order_without_notification(&app).await;
    let dying_worker = worker(&app, Duration::from_millis(500));
    let job = lease(&dying_worker).await;
    let PaymentJob {
        order_id, amount, ..
    } = payment(&job);
    let gateway = &dying_worker.job.gateway;
    gateway.charge(order_id, amount).await.unwrap();
    drop((dying_worker, job));
    assert_eq!(app.ledger_of(&order), [Charge]);
    assert_eq!(status(&app, &customer, &order).await, "pending");

    notify_until_paid(&app, &customer, &order).await;
    assert_eq!(app.ledger_of(&order), [Charge]);
    assert_eq!(app.database.count_rows("payments").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leased_job_is_not_leased_again_before_expiry() {
    let app = TestApp::start_with(poll_rarely).await;
    let (customer, order) = place_order_without_notification(&app).await;
    let slow_worker = worker(&app, Duration::from_mins(10));
    let job = lease(&slow_worker).await;
    let other = worker(&app, Duration::from_mins(10));
    assert!(other.lease(10).await.is_empty());
    slow_worker.process(&job).await;
    assert_eq!(status(&app, &customer, &order).await, "paid");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_settlement_after_lost_lease_changes_nothing() {
    let app = TestApp::start_with(poll_rarely).await;
    let (customer, order) = place_order_without_notification(&app).await;
    let late_worker = worker(&app, Duration::ZERO);
    let lost_job = lease(&late_worker).await;
    notify_until_paid(&app, &customer, &order).await;
    let paid = app.get_order(&customer, &order).await;
    app.database.wait_for_row_count("outbox", 0).await;

    late_worker.process(&lost_job).await;
    assert_eq!(app.get_order(&customer, &order).await, paid);
    assert_eq!(app.ledger_of(&order), [Charge]);
    assert_eq!(app.database.count_rows("outbox").await, 0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_with_lost_lease_cannot_change_job() {
    let app = TestApp::start_with(poll_rarely).await;
    let (customer, order) = place_order_without_notification(&app).await;
    let late_worker = worker(&app, Duration::ZERO);
    let lost_job = lease(&late_worker).await;
    let current_worker = worker(&app, Duration::from_mins(10));
    let current_job = lease(&current_worker).await;
    assert_eq!((lost_job.attempt, current_job.attempt), (1, 2));

    // It can neither reschedule nor dead-letter the job: that would end the other's lease.
    let no_gateway = JobWorker {
        job: Payments {
            gateway: gateway("http://127.0.0.1:1"),
            ..late_worker.job.clone()
        },
        ..late_worker.clone()
    };
    let leased = format!("jobs WHERE lease_token = '{}'", current_job.token);
    let last_attempt = LeasedJob {
        attempt: u32::MAX,
        ..lost_job.clone()
    };
    for job in [&lost_job, &last_attempt] {
        no_gateway.process(job).await;
        assert_eq!(app.database.count_rows(&leased).await, 1);
    }
    // It may settle, for what the gateway said is true; the job stays with the other.
    late_worker.process(&lost_job).await;
    assert_eq!(status(&app, &customer, &order).await, "paid");
    assert_eq!(app.database.count_rows(&leased).await, 1);
    current_worker.process(&current_job).await;
    assert_eq!(app.database.count_rows("jobs").await, 0);
    assert_eq!(app.ledger_of(&order), [Charge]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_worker_releases_leased_job_not_started() {
    let app = TestApp::start_with(|settings| settings.payment_jobs.max_attempts = 100).await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 100, 1).await;
    let customer = app.register_customer().await;
    app.set_faults(&json!({"error_rate": 1.0})).await;
    let order = app
        .place_order(&customer, &[(&product, 1)])
        .await
        .expect(201);

    let stopping_worker = worker(&app, Duration::from_hours(1));
    let job = eventually("the job is due", async || {
        stopping_worker.lease(1).await.pop()
    })
    .await;
    app.set_faults(&json!({"error_rate": 0.0})).await;
    let stop = CancellationToken::new();
    stop.cancel();
    stopping_worker.process_unless_stopped(&job, &stop).await;

    // The lease was for an hour: the other worker could not have had it before.
    app.wait_for_order_status(&customer, &order, "paid").await;
    let attempts = &stopping_worker.metrics.job_attempts;
    let released = attempts.with_label_values(&["payment", "released"]);
    assert_eq!(released.get(), 1);
    app.finish().await;
}
