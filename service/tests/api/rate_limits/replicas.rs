//! Rate limits: what replicas count together, and what holds when Redis is away.

use futures_util::future::join_all;
use orderly::app::App;
use orderly::config::Settings;

use super::quotas::{count, raise_other_limits, send_invalid_login, send_invalid_login_to};
use crate::support::app::TestApp;
use crate::support::eventually::eventually;
use crate::support::redis_server::RedisServer;

/// Two replicas that share a Redis, in which ten log-ins are left.
async fn two_replicas(redis: &RedisServer) -> (TestApp, App) {
    let change = |settings: &mut Settings| {
        raise_other_limits(settings);
        settings.redis.url = Some(redis.url().into());
        settings.rate_limit.login_per_minute = 1;
        settings.rate_limit.login_burst = 10;
        settings.rate_limit.replicas = 2;
    };
    let app = TestApp::start_with(change).await;
    let other = app.start_replica().await;
    (app, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_one_limit() {
    let redis = RedisServer::start().await;
    let (app, other) = two_replicas(&redis).await;
    let all = (0..50).flat_map(|_| {
        [
            send_invalid_login_to(&app, &app.app),
            send_invalid_login_to(&app, &other),
        ]
    });
    let statuses = join_all(all).await;
    assert_eq!((count(&statuses, 422), count(&statuses, 429)), (10, 90));
    other.stop().await.unwrap();
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_per_replica_without_redis_and_divides_logins() {
    let mut redis = RedisServer::start().await;
    let (app, other) = two_replicas(&redis).await;
    for _ in 0..10 {
        assert_eq!(send_invalid_login_to(&app, &app.app).await, 422);
    }
    assert_eq!(send_invalid_login_to(&app, &other).await, 429);

    redis.kill();
    for replica in [&app.app, &other] {
        let all = (0..20).map(|_| send_invalid_login_to(&app, replica));
        let statuses = join_all(all).await;
        assert_eq!(
            (count(&statuses, 422), count(&statuses, 429)),
            (5, 15),
            "its half"
        );
    }
    let products = app.get("/v1/products", "").await;
    products.expect(200);
    assert_eq!(
        products.header("ratelimit-policy"),
        Some("\"read\";q=2000;w=2"),
        "whole"
    );

    redis.restart().await;
    eventually("the replicas share again", async || {
        let response = send_invalid_login(&app, "/v1/sessions", "").await;
        (response.header("ratelimit-policy") == Some("\"login\";q=10;w=600")).then_some(())
    })
    .await;
    other.stop().await.unwrap();
    app.finish().await;
}
