//! The same key again while the first request still runs.
//!
//! The test holds a product's row locked, and with it the first request, in the
//! middle of its transaction.

use std::time::Duration;

use crate::support::app::{TestApp, send};

const KEY: &str = "a-key";

#[tokio::test(flavor = "multi_thread")]
async fn returns_409_with_retry_after_for_key_in_progress() {
    let app = TestApp::start_with(|settings| {
        settings.orders.idempotency_wait_timeout = Duration::from_millis(50);
    })
    .await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let customer = app.register_customer().await;
    let request = || send(app.order_request(KEY, &[(&product, 1)]), &customer);

    let locked = app.database.lock_rows("SELECT * FROM products").await;
    let during_first = async {
        app.database.wait_for_lock_waiters(1).await;
        for _ in 0..2 {
            let response = request().await;
            response.expect_problem(409, "idempotency-key-in-progress");
            assert_eq!(response.header("retry-after"), Some("1"));
        }
        locked.release().await;
    };
    let (first, ()) = tokio::join!(request(), during_first);
    first.expect(201);
    let again = request().await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.text, first.text);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_retry_waits_and_gets_first_response() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let customer = app.register_customer().await;
    let request = || send(app.order_request(KEY, &[(&product, 1)]), &customer);

    let locked = app.database.lock_rows("SELECT * FROM products").await;
    let release = async {
        app.database.wait_for_lock_waiters(2).await;
        locked.release().await;
    };
    let (one, other, ()) = tokio::join!(request(), request(), release);
    assert_eq!(one.expect(201), other.expect(201));
    assert_eq!(one.text, other.text);
    let replayed = [&one, &other].map(|response| response.header("idempotent-replayed").is_some());
    assert!(replayed.contains(&true) && replayed.contains(&false));
    assert_eq!(app.stock(&product).await, 4);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_retry_claims_key_when_first_request_fails() {
    let app = TestApp::start().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let customer = app.register_customer().await;
    let request = |quantity| send(app.order_request(KEY, &[(&product, quantity)]), &customer);

    let locked = app.database.lock_rows("SELECT * FROM products").await;
    let second = async {
        app.database.wait_for_lock_waiters(1).await;
        let release = async {
            app.database.wait_for_lock_waiters(2).await;
            locked.release().await;
        };
        tokio::join!(request(5), release).0
    };
    let (first, second) = tokio::join!(request(6), second);
    first.expect_problem(409, "out-of-stock");
    assert_eq!(second.header("idempotent-replayed"), None);
    second.expect(201);
    assert_eq!(app.stock(&product).await, 0);
    app.finish().await;
}
