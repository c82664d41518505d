//! The cache: when it spares the database a read. Here entries do not end by
//! themselves within a test (`disable_cache_expiry`).

use diesel_async::SimpleAsyncConnection as _;
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::TestApp;
use crate::support::cache::disable_cache_expiry;
use crate::support::eventually::eventually;
use crate::support::fixtures::id;

pub const FIRST_PAGE: &str = "/v1/products?limit=2";

#[tokio::test(flavor = "multi_thread")]
async fn reads_product_from_database_once() {
    let app = TestApp::start_with(disable_cache_expiry).await;
    let product = app.create_product(&app.create_admin().await, 250, 5).await;
    let path = format!("/v1/products/{}", id(&product));
    for _ in 0..3 {
        let response = app.get(&path, "").await;
        assert_eq!(response.expect(200), product);
        assert_eq!(response.header("x-stale"), None);
    }
    assert_eq!(app.cache_requests("database", "hit").await, 1.0);
    assert_eq!(app.cache_requests("local", "hit").await, 2.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn first_pages_of_any_limit_share_one_cache_entry() {
    let app = TestApp::start_with(disable_cache_expiry).await;
    let admin = app.create_admin().await;
    let products = [
        app.create_product(&admin, 1, 1).await,
        app.create_product(&admin, 2, 2).await,
        app.create_product(&admin, 3, 3).await,
    ];
    let page = app.get(FIRST_PAGE, "").await.expect(200);
    assert_eq!(page["items"], json!(products[..2]));
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest = app.get(&format!("{FIRST_PAGE}&cursor={cursor}"), "").await;
    assert_eq!(rest.expect(200)["items"], json!(products[2..]));
    let all = app.get("/v1/products", "").await.expect(200);
    assert_eq!(all["items"], json!(products));
    assert_eq!(all["next_cursor"], Value::Null);
    assert_eq!(app.cache_requests("database", "hit").await, 1.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundred_concurrent_misses_cause_one_read() {
    let app = TestApp::start_with(disable_cache_expiry).await;
    let product = app.create_product(&app.create_admin().await, 250, 5).await;
    let mut conn = app.lock_products().await;
    let readers = join_all((0..100).map(|_| app.get_product(&app.app, &product)));
    let (responses, ()) = tokio::join!(readers, async {
        eventually("all have missed", async || {
            (app.cache_requests("local", "miss").await == 100.0).then_some(())
        })
        .await;
        conn.batch_execute("ROLLBACK").await.unwrap();
    });
    for response in responses {
        assert_eq!(response.expect(200), product);
    }
    assert_eq!(app.database_reads().await, 1.0);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caches_absence_of_product() {
    let app = TestApp::start_with(disable_cache_expiry).await;
    let path = format!("/v1/products/{}", Uuid::now_v7());
    for _ in 0..3 {
        app.get(&path, "").await.expect_problem(404, "not-found");
    }
    assert_eq!(app.cache_requests("database", "miss").await, 1.0);
    app.finish().await;
}
