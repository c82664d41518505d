//! Helpers for tests of the cache: entries that do not expire, proxies to Postgres and
//! Redis, and counts of cache requests.

use std::time::Duration;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use orderly::app::App;
use orderly::config::Settings;
use reqwest::header::IF_NONE_MATCH;
use serde_json::Value;
use uuid::Uuid;

use super::app::{TestApp, send};
use super::eventually::eventually;
use super::fault_proxy::FaultProxy;
use super::fixtures::id;
use super::response::TestResponse;

const MINUTE: Duration = Duration::from_secs(60);

/// Sets lifetimes so long that no entry expires within a test, however slow the machine is.
pub fn disable_cache_expiry(settings: &mut Settings) {
    settings.cache.ttl = 60 * MINUTE;
    settings.cache.local_ttl = MINUTE;
    settings.cache.negative_ttl = MINUTE;
    settings.cache.ttl_jitter = 0.0;
    settings.http.request_timeout = MINUTE;
    settings.database.statement_timeout = MINUTE;
    settings.database.lock_timeout = MINUTE;
}

/// Starts a proxy to the tests' Redis.
pub async fn start_redis_proxy() -> FaultProxy {
    FaultProxy::start(host("ORDERLY_TEST_REDIS_URL")).await
}

/// Starts a proxy to the tests' Postgres.
pub async fn start_postgres_proxy() -> FaultProxy {
    FaultProxy::start(host("ORDERLY_TEST_DATABASE_URL")).await
}

/// Opens a connection to the tests' Redis.
pub async fn connect_redis() -> redis::aio::MultiplexedConnection {
    let url = format!("redis://{}/", host("ORDERLY_TEST_REDIS_URL"));
    let client = redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// Makes a service connect to Redis through the proxy.
pub fn use_redis_proxy(proxy: &FaultProxy, settings: &mut Settings) {
    settings.redis.url = Some(format!("redis://{}/", proxy.address()).into());
    settings.breaker.open_duration = Duration::from_millis(100);
    // `/metrics` waits for the health checks, which wait for a frozen proxy.
    settings.health.timeout = Duration::from_secs(1);
}

/// Makes a service connect to Postgres through the proxy.
pub fn use_postgres_proxy(proxy: &FaultProxy, settings: &mut Settings) {
    let host = host("ORDERLY_TEST_DATABASE_URL");
    let url = settings.database.url.as_ref().unwrap().expose();
    let url = url.replace(&host, &proxy.address().to_string());
    settings.database.url = Some(url.into());
}

/// The `host:port` in a URL.
fn host(variable: &str) -> String {
    let url = std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run the tests with `make test`"));
    let (_, rest) = url.split_once("://").unwrap();
    let (authority, _) = rest.split_once('/').unwrap();
    let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    host.to_owned()
}

impl TestApp {
    /// Returns the number of requests to a layer of the cache with that outcome.
    pub async fn cache_requests(&self, layer: &str, outcome: &str) -> f64 {
        self.cache_requests_of(&self.app, layer, outcome).await
    }

    /// The same of a replica.
    pub async fn cache_requests_of(&self, replica: &App, layer: &str, outcome: &str) -> f64 {
        let series =
            format!("orderly_cache_requests_total{{layer=\"{layer}\",outcome=\"{outcome}\"}} ");
        self.metric_of(replica, &series).await.unwrap_or(0.0)
    }

    /// Returns the number of product reads from the database.
    pub async fn database_reads(&self) -> f64 {
        let mut reads = 0.0;
        for outcome in ["hit", "miss", "error"] {
            reads += self.cache_requests("database", outcome).await;
        }
        reads
    }

    /// Reads a product from a replica.
    pub async fn get_product(&self, replica: &App, product: &Value) -> TestResponse {
        let url = format!("http://{}/v1/products/{}", replica.address, id(product));
        send(self.client.get(url), "").await
    }

    /// Reads a product until it comes from Redis: it is stored, and no invalidation of it
    /// is in progress.
    pub async fn wait_until_in_redis(&self, product: &Value) {
        let hits = self.cache_requests("redis", "hit").await;
        eventually("the product comes from Redis", async || {
            self.get_product(&self.app, product).await.expect(200);
            (self.cache_requests("redis", "hit").await > hits).then_some(())
        })
        .await;
    }

    /// Blocks all reads of products until `ROLLBACK`.
    pub async fn lock_products(&self) -> AsyncPgConnection {
        let mut conn = self.database.connect().await;
        let lock = "BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE";
        conn.batch_execute(lock).await.unwrap();
        conn
    }

    /// Reads a product with `If-None-Match`.
    pub async fn get_product_if_changed(&self, product: &Value, etag: &str) -> TestResponse {
        let path = format!("/v1/products/{}", id(product));
        let request = self.request(reqwest::Method::GET, &path);
        send(request.header(IF_NONE_MATCH, etag), "").await
    }

    /// Adds to the stock of a product.
    pub async fn adjust_stock(&self, admin: &str, product: &Value, delta: i64) -> TestResponse {
        let path = format!("/v1/products/{}/stock", id(product));
        let body = serde_json::json!({ "delta": delta });
        self.post(&path, admin, &body).await
    }

    /// Reads a product that does not exist, another one each time.
    pub async fn get_unknown_product(&self) -> TestResponse {
        self.get(&format!("/v1/products/{}", Uuid::now_v7()), "")
            .await
    }
}
