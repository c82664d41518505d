//! What can still be read while Postgres or Redis is away, and that a read is
//! tried again.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection as _;
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::cache::disable_cache_expiry;
use crate::support::eventually::eventually;
use crate::support::fault_proxy::{
    start_postgres_proxy, start_redis_proxy, use_postgres_proxy, use_redis_proxy,
};
use crate::support::sql::query_number;

const BREAKER: &str = "orderly_breaker_state{breaker=\"redis\"} ";
const OPEN: Option<f64> = Some(2.0);
const FAILURES: &str = "orderly_breaker_calls_total{breaker=\"redis\",outcome=\"failure\"} ";
const KILL: &str = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) AS value \
     FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

#[tokio::test(flavor = "multi_thread")]
async fn serves_stale_product_while_postgres_is_unavailable() {
    let postgres = start_postgres_proxy().await;
    let app = TestApp::start_with(|settings| use_postgres_proxy(&postgres, settings)).await;
    let admin = app.create_admin().await;
    let customer = app.register_customer().await;
    let product = app.create_product(&admin, 250, 5).await;
    let uncached_product = app.create_product(&admin, 250, 5).await;
    app.get_product(&app.app, &product).await.expect(200);
    app.get("/v1/products", "").await.expect(200);

    postgres.disconnect();
    let stale = app.get_product(&app.app, &product).await;
    assert_eq!(stale.expect(200), product);
    assert_eq!(stale.header("x-stale"), Some("true"));
    let age: u64 = stale.header("age").unwrap().parse().unwrap();
    assert!(age < 60);
    let etag = stale.header("etag").unwrap();
    let unchanged = app.get_product_if_changed(&product, etag).await;
    assert_eq!(unchanged.status, 304);
    assert_eq!(unchanged.header("x-stale"), Some("true"));
    let page = app.get("/v1/products", "").await;
    assert_eq!(
        page.expect(200)["items"],
        json!([product, uncached_product])
    );
    assert_eq!(page.header("x-stale"), Some("true"));
    assert!(app.cache_requests("local", "stale").await >= 3.0);

    let uncached = app.get_product(&app.app, &uncached_product).await;
    uncached.expect_problem(503, "unavailable");
    let order = app.place_order(&customer, &[(&product, 1)]).await;
    order.expect_problem(503, "unavailable");

    postgres.restore();
    eventually("the answers are fresh again", async || {
        let response = app.get_product(&app.app, &product).await;
        assert_eq!(response.expect(200), product);
        response.header("x-stale").is_none().then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_serves_stale_product_from_redis() {
    let (redis, postgres) = (start_redis_proxy().await, start_postgres_proxy().await);
    let app = TestApp::start_with(|settings| {
        disable_cache_expiry(settings);
        settings.cache.local_ttl = Duration::from_millis(1);
        use_redis_proxy(&redis, settings);
    })
    .await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    app.wait_until_in_redis(&product).await;
    let isolated = app
        .start_replica_with(|settings| use_postgres_proxy(&postgres, settings))
        .await;
    postgres.disconnect();

    let fresh = app.get_product(&isolated, &product).await;
    assert_eq!(fresh.expect(200)["stock"], 5);
    assert_eq!(fresh.header("x-stale"), None, "nothing has changed yet");

    app.adjust_stock(&admin, &product, 1).await.expect(200);
    eventually("it knows that it is out of date", async || {
        let response = app.get_product(&isolated, &product).await;
        assert_eq!(response.expect(200)["stock"], 5);
        (response.header("x-stale") == Some("true")).then_some(())
    })
    .await;
    assert_eq!(
        app.cache_requests_of(&isolated, "database", "hit").await,
        0.0
    );
    isolated.stop().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_reads_and_orders_without_redis() {
    let redis = start_redis_proxy().await;
    redis.disconnect();
    let app = TestApp::start_with(|settings| {
        disable_cache_expiry(settings);
        use_redis_proxy(&redis, settings);
    })
    .await;
    let product = app.create_product(&app.create_admin().await, 250, 5).await;
    let customer = app.register_customer().await;
    assert_eq!(app.stock(&product).await, 5);
    let order = app
        .place_order(&customer, &[(&product, 2)])
        .await
        .expect(201);
    assert_eq!(app.stock(&product).await, 3);
    app.wait_for_order_status(&customer, &order, "paid").await;
    assert_eq!(app.cache_requests("redis", "hit").await, 0.0);
    redis.restore();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_breaker_skips_frozen_redis() {
    let redis = start_redis_proxy().await;
    let app = TestApp::start_with(|settings| {
        use_redis_proxy(&redis, settings);
        settings.redis.response_timeout = Duration::from_millis(100);
        settings.breaker.open_duration = Duration::from_secs(600);
        settings.breaker.window = Duration::from_secs(600);
    })
    .await;
    redis.freeze();
    eventually("the breaker opens", async || {
        app.get_unknown_product().await.expect(404);
        (app.metric(BREAKER).await == OPEN).then_some(())
    })
    .await;
    let failures = app.metric(FAILURES).await.unwrap();
    let skipped = app.cache_requests("redis", "error").await;
    for _ in 0..20 {
        app.get_unknown_product().await.expect(404);
    }
    assert_eq!(app.metric(FAILURES).await.unwrap(), failures);
    assert_eq!(app.cache_requests("redis", "error").await, skipped + 20.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_missed_invalidation_when_redis_recovers() {
    let (own_proxy, other_proxy) = (start_redis_proxy().await, start_redis_proxy().await);
    let app = TestApp::start_with(|settings| {
        disable_cache_expiry(settings);
        use_redis_proxy(&own_proxy, settings);
        settings.cache.local_ttl = Duration::from_millis(1);
    })
    .await;
    let other = app
        .start_replica_with(|settings| use_redis_proxy(&other_proxy, settings))
        .await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    app.wait_until_in_redis(&product).await;

    own_proxy.disconnect();
    app.adjust_stock(&admin, &product, 1).await.expect(200);
    assert_eq!(app.stock(&product).await, 6);
    let stale = app.get_product(&other, &product).await.expect(200);
    assert_eq!(stale["stock"], 5, "its invalidation is still pending");

    own_proxy.restore();
    eventually("the invalidation reaches the other replica", async || {
        // Not out of Redis: that still has the old one until it is told.
        assert_eq!(app.stock(&product).await, 6);
        let cached = app.get_product(&other, &product).await.expect(200);
        (cached["stock"] == 6).then_some(())
    })
    .await;
    other.stop().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_read_after_connection_breaks() {
    let postgres = start_postgres_proxy().await;
    let app = TestApp::start_with(|settings| {
        disable_cache_expiry(settings);
        use_postgres_proxy(&postgres, settings);
    })
    .await;
    let product = app.create_product(&app.create_admin().await, 250, 5).await;
    // The connection does not look broken while it is tried again: it must not be lent again.
    postgres.delay_close();
    let mut conn = app.lock_products().await;
    let read = app.get_product(&app.app, &product);
    let (response, ()) = tokio::join!(read, async {
        let mut killer = app.database.connect().await;
        eventually("the read waits, and its connection is broken", async || {
            (query_number(&mut killer, KILL).await == 1).then_some(())
        })
        .await;
        conn.batch_execute("ROLLBACK").await.unwrap();
    });
    assert_eq!(response.expect(200), product);
    app.finish().await;
}
