//! The payment gateway's circuit breaker: while it is open orders are taken, and
//! their payments wait without using up their tries.

use std::time::Duration;

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::eventually::eventually;
use crate::support::sql::query_number;

const STATE: &str = "orderly_breaker_state{breaker=\"gateway\"} ";

#[tokio::test(flavor = "multi_thread")]
async fn open_breaker_delays_payments_without_using_attempts() {
    let app = TestApp::start_with(|settings| {
        settings.breaker.minimum_calls = 4;
        settings.breaker.open_duration = Duration::from_millis(500);
        settings.payment_jobs.max_attempts = 100;
    })
    .await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 100, 1000).await;
    let customer = app.register_customer().await;
    app.set_faults(&json!({"error_rate": 1.0})).await;
    let mut orders = Vec::new();
    for _ in 0..10 {
        orders.push(
            app.place_order(&customer, &[(&product, 1)])
                .await
                .expect(201),
        );
    }
    eventually("the breaker opens", async || {
        (app.metric(STATE).await == Some(2.0)).then_some(())
    })
    .await;

    // Each half-open period costs a few probes, not a try of every job.
    for _ in 0..20 {
        orders.push(
            app.place_order(&customer, &[(&product, 1)])
                .await
                .expect(201),
        );
    }
    let mut conn = app.database.connect().await;
    eventually("some probes failed", async || {
        let failures = "orderly_breaker_calls_total{breaker=\"gateway\",outcome=\"failure\"} ";
        (app.metric(failures).await? >= 8.0).then_some(())
    })
    .await;
    let query = "SELECT max(attempts)::bigint AS value FROM jobs";
    let attempts = query_number(&mut conn, query).await;
    assert!(attempts < 20, "a job was attempted {attempts} times");
    assert_eq!(
        app.metric("orderly_jobs{kind=\"payment\",state=\"dead_lettered\"} ")
            .await,
        Some(0.0)
    );

    app.set_faults(&json!({})).await;
    for order in &orders {
        app.wait_for_order_status(&customer, order, "paid").await;
    }
    eventually("the breaker closes", async || {
        (app.metric(STATE).await == Some(0.0)).then_some(())
    })
    .await;
    app.finish().await;
}
