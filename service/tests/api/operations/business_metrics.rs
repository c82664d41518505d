//! How business goes, in numbers.

use serde_json::json;

use crate::support::app::{TestApp, send};
use crate::support::cached::{door_to_postgres, postgres_through};
use crate::support::eventually::eventually;
use crate::support::shop::PASSWORD;
use crate::support::stream::Stream;

#[tokio::test(flavor = "multi_thread")]
async fn counts_registrations_and_logins_by_outcome() {
    let app = TestApp::start().await;
    app.metric_becomes("orderly_registrations_total", 0.0).await;
    app.customer().await;
    let again = json!({"email": "nobody@example.com", "password": PASSWORD});
    app.post("/v1/sessions", "", &again).await.expect(401);
    app.metric_becomes("orderly_registrations_total", 1.0).await;
    let log_ins = |outcome| format!("orderly_logins_total{{outcome=\"{outcome}\"}}");
    app.metric_becomes(&log_ins("success"), 1.0).await;
    app.metric_becomes(&log_ins("invalid_credentials"), 1.0)
        .await;
    app.database.take_away().await;
    app.post("/v1/sessions", "", &again).await.expect(503);
    app.metric_becomes(&log_ins("error"), 1.0).await;
    app.database.give_back().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_each_order_once_by_status_with_its_value() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let product = app.product(&admin, 250, 9).await;
    let customer = app.customer().await;
    let orders = |status| format!("orderly_order_status_changes_total{{status=\"{status}\"}}");
    app.metric_becomes(&orders("pending"), 0.0).await;

    let request = || app.order_request("one", &[(&product, 2)]);
    let order = send(request(), &customer).await.expect(201);
    send(request(), &customer).await.expect(201);
    app.order_reaches(&customer, &order, "paid").await;
    app.metric_becomes(&orders("pending"), 1.0).await;
    app.metric_becomes(&orders("paid"), 1.0).await;
    let value = "orderly_order_value_minor_total{currency=\"EUR\"}";
    app.metric_becomes(value, 500.0).await;
    let charged = "orderly_gateway_request_duration_seconds_count\
                   {operation=\"charge\",outcome=\"charged\"}";
    app.metric_becomes(charged, 1.0).await;
    app.order_move(&admin, &order, "ship").await.expect(200);
    app.metric_becomes(&orders("shipped"), 1.0).await;

    app.faults(&json!({"decline_rate": 1.0})).await;
    let declined = app.order(&customer, &[(&product, 1)]).await.expect(201);
    app.order_reaches(&customer, &declined, "payment_failed")
        .await;
    app.metric_becomes(&orders("payment_failed"), 1.0).await;

    app.gateway_goes_down().await;
    let cancelled = app.order(&customer, &[(&product, 1)]).await.expect(201);
    app.order_move(&customer, &cancelled, "cancel")
        .await
        .expect(200);
    app.metric_becomes(&orders("cancelled"), 1.0).await;
    app.gateway_comes_back().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oldest_job_age_grows_until_job_is_done() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let product = app.product(&admin, 250, 9).await;
    let customer = app.customer().await;
    app.gateway_goes_down().await;
    let order = app.order(&customer, &[(&product, 1)]).await.expect(201);
    let age = "orderly_payment_jobs_oldest_age_seconds ";
    let old = eventually("the job has an age", async || {
        app.metric(age).await.filter(|age| *age > 0.0)
    })
    .await;
    eventually("the job grows older", async || {
        app.metric(age).await.filter(|age| *age > old)
    })
    .await;
    app.gateway_comes_back().await;
    app.order_reaches(&customer, &order, "paid").await;
    app.metric_becomes(age.trim(), 0.0).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_backlog_and_age_of_unpublished_events() {
    let stream = Stream::new().await;
    let app = TestApp::start_with(|settings| stream.configure(settings)).await;
    let admin = app.admin().await;
    let product = app.product(&admin, 250, 9).await;
    let customer = app.customer().await;
    stream.door.shut();
    let order = app.order(&customer, &[(&product, 1)]).await.expect(201);
    app.order_reaches(&customer, &order, "paid").await;
    app.metric_becomes("orderly_outbox_events", 2.0).await;
    eventually("the oldest event has an age", async || {
        let age = app.metric("orderly_outbox_oldest_age_seconds ").await;
        age.filter(|age| *age > 0.0)
    })
    .await;
    stream.door.open();
    app.metric_becomes("orderly_outbox_events", 0.0).await;
    app.metric_becomes("orderly_outbox_oldest_age_seconds", 0.0)
        .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ages_keep_growing_while_postgres_is_unavailable() {
    let postgres = door_to_postgres().await;
    let stream = Stream::new().await;
    // Neither the gateway nor Redis is there: the payment waits, and so does the event.
    stream.door.shut();
    let app = TestApp::start_with(|settings| {
        stream.configure(settings);
        postgres_through(&postgres, settings);
    })
    .await;
    app.gateway_goes_down().await;
    let product = app.product(&app.admin().await, 250, 5).await;
    let customer = app.customer().await;
    app.order(&customer, &[(&product, 1)]).await.expect(201);
    let ages = [
        "orderly_payment_jobs_oldest_age_seconds ",
        "orderly_outbox_oldest_age_seconds ",
    ];
    let grows_over = async |series: &str, age: f64| {
        eventually(&format!("{series}is over {age}"), async || {
            app.metric(series).await.filter(|now| *now > age)
        })
        .await
    };
    for age in ages {
        grows_over(age, 0.0).await;
    }
    postgres.shut();
    for age in ages {
        let seen = app.metric(age).await.unwrap();
        // What was on its way when the door was shut is told, and then one more.
        let last = grows_over(age, seen).await;
        grows_over(age, last).await;
    }
    postgres.open();
    stream.door.open();
    app.gateway_comes_back().await;
    app.finish().await;
}
