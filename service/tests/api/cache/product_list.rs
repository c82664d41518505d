//! The list of products in Redis: what one replica writes, another one reads.

use std::time::Duration;

use orderly::app::App;
use redis::AsyncCommands as _;
use serde_json::{Value, json};

use crate::support::app::{TestApp, send};
use crate::support::cache::disable_cache_expiry;
use crate::support::eventually::eventually;
use crate::support::fault_proxy::{connect_redis, start_redis_proxy, use_redis_proxy};
use crate::support::fixtures::id;

const LIST: &str = "/v1/products?limit=2";

async fn get_list(app: &TestApp, replica: &App) -> Value {
    let url = format!("http://{}{LIST}", replica.address);
    send(app.client.get(url), "").await.expect(200)
}

fn list_key(app: &TestApp) -> String {
    format!("cache:{}:first-rows", app.database.name())
}

/// Reads the list until Redis has it: an invalidation of it may be in progress.
async fn wait_until_list_in_redis(app: &TestApp) -> String {
    let mut redis = connect_redis().await;
    eventually("the list is in Redis", async || {
        get_list(app, &app.app).await;
        redis.hget(list_key(app), "value").await.unwrap()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn other_replica_reads_list_from_redis() {
    let proxy = start_redis_proxy().await;
    let app = TestApp::start_with(|settings| {
        use_redis_proxy(&proxy, settings);
        disable_cache_expiry(settings);
        settings.cache.local_ttl = Duration::from_millis(1);
    })
    .await;
    let other = app.start_replica().await;
    let admin = app.create_admin().await;
    let products = [
        app.create_product(&admin, 1, 0).await,
        app.create_product(&admin, 999_999_999, 1_000_000).await,
        app.create_product(&admin, 3, 3).await,
    ];
    let text = wait_until_list_in_redis(&app).await;
    assert!(
        text.contains(id(&products[2])),
        "the next page's row: {text}"
    );

    let list = get_list(&app, &other).await;
    assert_eq!(list["items"], json!(products[..2]));
    let url = format!("{LIST}&cursor={}", list["next_cursor"].as_str().unwrap());
    let rest = app.get(&url, "").await.expect(200);
    assert_eq!(rest["items"], json!(products[2..]));
    assert_eq!(app.cache_requests_of(&other, "redis", "hit").await, 1.0);
    assert_eq!(app.cache_requests_of(&other, "database", "hit").await, 0.0);

    app.adjust_stock(&admin, &products[0], 7).await.expect(200);
    eventually("the other replica lists the change", async || {
        let list = get_list(&app, &other).await;
        (list["items"][0]["stock"] == 7).then_some(())
    })
    .await;
    other.stop().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_list_in_redis_is_a_miss() {
    let proxy = start_redis_proxy().await;
    let app = TestApp::start_with(|settings| {
        use_redis_proxy(&proxy, settings);
        disable_cache_expiry(settings);
    })
    .await;
    let product = app.create_product(&app.create_admin().await, 250, 5).await;
    let written = wait_until_list_in_redis(&app).await;
    let other = app.start_replica().await;
    let mut redis = connect_redis().await;
    // A version before or after this one writes products with other fields.
    let mut entry: Value = serde_json::from_str(&written).unwrap();
    entry["value"] = json!(r#"[{"id": "of another version"}]"#);
    let entry = entry.to_string();
    (redis.hset::<_, _, _, ()>(list_key(&app), "value", &entry))
        .await
        .unwrap();

    assert_eq!(get_list(&app, &other).await["items"], json!([product]));
    assert_eq!(app.cache_requests_of(&other, "redis", "miss").await, 1.0);
    assert_eq!(app.cache_requests_of(&other, "database", "hit").await, 1.0);
    let kept: String = redis.hget(list_key(&app), "value").await.unwrap();
    assert_eq!(kept, entry, "the other version's entry is kept");
    other.stop().await.unwrap();
    app.finish().await;
}
