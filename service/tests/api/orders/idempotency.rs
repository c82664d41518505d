//! The same request twice: one order, one answer.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use diesel_async::SimpleAsyncConnection as _;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::support::app::{TestApp, send};
use crate::support::fixtures::id;
use crate::support::response::TestResponse;
use orderly::storage::idempotency;

const KEY: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";

/// The answer to a request, which must be the stored one.
async fn assert_replays_response(request: RequestBuilder, token: &str, first: &TestResponse) {
    let replay = send(request, token).await;
    assert_eq!(replay.status, 201, "{}", replay.text);
    assert_eq!(replay.header("idempotent-replayed"), Some("true"));
    assert_eq!(replay.text, first.text, "not byte for byte the same");
    assert_eq!(replay.header("location"), first.header("location"));
    assert_eq!(replay.header("content-type"), first.header("content-type"));
}

#[tokio::test(flavor = "multi_thread")]
async fn replays_stored_response_after_order_was_paid() {
    let app = TestApp::start().await;
    app.fail_gateway().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let customer = app.register_customer().await;
    let request = || app.order_request(KEY, &[(&product, 2)]);

    let first = send(request(), &customer).await;
    let order = first.expect(201);
    assert_eq!(first.header("idempotent-replayed"), None);
    assert_replays_response(request(), &customer, &first).await;

    app.restore_gateway().await;
    app.wait_for_order_status(&customer, &order, "paid").await;
    assert_replays_response(request(), &customer, &first).await;
    assert_eq!(first.json()["status"], "pending");

    assert_eq!(app.database.count_rows("orders").await, 1);
    assert_eq!(app.stock(&product).await, 3);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_reused_key_with_different_body() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let (one, two) = (
        app.create_product(&admin, 250, 50).await,
        app.create_product(&admin, 100, 50).await,
    );
    let customer = app.register_customer().await;
    let first = send(app.order_request(KEY, &[(&one, 2), (&two, 1)]), &customer).await;
    first.expect(201);

    let text = |body: String| {
        app.request(Method::POST, "/v1/orders")
            .header("idempotency-key", KEY)
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .body(body)
    };
    let (a, b) = (id(&one), id(&two));
    let other_layout = format!(
        "\n{{ \"lines\" : [ {{\"quantity\":2, \"product_id\":\"{}\"}},\t{{\"product_id\":\"{b}\",\"quantity\":1}} ] }}",
        a.to_uppercase()
    );
    assert_replays_response(text(other_layout), &customer, &first).await;

    for other in [
        vec![(&one, 1), (&two, 1)],
        vec![(&one, 2)],
        vec![(&two, 2), (&one, 1)],
        vec![(&two, 1), (&one, 2)],
    ] {
        let response = send(app.order_request(KEY, &other), &customer).await;
        response.expect_problem(422, "idempotency-key-reused");
    }
    assert_eq!(app.database.count_rows("orders").await, 1);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn same_key_of_another_user_places_another_order() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let mut orders = Vec::new();
    for token in [app.register_customer().await, app.register_customer().await] {
        let response = send(app.order_request(KEY, &[(&product, 1)]), &token).await;
        assert_eq!(response.header("idempotent-replayed"), None);
        orders.push(response.expect(201)["id"].clone());
    }
    assert_ne!(orders[0], orders[1]);
    assert_eq!(app.stock(&product).await, 3);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_order_releases_its_key() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 1).await;
    let customer = app.register_customer().await;
    let request = || app.order_request(KEY, &[(&product, 2)]);
    for _ in 0..2 {
        let response = send(request(), &customer).await;
        response.expect_problem(409, "out-of-stock");
        assert_eq!(response.header("idempotent-replayed"), None);
    }
    let path = format!("/v1/products/{}/stock", id(&product));
    let restocked = app.post(&path, &admin, &json!({"delta": 1})).await;
    restocked.expect(200);
    let first = send(request(), &customer).await;
    first.expect(201);
    assert_replays_response(request(), &customer, &first).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_requires_idempotency_key() {
    let app = TestApp::start().await;
    let customer = app.register_customer().await;
    let body = json!({"lines": []});
    let missing_key = app.post("/v1/orders", &customer, &body).await;
    missing_key.expect_problem(400, "idempotency-key-required");
    for key in ["", "two words", &"x".repeat(256)] {
        let response = send(app.order_request(key, &[]), &customer).await;
        response.expect_problem(400, "idempotency-key-required");
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_key_can_be_reused() {
    // Keys that expire the moment they are written.
    let expiring = |settings: &mut orderly::config::Settings| {
        settings.orders.idempotency_key_ttl = Duration::ZERO;
    };
    let app = TestApp::start_with(expiring).await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let customer = app.register_customer().await;
    let mut orders: Vec<Value> = Vec::new();
    for quantity in [1, 1, 2] {
        let response = send(app.order_request(KEY, &[(&product, quantity)]), &customer).await;
        assert_eq!(response.header("idempotent-replayed"), None);
        orders.push(response.expect(201));
    }
    assert_eq!(app.database.count_rows("orders").await, 3);
    assert_eq!(app.stock(&product).await, 1);

    // The job deletes what has expired when a replica starts, and every ten minutes.
    assert_eq!(app.database.count_rows("idempotency_keys").await, 1);
    let replica = app.start_replica().await;
    app.database.wait_for_row_count("idempotency_keys", 0).await;
    replica.stop().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_expired_keys_in_batches() {
    let app = TestApp::start().await;
    app.register_customer().await;
    let expired = "INSERT INTO idempotency_keys (user_id, key, fingerprint, created_at, expires_at)
        SELECT users.id, number, sha256(''), now(), now() - interval '1 minute'
        FROM (SELECT id FROM users LIMIT 1) users, generate_series(1, 12000) number";
    let mut conn = app.database.connect().await;
    conn.batch_execute(expired).await.unwrap();
    let mut delete = async || {
        idempotency::delete_expired(&mut conn, Utc::now(), 1000)
            .await
            .unwrap()
    };
    assert_eq!(delete().await, 1000);
    // The next one of this replica is ten minutes away: that of another one, when it starts, must end it.
    let replica = app.start_replica().await;
    app.database.wait_for_row_count("idempotency_keys", 0).await;
    replica.stop().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_expired_keys_only() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let customer = app.register_customer().await;
    let request = || app.order_request(KEY, &[(&product, 1)]);
    let first = send(request(), &customer).await;
    first.expect(201);

    let mut conn = app.database.connect().await;
    let mut delete = async |hours: i64| {
        let then = Utc::now() + TimeDelta::hours(hours);
        idempotency::delete_expired(&mut conn, then, 100)
            .await
            .unwrap()
    };
    assert_eq!(delete(23).await, 0);
    assert_replays_response(request(), &customer, &first).await;
    assert_eq!(delete(25).await, 1);
    let new_order = send(request(), &customer).await;
    assert_eq!(new_order.header("idempotent-replayed"), None);
    assert_ne!(new_order.expect(201)["id"], first.json()["id"]);
    app.finish().await;
}
