//! A worker that must stop gives back what it has leased and not begun.

use std::sync::Arc;
use std::time::Duration;

use orderly::app;
use orderly::jobs::payments::PaymentWorker;
use orderly::payments::{PaymentGateway, ResilientGateway};
use orderly::resilience::backoff::Backoff;
use orderly::resilience::breaker::Breaker;
use orderly::resilience::retry::{Retry, RetryBudget};
use orderly::telemetry::metrics::Metrics;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::app::{TestApp, test_settings};
use crate::support::eventually::eventually;

const HOUR: Duration = Duration::from_hours(1);

/// A worker beside those of the service, on the same database.
fn worker(app: &TestApp) -> PaymentWorker {
    let settings = test_settings(&app.database, &app.gateway);
    let metrics = Metrics::new().unwrap();
    let databases = app::build_databases(&settings, &metrics).unwrap();
    let mut config = settings.payments.clone();
    config.lease_duration = HOUR;
    let breaker = Breaker::new("test", settings.breaker.clone(), metrics.breakers.clone());
    PaymentWorker {
        services: app::build_services(&settings, &metrics, databases.background).unwrap(),
        gateway: ResilientGateway {
            gateway: PaymentGateway::new(&config).unwrap(),
            breaker,
            retry: Retry {
                backoff: Backoff {
                    base: Duration::ZERO,
                    cap: Duration::ZERO,
                },
                max_attempts: 1,
                budget: RetryBudget::new(0.0),
                dependency: "gateway",
                retries: metrics.retries.clone(),
            },
            metrics: metrics.gateway.clone(),
        },
        config,
        outcomes: metrics.payment_attempts,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_worker_releases_leased_job_not_started() {
    let app = TestApp::start_with(|settings| settings.payments.max_attempts = 100).await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 100, 1).await;
    let customer = app.register_customer().await;
    app.set_faults(&json!({"error_rate": 1.0})).await;
    let order = app
        .place_order(&customer, &[(&product, 1)])
        .await
        .expect(201);

    let stopping_worker = Arc::new(worker(&app));
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
    let released = stopping_worker.outcomes.with_label_values(&["released"]);
    assert_eq!(released.get(), 1);
    app.finish().await;
}
