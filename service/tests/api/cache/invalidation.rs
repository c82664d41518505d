//! The cache never shows what is no longer so. Entries do not end by themselves within a
//! test (`disable_cache_expiry`): what changes has to be told.

use diesel_async::RunQueryDsl as _;
use orderly::domain::ids::ProductId;
use reqwest::Method;
use reqwest::header::IF_MATCH;
use serde_json::json;

use super::read_through::FIRST_PAGE;
use crate::support::app::{TestApp, send};
use crate::support::cache::disable_cache_expiry;
use crate::support::eventually::eventually;
use crate::support::fixtures::id;

#[tokio::test(flavor = "multi_thread")]
async fn every_product_change_invalidates_cached_pages() {
    let app = TestApp::start_with(|settings| {
        disable_cache_expiry(settings);
        // An order must not be given up while the gateway is made to fail.
        settings.payment_jobs.max_attempts = 100;
        settings.breaker.minimum_calls = 10_000;
    })
    .await;
    let admin = app.create_admin().await;
    let customer = app.register_customer().await;
    let product = app.create_product(&admin, 250, 5).await;
    let cached_state = async || {
        let path = format!("/v1/products/{}", id(&product));
        let by_id = app.get(&path, "").await.expect(200);
        let page = app.get(FIRST_PAGE, "").await.expect(200);
        let price = by_id["price"]["amount_minor"].as_i64().unwrap();
        (
            by_id["stock"].as_i64().unwrap(),
            price,
            page["items"] == json!([by_id]),
        )
    };
    assert_eq!(cached_state().await, (5, 250, true));

    app.adjust_stock(&admin, &product, 3).await.expect(200);
    assert_eq!(cached_state().await, (8, 250, true));

    let path = format!("/v1/products/{}", id(&product));
    let price = json!({"price": {"amount_minor": 300, "currency": "EUR"}});
    let change = app.request(Method::PATCH, &path).header(IF_MATCH, "*");
    send(change.json(&price), &admin).await.expect(200);
    assert_eq!(cached_state().await, (8, 300, true));

    app.set_faults(&json!({"error_rate": 1.0})).await;
    let order = app
        .place_order(&customer, &[(&product, 2)])
        .await
        .expect(201);
    assert_eq!(cached_state().await, (6, 300, true), "an order was placed");

    let cancel = format!("/v1/orders/{}/cancel", id(&order));
    app.post(&cancel, &customer, &json!({})).await.expect(200);
    assert_eq!(cached_state().await, (8, 300, true), "it was cancelled");

    let order = app
        .place_order(&customer, &[(&product, 4)])
        .await
        .expect(201);
    assert_eq!(cached_state().await, (4, 300, true));
    app.set_faults(&json!({"decline_rate": 1.0})).await;
    app.wait_for_order_status(&customer, &order, "payment_failed")
        .await;
    eventually("the stock is back on the shelf", async || {
        (cached_state().await == (8, 300, true)).then_some(())
    })
    .await;

    let new_product = app.create_product(&admin, 1, 1).await;
    let page = app.get(FIRST_PAGE, "").await.expect(200);
    assert_eq!(page["items"][1], new_product, "one was entered");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etag_changes_with_product_version() {
    let app = TestApp::start_with(disable_cache_expiry).await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let first = app.get_product(&app.app, &product).await;
    let etag = first.header("etag").unwrap();
    assert_eq!(app.get_product_if_changed(&product, etag).await.status, 304);
    app.adjust_stock(&admin, &product, 1).await.expect(200);
    let second = app.get_product_if_changed(&product, etag).await;
    assert_eq!(second.expect(200)["stock"], 6);
    let etag = second.header("etag").unwrap();
    assert_eq!(app.get_product_if_changed(&product, etag).await.status, 304);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalidates_on_commit_not_on_rollback_or_before() {
    let app = TestApp::start_with(disable_cache_expiry).await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    let stock = app.stock(&product).await;
    let reads = app.database_reads().await;

    let rejected = app.adjust_stock(&admin, &product, -6).await;
    rejected.expect_problem(409, "out-of-stock");
    assert_eq!(app.stock(&product).await, stock);
    assert_eq!(app.database_reads().await, reads, "it was rolled back");

    let mut guard = app.app.services.products.invalidation_guard();
    guard.add([ProductId(id(&product).parse().unwrap())]);
    assert_eq!(app.stock(&product).await, stock);
    assert_eq!(app.database_reads().await, reads, "it still runs");
    guard.committed();
    assert_eq!(app.stock(&product).await, stock);
    assert_eq!(app.database_reads().await, reads + 1.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_request_invalidates_in_case_it_committed() {
    let app = TestApp::start_with(disable_cache_expiry).await;
    let product = app.create_product(&app.create_admin().await, 250, 5).await;
    app.stock(&product).await;
    let reads = app.database_reads().await;
    let mut guard = app.app.services.products.invalidation_guard();
    guard.add([ProductId(id(&product).parse().unwrap())]);
    drop(guard);
    app.stock(&product).await;
    assert_eq!(app.database_reads().await, reads + 1.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_checks_stock_in_database_not_in_cache() {
    let app = TestApp::start_with(disable_cache_expiry).await;
    let product = app.create_product(&app.create_admin().await, 250, 5).await;
    let customer = app.register_customer().await;
    assert_eq!(app.stock(&product).await, 5);
    // Behind the service's back, so that the cache still says 5.
    let sell_out = "UPDATE products SET stock = 0, stock_received = 0";
    let mut conn = app.database.connect().await;
    diesel::sql_query(sell_out)
        .execute(&mut conn)
        .await
        .unwrap();
    assert_eq!(app.stock(&product).await, 5);
    let rejected = app.place_order(&customer, &[(&product, 1)]).await;
    rejected.expect_problem(409, "out-of-stock");
    app.finish().await;
}
