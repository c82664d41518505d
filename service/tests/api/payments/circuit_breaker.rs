//! The payment gateway's circuit breaker: while it is open orders are taken, and
//! their payments wait without using up their tries.

use std::time::Duration;

use diesel_async::RunQueryDsl as _;
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::eventually::eventually;

const STATE: &str = "orderly_breaker_state{breaker=\"gateway\"} ";

#[derive(diesel::QueryableByName)]
struct Tries {
    #[diesel(sql_type = diesel::sql_types::Integer)]
    most: i32,
}

#[tokio::test(flavor = "multi_thread")]
async fn open_breaker_delays_payments_without_using_attempts() {
    let app = TestApp::start_with(|settings| {
        settings.breaker.minimum_calls = 4;
        settings.breaker.open_duration = Duration::from_millis(500);
        settings.payments.max_attempts = 100;
    })
    .await;
    let admin = app.admin().await;
    let product = app.product(&admin, 100, 1000).await;
    let customer = app.customer().await;
    app.faults(&json!({"error_rate": 1.0})).await;
    let mut orders = Vec::new();
    for _ in 0..10 {
        orders.push(app.order(&customer, &[(&product, 1)]).await.expect(201));
    }
    eventually("the breaker opens", async || {
        (app.metric(STATE).await == Some(2.0)).then_some(())
    })
    .await;

    // Each half-open period costs a few probes, not a try of every job.
    for _ in 0..20 {
        orders.push(app.order(&customer, &[(&product, 1)]).await.expect(201));
    }
    let mut conn = app.database.connect().await;
    eventually("some probes were refused", async || {
        let refused = "orderly_breaker_calls_total{breaker=\"gateway\",outcome=\"failure\"} ";
        (app.metric(refused).await? >= 8.0).then_some(())
    })
    .await;
    let query = "SELECT max(attempts) AS most FROM payment_jobs";
    let tries: Tries = diesel::sql_query(query)
        .get_result(&mut conn)
        .await
        .unwrap();
    assert!(tries.most < 20, "a job was tried {} times", tries.most);
    assert_eq!(
        app.metric("orderly_payment_jobs{state=\"dead_lettered\"} ")
            .await,
        Some(0.0)
    );

    app.faults(&json!({})).await;
    for order in &orders {
        app.order_reaches(&customer, order, "paid").await;
    }
    eventually("the breaker closes", async || {
        (app.metric(STATE).await == Some(0.0)).then_some(())
    })
    .await;
    app.finish().await;
}
