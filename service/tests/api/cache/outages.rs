//! What can still be read while Postgres or Redis is away, and that a read is
//! tried again.

use std::time::Duration;

use diesel::sql_types::BigInt;
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use serde_json::json;

use crate::support::app::TestApp;
use crate::support::cached::{
    door_to_postgres, door_to_redis, for_ever, postgres_through, redis_through,
};
use crate::support::eventually::eventually;

const BREAKER: &str = "orderly_breaker_state{breaker=\"redis\"} ";
const OPEN: Option<f64> = Some(2.0);
const FAILURES: &str = "orderly_breaker_calls_total{breaker=\"redis\",outcome=\"failure\"} ";
const KILL: &str = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) AS value \
     FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

#[derive(diesel::QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_stale_product_while_postgres_is_unavailable() {
    let postgres = door_to_postgres().await;
    let app = TestApp::start_with(|settings| postgres_through(&postgres, settings)).await;
    let admin = app.admin().await;
    let customer = app.customer().await;
    let product = app.product(&admin, 250, 5).await;
    let unseen = app.product(&admin, 250, 5).await;
    app.look_at(&app.app, &product).await.expect(200);
    app.get("/v1/products", "").await.expect(200);

    postgres.shut();
    let stale = app.look_at(&app.app, &product).await;
    assert_eq!(stale.expect(200), product);
    assert_eq!(stale.header("x-stale"), Some("true"));
    let age: u64 = stale.header("age").unwrap().parse().unwrap();
    assert!(age < 60);
    let etag = stale.header("etag").unwrap();
    let unchanged = app.look_again(&product, etag).await;
    assert_eq!(unchanged.status, 304);
    assert_eq!(unchanged.header("x-stale"), Some("true"));
    let page = app.get("/v1/products", "").await;
    assert_eq!(page.expect(200)["items"], json!([product, unseen]));
    assert_eq!(page.header("x-stale"), Some("true"));
    assert!(app.cache("local", "stale").await >= 3.0);

    let never_seen = app.look_at(&app.app, &unseen).await;
    never_seen.expect_problem(503, "unavailable");
    let order = app.order(&customer, &[(&product, 1)]).await;
    order.expect_problem(503, "unavailable");

    postgres.open();
    eventually("the answers are fresh again", async || {
        let answer = app.look_at(&app.app, &product).await;
        assert_eq!(answer.expect(200), product);
        answer.header("x-stale").is_none().then_some(())
    })
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_serves_stale_product_from_redis() {
    let (redis, postgres) = (door_to_redis().await, door_to_postgres().await);
    let app = TestApp::start_with(|settings| {
        for_ever(settings);
        settings.cache.local_ttl = Duration::from_millis(1);
        redis_through(&redis, settings);
    })
    .await;
    let admin = app.admin().await;
    let product = app.product(&admin, 250, 5).await;
    app.has_in_redis(&product).await;
    let cut_off = app
        .another_replica_with(|settings| postgres_through(&postgres, settings))
        .await;
    postgres.shut();

    let fresh = app.look_at(&cut_off, &product).await;
    assert_eq!(fresh.expect(200)["stock"], 5);
    assert_eq!(fresh.header("x-stale"), None, "nothing has changed yet");

    app.adjust(&admin, &product, 1).await.expect(200);
    eventually("it knows that it is out of date", async || {
        let answer = app.look_at(&cut_off, &product).await;
        assert_eq!(answer.expect(200)["stock"], 5);
        (answer.header("x-stale") == Some("true")).then_some(())
    })
    .await;
    assert_eq!(app.cache_of(&cut_off, "database", "hit").await, 0.0);
    cut_off.stop().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_reads_and_orders_without_redis() {
    let redis = door_to_redis().await;
    redis.shut();
    let app = TestApp::start_with(|settings| {
        for_ever(settings);
        redis_through(&redis, settings);
    })
    .await;
    let product = app.product(&app.admin().await, 250, 5).await;
    let customer = app.customer().await;
    assert_eq!(app.stock(&product).await, 5);
    let order = app.order(&customer, &[(&product, 2)]).await.expect(201);
    assert_eq!(app.stock(&product).await, 3);
    app.order_reaches(&customer, &order, "paid").await;
    assert_eq!(app.cache("redis", "hit").await, 0.0);
    redis.open();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_breaker_skips_frozen_redis() {
    let redis = door_to_redis().await;
    let app = TestApp::start_with(|settings| {
        redis_through(&redis, settings);
        settings.redis.response_timeout = Duration::from_millis(100);
        settings.breaker.open_duration = Duration::from_secs(600);
        settings.breaker.window = Duration::from_secs(600);
    })
    .await;
    redis.block();
    eventually("the breaker opens", async || {
        app.look_at_nothing().await.expect(404);
        (app.metric(BREAKER).await == OPEN).then_some(())
    })
    .await;
    let asked = app.metric(FAILURES).await.unwrap();
    let without = app.cache("redis", "error").await;
    for _ in 0..20 {
        app.look_at_nothing().await.expect(404);
    }
    assert_eq!(app.metric(FAILURES).await.unwrap(), asked);
    assert_eq!(app.cache("redis", "error").await, without + 20.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sends_missed_invalidation_when_redis_recovers() {
    let (here, there) = (door_to_redis().await, door_to_redis().await);
    let app = TestApp::start_with(|settings| {
        for_ever(settings);
        redis_through(&here, settings);
        settings.cache.local_ttl = Duration::from_millis(1);
    })
    .await;
    let other = app
        .another_replica_with(|settings| redis_through(&there, settings))
        .await;
    let admin = app.admin().await;
    let product = app.product(&admin, 250, 5).await;
    app.has_in_redis(&product).await;

    here.shut();
    app.adjust(&admin, &product, 1).await.expect(200);
    assert_eq!(app.stock(&product).await, 6);
    let behind = app.look_at(&other, &product).await.expect(200);
    assert_eq!(behind["stock"], 5, "nobody could tell it");

    here.open();
    eventually("the other one is told", async || {
        // Not out of Redis: that still has the old one until it is told.
        assert_eq!(app.stock(&product).await, 6);
        let seen = app.look_at(&other, &product).await.expect(200);
        (seen["stock"] == 6).then_some(())
    })
    .await;
    other.stop().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_read_after_connection_breaks() {
    let postgres = door_to_postgres().await;
    let app = TestApp::start_with(|settings| {
        for_ever(settings);
        postgres_through(&postgres, settings);
    })
    .await;
    let product = app.product(&app.admin().await, 250, 5).await;
    // The connection does not look broken while it is tried again: it must not be lent again.
    postgres.keep_ends_back();
    let mut conn = app.lock_products().await;
    let read = app.look_at(&app.app, &product);
    let (answer, ()) = tokio::join!(read, async {
        let mut killer = app.database.connect().await;
        eventually("the read waits, and its connection is broken", async || {
            let killed: Number = diesel::sql_query(KILL)
                .get_result(&mut killer)
                .await
                .unwrap();
            (killed.value == 1).then_some(())
        })
        .await;
        conn.batch_execute("ROLLBACK").await.unwrap();
    });
    assert_eq!(answer.expect(200), product);
    app.finish().await;
}
