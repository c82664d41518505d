//! A service whose cache is watched: entries last so long that only what a test
//! is about can end them.

use std::time::Duration;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use orderly::app::App;
use orderly::config::Settings;
use reqwest::header::IF_NONE_MATCH;
use serde_json::Value;
use uuid::Uuid;

use super::answer::Answer;
use super::app::{TestApp, send};
use super::door::Door;
use super::eventually::eventually;
use super::shop::id;

const MINUTE: Duration = Duration::from_secs(60);

/// Nothing ends by itself within a test, however slow the machine is.
pub fn for_ever(settings: &mut Settings) {
    settings.cache.ttl = 60 * MINUTE;
    settings.cache.local_ttl = MINUTE;
    settings.cache.negative_ttl = MINUTE;
    settings.cache.ttl_jitter = 0.0;
    settings.http.request_timeout = MINUTE;
    settings.database.statement_timeout = MINUTE;
    settings.database.lock_timeout = MINUTE;
}

/// A door to the tests' Redis.
pub async fn door_to_redis() -> Door {
    Door::to(host("ORDERLY_TEST_REDIS_URL")).await
}

/// A door to the tests' Postgres.
pub async fn door_to_postgres() -> Door {
    Door::to(host("ORDERLY_TEST_DATABASE_URL")).await
}

/// A connection of the test's own to Redis.
pub async fn redis() -> redis::aio::MultiplexedConnection {
    let url = format!("redis://{}/", host("ORDERLY_TEST_REDIS_URL"));
    let client = redis::Client::open(url).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// Has a service reach Redis through the door.
pub fn redis_through(door: &Door, settings: &mut Settings) {
    settings.redis.url = Some(format!("redis://{}/", door.address()).into());
    settings.breaker.open_duration = Duration::from_millis(100);
    // Who asks for metrics waits for the health checks, and nothing comes through a door
    // that is blocked.
    settings.health.timeout = Duration::from_secs(1);
}

/// Has a service reach Postgres through the door.
pub fn postgres_through(door: &Door, settings: &mut Settings) {
    let host = host("ORDERLY_TEST_DATABASE_URL");
    let url = settings.database.url.as_ref().unwrap().expose();
    let url = url.replace(&host, &door.address().to_string());
    settings.database.url = Some(url.into());
}

/// The `host:port` in a URL.
fn host(variable: &str) -> String {
    let url = std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run the tests with `make test`"));
    let (_, rest) = url.split_once("://").unwrap();
    let (place, _) = rest.split_once('/').unwrap();
    let (_, host) = place.rsplit_once('@').unwrap_or(("", place));
    host.to_owned()
}

impl TestApp {
    /// How often that came of asking that layer of the cache.
    pub async fn cache(&self, layer: &str, outcome: &str) -> f64 {
        self.cache_of(&self.app, layer, outcome).await
    }

    /// The same of a replica.
    pub async fn cache_of(&self, replica: &App, layer: &str, outcome: &str) -> f64 {
        let series =
            format!("orderly_cache_requests_total{{layer=\"{layer}\",outcome=\"{outcome}\"}} ");
        self.metric_of(replica, &series).await.unwrap_or(0.0)
    }

    /// How often the database was asked for products.
    pub async fn database_reads(&self) -> f64 {
        let mut reads = 0.0;
        for outcome in ["hit", "miss", "error"] {
            reads += self.cache("database", outcome).await;
        }
        reads
    }

    /// A product as a replica shows it.
    pub async fn look_at(&self, replica: &App, product: &Value) -> Answer {
        let url = format!("http://{}/v1/products/{}", replica.address, id(product));
        send(self.client.get(url), "").await
    }

    /// Reads a product until it comes from Redis: there it is, and no news of it
    /// are under way.
    pub async fn has_in_redis(&self, product: &Value) {
        let hits = self.cache("redis", "hit").await;
        eventually("the product comes from Redis", async || {
            self.look_at(&self.app, product).await.expect(200);
            (self.cache("redis", "hit").await > hits).then_some(())
        })
        .await;
    }

    /// Keeps everybody from reading products until `ROLLBACK`.
    pub async fn lock_products(&self) -> AsyncPgConnection {
        let mut conn = self.database.connect().await;
        let lock = "BEGIN; LOCK TABLE products IN ACCESS EXCLUSIVE MODE";
        conn.batch_execute(lock).await.unwrap();
        conn
    }

    /// A product, if it is no longer as the client has it.
    pub async fn look_again(&self, product: &Value, etag: &str) -> Answer {
        let path = format!("/v1/products/{}", id(product));
        let request = self.request(reqwest::Method::GET, &path);
        send(request.header(IF_NONE_MATCH, etag), "").await
    }

    /// Adds to the stock of a product.
    pub async fn adjust(&self, admin: &str, product: &Value, delta: i64) -> Answer {
        let path = format!("/v1/products/{}/stock", id(product));
        let body = serde_json::json!({ "delta": delta });
        self.post(&path, admin, &body).await
    }

    /// Looks at a product that does not exist, another one each time.
    pub async fn look_at_nothing(&self) -> Answer {
        self.get(&format!("/v1/products/{}", Uuid::now_v7()), "")
            .await
    }
}
