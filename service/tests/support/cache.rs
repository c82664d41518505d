//! Helpers for tests of the cache: entries that do not expire, reads, and counts of cache requests.

use std::time::Duration;

use orderly::app::App;
use orderly::config::Settings;
use reqwest::header::IF_NONE_MATCH;
use serde_json::Value;
use uuid::Uuid;

use super::app::{TestApp, send};
use super::eventually::eventually;
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

    /// Reads a product with `If-None-Match`.
    pub async fn get_product_if_changed(&self, product: &Value, etag: &str) -> TestResponse {
        let path = format!("/v1/products/{}", id(product));
        let request = self.request(reqwest::Method::GET, &path);
        send(request.header(IF_NONE_MATCH, etag), "").await
    }

    /// Reads a product that does not exist, another one each time.
    pub async fn get_unknown_product(&self) -> TestResponse {
        self.get(&format!("/v1/products/{}", Uuid::now_v7()), "")
            .await
    }
}
