//! The connection to Redis: what becomes of it when nobody says that it is dead.

use std::time::Duration;

use orderly::config::{BreakerConfig, RedisConfig};
use orderly::redis_client::{RedisClient, RedisClientError};
use orderly::resilience::breaker::Breaker;
use orderly::telemetry::metrics::Metrics;
use tokio::runtime::Handle;

use crate::support::eventually::eventually;
use crate::support::fault_proxy::FaultProxy;
use crate::support::fault_proxy::start_redis_proxy;

fn proxied_client(proxy: &FaultProxy, config: &RedisConfig, breaker: BreakerConfig) -> RedisClient {
    let metrics = Metrics::new().unwrap();
    let breaker = Breaker::new("redis", breaker, metrics.breakers);
    let url = format!("redis://{}/", proxy.address());
    let seconds = metrics.dependencies.redis_command_duration;
    RedisClient::new(&url, config, breaker, seconds, Handle::current()).unwrap()
}

async fn ping(client: &RedisClient) -> Result<String, RedisClientError> {
    let ping = client.run("PING", |mut connection| async move {
        redis::cmd("PING").query_async(&mut connection).await
    });
    ping.await
}

#[tokio::test(flavor = "multi_thread")]
async fn replaces_silently_dead_redis_connection() {
    let config = RedisConfig {
        connect_timeout: Duration::from_millis(200),
        response_timeout: Duration::from_millis(50),
        backoff_base: Duration::from_millis(10),
        backoff_cap: Duration::from_millis(10),
        ..RedisConfig::default()
    };
    // Not what is tested: it would only make it slower.
    let breaker_config = BreakerConfig {
        minimum_calls: 10_000,
        ..BreakerConfig::default()
    };
    let proxy = start_redis_proxy().await;
    let client = proxied_client(&proxy, &config, breaker_config);
    let ping_ok = async || ping(&client).await.ok();
    eventually("Redis answers", ping_ok).await;
    proxy.blackhole_existing();
    let error = ping(&client).await.unwrap_err();
    assert!(matches!(
        error,
        RedisClientError::TimedOut | RedisClientError::Failed(_)
    ));
    eventually("Redis answers on another connection", ping_ok).await;
}
