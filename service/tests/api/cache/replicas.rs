//! The cache that replicas share through Redis: a change reaches the others, and nothing
//! old comes after it.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection as _;
use orderly::config::Settings;
use redis::AsyncCommands as _;

use crate::support::app::TestApp;
use crate::support::cached::{door_to_redis, for_ever, redis, redis_through};
use crate::support::eventually::eventually;
use crate::support::shop::id;

fn two_replicas(settings: &mut Settings) {
    for_ever(settings);
    settings.cache.local_ttl = Duration::from_millis(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn change_reaches_other_replica_through_redis() {
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
async fn rejects_late_fill_with_old_value() {
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
        app.database.sessions_wait_for_a_lock(1).await;
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
