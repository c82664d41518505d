//! The cache that replicas share through Redis: a change reaches the others, and nothing
//! old comes after it.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection as _;
use orderly::config::Settings;
use redis::AsyncCommands as _;

use crate::support::app::TestApp;
use crate::support::cache::disable_cache_expiry;
use crate::support::eventually::eventually;
use crate::support::fault_proxy::{connect_redis, start_redis_proxy, use_redis_proxy};
use crate::support::fixtures::id;

fn two_replicas(settings: &mut Settings) {
    disable_cache_expiry(settings);
    settings.cache.local_ttl = Duration::from_millis(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn change_reaches_other_replica_through_redis() {
    let proxy = start_redis_proxy().await;
    let app = TestApp::start_with(|settings| {
        use_redis_proxy(&proxy, settings);
        two_replicas(settings);
    })
    .await;
    let other = app.start_replica().await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;
    app.wait_until_in_redis(&product).await;
    app.get_product(&other, &product).await.expect(200);
    assert_eq!(app.cache_requests_of(&other, "database", "hit").await, 0.0);
    assert_eq!(app.cache_requests_of(&other, "redis", "hit").await, 1.0);

    app.adjust_stock(&admin, &product, 1).await.expect(200);
    eventually("the other one sees the change", async || {
        let cached = app.get_product(&other, &product).await.expect(200);
        (cached["stock"] == 6).then_some(())
    })
    .await;
    other.stop().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejects_late_fill_with_old_value() {
    let (own_proxy, other_proxy) = (start_redis_proxy().await, start_redis_proxy().await);
    let app = TestApp::start_with(|settings| {
        use_redis_proxy(&own_proxy, settings);
        two_replicas(settings);
    })
    .await;
    let other = app
        .start_replica_with(|settings| {
            use_redis_proxy(&other_proxy, settings);
            disable_cache_expiry(settings);
        })
        .await;
    let admin = app.create_admin().await;
    let product = app.create_product(&admin, 250, 5).await;

    // The other replica misses, has its lease, and reads the old row ...
    app.wait_until_in_redis(&product).await;
    let mut redis = connect_redis().await;
    let key = format!("cache:{}:{}", app.database.name(), id(&product));
    redis.del::<_, ()>(&key).await.unwrap();
    let mut conn = app.lock_products().await;
    let late = app.get_product(&other, &product);
    let change = async {
        app.database.wait_for_lock_waiters(1).await;
        // ... but what it writes into the cache is held up on its way ...
        other_proxy.freeze();
        conn.batch_execute("ROLLBACK").await.unwrap();
        eventually("it has read the old row", async || {
            (app.cache_requests_of(&other, "database", "hit").await == 1.0).then_some(())
        })
        .await;
        // ... and arrives after the change.
        app.adjust_stock(&admin, &product, 1).await.expect(200);
        eventually("the invalidation reaches Redis", async || {
            let leased: bool = redis.hexists(&key, "lease").await.unwrap();
            (!leased).then_some(())
        })
        .await;
        other_proxy.restore();
    };
    let (late, ()) = tokio::join!(late, change);
    assert_eq!(late.expect(200)["stock"], 5, "it was asked for before");
    let value: Option<String> = redis.hget(&key, "value").await.unwrap();
    assert_eq!(value, None, "an old value in Redis");
    assert_eq!(
        app.get_product(&other, &product).await.expect(200)["stock"],
        6
    );
    assert_eq!(
        app.get_product(&app.app, &product).await.expect(200)["stock"],
        6
    );
    other.stop().await.unwrap();
    app.finish().await;
}
