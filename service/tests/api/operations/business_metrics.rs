//! How business goes, in numbers.

use serde_json::json;

use crate::support::app::{TestApp, send};
use crate::support::event_stream::EventStream;
use crate::support::eventually::eventually;
use crate::support::fault_proxy::{start_postgres_proxy, use_postgres_proxy};
use crate::support::fixtures::PASSWORD;

#[tokio::test(flavor = "multi_thread")]
async fn counts_registrations_and_logins_by_outcome() {
    let app = TestApp::start().await;
    app.wait_for_metric("orderly_registrations_total", 0.0)
        .await;
    app.register_customer().await;
    let unknown = json!({"email": "unknown@example.com", "password": PASSWORD});
    app.post("/v1/sessions", "", &unknown).await.expect(401);
    app.wait_for_metric("orderly_registrations_total", 1.0)
        .await;
    let logins = |outcome| format!("orderly_logins_total{{outcome=\"{outcome}\"}}");
    app.wait_for_metric(&logins("success"), 1.0).await;
    app.wait_for_metric(&logins("invalid_credentials"), 1.0)
        .await;
    app.database.block_connections().await;
    app.post("/v1/sessions", "", &unknown).await.expect(503);
    app.wait_for_metric(&logins("error"), 1.0).await;
    app.database.allow_connections().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_each_order_once_by_status_with_its_value() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 9).await;
    let customer = app.register_customer().await;
    let orders = |status| format!("orderly_order_status_changes_total{{status=\"{status}\"}}");
    app.wait_for_metric(&orders("pending"), 0.0).await;

    let request = || app.order_request("one", &[(&product, 2)]);
    let order = send(request(), &customer).await.expect(201);
    send(request(), &customer).await.expect(201);
    app.wait_for_order_status(&customer, &order, "paid").await;
    app.wait_for_metric(&orders("pending"), 1.0).await;
    app.wait_for_metric(&orders("paid"), 1.0).await;
    let value = "orderly_order_value_minor_total{currency=\"EUR\"}";
    app.wait_for_metric(value, 500.0).await;
    let charged = "orderly_gateway_request_duration_seconds_count\
                   {operation=\"charge\",outcome=\"charged\"}";
    app.wait_for_metric(charged, 1.0).await;
    app.transition_order(&admin, &order, "ship")
        .await
        .expect(200);
    app.wait_for_metric(&orders("shipped"), 1.0).await;

    app.set_faults(&json!({"decline_rate": 1.0})).await;
    let declined = app
        .place_order(&customer, &[(&product, 1)])
        .await
        .expect(201);
    app.wait_for_order_status(&customer, &declined, "payment_failed")
        .await;
    app.wait_for_metric(&orders("payment_failed"), 1.0).await;

    app.fail_gateway().await;
    let cancelled = app
        .place_order(&customer, &[(&product, 1)])
        .await
        .expect(201);
    app.transition_order(&customer, &cancelled, "cancel")
        .await
        .expect(200);
    app.wait_for_metric(&orders("cancelled"), 1.0).await;
    app.restore_gateway().await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn oldest_job_age_grows_until_job_is_done() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 9).await;
    let customer = app.register_customer().await;
    app.fail_gateway().await;
    let order = app
        .place_order(&customer, &[(&product, 1)])
        .await
        .expect(201);
    let age = "orderly_job_oldest_age_seconds{kind=\"payment\"} ";
    let old = eventually("the job has an age", async || {
        app.metric(age).await.filter(|age| *age > 0.0)
    })
    .await;
    eventually("the job grows older", async || {
        app.metric(age).await.filter(|age| *age > old)
    })
    .await;
    app.restore_gateway().await;
    app.wait_for_order_status(&customer, &order, "paid").await;
    app.wait_for_metric(age.trim(), 0.0).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_backlog_and_age_of_unpublished_events() {
    let stream = EventStream::new().await;
    let app = TestApp::start_with(|settings| stream.configure(settings)).await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 9).await;
    let customer = app.register_customer().await;
    stream.proxy.disconnect();
    let order = app
        .place_order(&customer, &[(&product, 1)])
        .await
        .expect(201);
    app.wait_for_order_status(&customer, &order, "paid").await;
    app.wait_for_metric("orderly_outbox_events", 2.0).await;
    eventually("the oldest event has an age", async || {
        let age = app.metric("orderly_outbox_oldest_age_seconds ").await;
        age.filter(|age| *age > 0.0)
    })
    .await;
    stream.proxy.restore();
    app.wait_for_metric("orderly_outbox_events", 0.0).await;
    app.wait_for_metric("orderly_outbox_oldest_age_seconds", 0.0)
        .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ages_keep_growing_while_postgres_is_unavailable() {
    let postgres = start_postgres_proxy().await;
    let stream = EventStream::new().await;
    // Neither the gateway nor Redis is there: the payment waits, and so does the event.
    stream.proxy.disconnect();
    let app = TestApp::start_with(|settings| {
        stream.configure(settings);
        use_postgres_proxy(&postgres, settings);
    })
    .await;
    app.fail_gateway().await;
    let product = app.create_product(&app.create_admin().await, 250, 5).await;
    let customer = app.register_customer().await;
    app.place_order(&customer, &[(&product, 1)])
        .await
        .expect(201);
    let ages = [
        "orderly_job_oldest_age_seconds{kind=\"payment\"} ",
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
    postgres.disconnect();
    for age in ages {
        let before = app.metric(age).await.unwrap();
        // A measurement in progress at the disconnect may still arrive, so wait for two.
        let last = grows_over(age, before).await;
        grows_over(age, last).await;
    }
    postgres.restore();
    stream.proxy.restore();
    app.restore_gateway().await;
    app.finish().await;
}
