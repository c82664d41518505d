//! The cache: when it spares the database a read, and that it never shows what is
//! no longer so. Here entries do not end by themselves within a test
//! (`for_ever`): what changes has to be told.

use std::time::Duration;

use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use futures_util::future::join_all;
use orderly::config::Settings;
use orderly::domain::ids::ProductId;
use redis::AsyncCommands as _;
use reqwest::Method;
use reqwest::header::IF_MATCH;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{TestApp, send};
use crate::support::cached::{door_to_redis, for_ever, redis, redis_through};
use crate::support::eventually::eventually;
use crate::support::shop::id;

/// One row if a statement waits for a lock.
const WAITING: &str = "SELECT 1 FROM pg_stat_activity \
     WHERE datname = current_database() AND wait_event_type = 'Lock'";
const FIRST_PAGE: &str = "/v1/products?limit=2";

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_read_from_the_database_once() {
    let app = TestApp::start_with(for_ever).await;
    let product = app.product(&app.admin().await, 250, 5).await;
    let path = format!("/v1/products/{}", id(&product));
    for _ in 0..3 {
        let answer = app.get(&path, "").await;
        assert_eq!(answer.expect(200), product);
        assert_eq!(answer.header("x-stale"), None);
    }
    assert_eq!(app.cache("database", "hit").await, 1.0);
    assert_eq!(app.cache("local", "hit").await, 2.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_first_page_is_cut_from_one_entry() {
    let app = TestApp::start_with(for_ever).await;
    let admin = app.admin().await;
    let products = [
        app.product(&admin, 1, 1).await,
        app.product(&admin, 2, 2).await,
        app.product(&admin, 3, 3).await,
    ];
    let page = app.get(FIRST_PAGE, "").await.expect(200);
    assert_eq!(page["items"], json!(products[..2]));
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = app.get(&format!("{FIRST_PAGE}&cursor={cursor}"), "").await;
    assert_eq!(rest.expect(200)["items"], json!(products[2..]));
    let all = app.get("/v1/products", "").await.expect(200);
    assert_eq!(all["items"], json!(products));
    assert_eq!(all["next_cursor"], Value::Null);
    assert_eq!(app.cache("database", "hit").await, 1.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_misses_are_one_read() {
    let app = TestApp::start_with(for_ever).await;
    let product = app.product(&app.admin().await, 250, 5).await;
    let mut conn = app.lock_products().await;
    let readers = join_all((0..100).map(|_| app.look_at(&app.app, &product)));
    let (answers, ()) = tokio::join!(readers, async {
        eventually("all have missed", async || {
            (app.cache("local", "miss").await == 100.0).then_some(())
        })
        .await;
        conn.batch_execute("ROLLBACK").await.unwrap();
    });
    for answer in answers {
        assert_eq!(answer.expect(200), product);
    }
    assert_eq!(app.database_reads().await, 1.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_there_is_nothing_is_remembered() {
    let app = TestApp::start_with(for_ever).await;
    let path = format!("/v1/products/{}", Uuid::now_v7());
    for _ in 0..3 {
        app.get(&path, "").await.expect_problem(404, "not-found");
    }
    assert_eq!(app.cache("database", "miss").await, 1.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_changes_a_product_is_seen_at_once() {
    let app = TestApp::start_with(|settings| {
        for_ever(settings);
        // An order must not be given up while the gateway is made to fail.
        settings.payments.max_attempts = 100;
        settings.breaker.minimum_calls = 10_000;
    })
    .await;
    let admin = app.admin().await;
    let customer = app.customer().await;
    let product = app.product(&admin, 250, 5).await;
    let seen = async || {
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
    assert_eq!(seen().await, (5, 250, true));

    app.adjust(&admin, &product, 3).await.expect(200);
    assert_eq!(seen().await, (8, 250, true));

    let path = format!("/v1/products/{}", id(&product));
    let price = json!({"price": {"amount_minor": 300, "currency": "EUR"}});
    let change = app.request(Method::PATCH, &path).header(IF_MATCH, "*");
    send(change.json(&price), &admin).await.expect(200);
    assert_eq!(seen().await, (8, 300, true));

    app.faults(&json!({"error_rate": 1.0})).await;
    let order = app.order(&customer, &[(&product, 2)]).await.expect(201);
    assert_eq!(seen().await, (6, 300, true), "an order was placed");

    let cancel = format!("/v1/orders/{}/cancel", id(&order));
    app.post(&cancel, &customer, &json!({})).await.expect(200);
    assert_eq!(seen().await, (8, 300, true), "it was cancelled");

    let order = app.order(&customer, &[(&product, 4)]).await.expect(201);
    assert_eq!(seen().await, (4, 300, true));
    app.faults(&json!({"decline_rate": 1.0})).await;
    app.order_reaches(&customer, &order, "payment_failed").await;
    eventually("the stock is back on the shelf", async || {
        (seen().await == (8, 300, true)).then_some(())
    })
    .await;

    let another = app.product(&admin, 1, 1).await;
    let page = app.get(FIRST_PAGE, "").await.expect(200);
    assert_eq!(page["items"][1], another, "one was entered");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etag_is_never_that_of_an_older_version() {
    let app = TestApp::start_with(for_ever).await;
    let admin = app.admin().await;
    let product = app.product(&admin, 250, 5).await;
    let first = app.look_at(&app.app, &product).await;
    let etag = first.header("etag").unwrap();
    assert_eq!(app.look_again(&product, etag).await.status, 304);
    app.adjust(&admin, &product, 1).await.expect(200);
    let second = app.look_again(&product, etag).await;
    assert_eq!(second.expect(200)["stock"], 6);
    let etag = second.header("etag").unwrap();
    assert_eq!(app.look_again(&product, etag).await.status, 304);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_forgets_nothing_and_nothing_is_forgotten_before_the_commit() {
    let app = TestApp::start_with(for_ever).await;
    let admin = app.admin().await;
    let product = app.product(&admin, 250, 5).await;
    let stock = app.stock(&product).await;
    let reads = app.database_reads().await;

    let refused = app.adjust(&admin, &product, -6).await;
    refused.expect_problem(409, "out-of-stock");
    assert_eq!(app.stock(&product).await, stock);
    assert_eq!(app.database_reads().await, reads, "it was rolled back");

    let mut touched = app.app.services.products.touch();
    touched.add([ProductId(id(&product).parse().unwrap())]);
    assert_eq!(app.stock(&product).await, stock);
    assert_eq!(app.database_reads().await, reads, "it still runs");
    touched.committed();
    assert_eq!(app.stock(&product).await, stock);
    assert_eq!(app.database_reads().await, reads + 1.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_nobody_waits_for_any_more_may_have_committed() {
    let app = TestApp::start_with(for_ever).await;
    let product = app.product(&app.admin().await, 250, 5).await;
    app.stock(&product).await;
    let reads = app.database_reads().await;
    let mut touched = app.app.services.products.touch();
    touched.add([ProductId(id(&product).parse().unwrap())]);
    drop(touched);
    app.stock(&product).await;
    assert_eq!(app.database_reads().await, reads + 1.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_not_decided_from_the_cache() {
    let app = TestApp::start_with(for_ever).await;
    let product = app.product(&app.admin().await, 250, 5).await;
    let customer = app.customer().await;
    assert_eq!(app.stock(&product).await, 5);
    // Behind the service's back, so that the cache still says 5.
    let sell_out = "UPDATE products SET stock = 0, stock_received = 0";
    let mut conn = app.database.connect().await;
    diesel::sql_query(sell_out)
        .execute(&mut conn)
        .await
        .unwrap();
    assert_eq!(app.stock(&product).await, 5);
    let refused = app.order(&customer, &[(&product, 1)]).await;
    refused.expect_problem(409, "out-of-stock");
    app.finish().await;
}

fn two_replicas(settings: &mut Settings) {
    for_ever(settings);
    settings.cache.local_ttl = Duration::from_millis(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_the_other_replica_through_redis() {
    let door = door_to_redis().await;
    let app = TestApp::start_with(|settings| {
        redis_through(&door, settings);
        two_replicas(settings);
    })
    .await;
    let other = app.another_replica().await;
    let admin = app.admin().await;
    let product = app.product(&admin, 250, 5).await;
    app.has_in_redis(&product).await;
    app.look_at(&other, &product).await.expect(200);
    assert_eq!(app.cache_of(&other, "database", "hit").await, 0.0);
    assert_eq!(app.cache_of(&other, "redis", "hit").await, 1.0);

    app.adjust(&admin, &product, 1).await.expect(200);
    eventually("the other one sees the change", async || {
        let seen = app.look_at(&other, &product).await.expect(200);
        (seen["stock"] == 6).then_some(())
    })
    .await;
    other.stop().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_value_that_comes_late_is_refused() {
    let (here, there) = (door_to_redis().await, door_to_redis().await);
    let app = TestApp::start_with(|settings| {
        redis_through(&here, settings);
        two_replicas(settings);
    })
    .await;
    let other = app
        .another_replica_with(|settings| {
            redis_through(&there, settings);
            for_ever(settings);
        })
        .await;
    let admin = app.admin().await;
    let product = app.product(&admin, 250, 5).await;

    // The other replica misses, has its lease, and reads the old row ...
    app.has_in_redis(&product).await;
    let mut redis = redis().await;
    let key = format!("cache:{}:{}", app.database.name(), id(&product));
    redis.del::<_, ()>(&key).await.unwrap();
    let mut conn = app.lock_products().await;
    let late = app.look_at(&other, &product);
    let change = async {
        let mut looker = app.database.connect().await;
        eventually("it reads", async || {
            let waiting = diesel::sql_query(WAITING).execute(&mut looker).await;
            (waiting.unwrap() == 1).then_some(())
        })
        .await;
        // ... but what it writes into the cache is held up on its way ...
        there.block();
        conn.batch_execute("ROLLBACK").await.unwrap();
        eventually("it has read the old row", async || {
            (app.cache_of(&other, "database", "hit").await == 1.0).then_some(())
        })
        .await;
        // ... and arrives after the change.
        app.adjust(&admin, &product, 1).await.expect(200);
        eventually("Redis is told of the change", async || {
            let leased: bool = redis.hexists(&key, "lease").await.unwrap();
            (!leased).then_some(())
        })
        .await;
        there.open();
    };
    let (late, ()) = tokio::join!(late, change);
    assert_eq!(late.expect(200)["stock"], 5, "it was asked for before");
    let value: Option<String> = redis.hget(&key, "value").await.unwrap();
    assert_eq!(value, None, "an old value in Redis");
    assert_eq!(app.look_at(&other, &product).await.expect(200)["stock"], 6);
    assert_eq!(
        app.look_at(&app.app, &product).await.expect(200)["stock"],
        6
    );
    other.stop().await.unwrap();
    app.finish().await;
}
