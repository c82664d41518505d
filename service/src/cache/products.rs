//! What of the products is cached: each by its id, and the first rows of the list.
//!
//! The list is kept once, as long as its longest first page and one more, and
//! every first page is cut from it: one entry to forget when any product changes.
//! Later pages and searches go to the database; they are many, and seldom asked
//! for twice.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus::IntCounterVec;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::context::Context;
use super::entry::{CacheValue, CachedRead, LoadError};
use super::layered::LayeredCache;
use super::pending_invalidations::PendingInvalidations;
use super::redis_layer::RedisLayer;
use crate::config::CacheConfig;
use crate::domain::ids::ProductId;
use crate::domain::money::{Currency, Money};
use crate::domain::page::PageRequest;
use crate::domain::product::Product;
use crate::redis_client::{RedisClient, RedisClientError};

/// How many rows of the list are kept: the longest page, and one more to know
/// whether there is a next one.
pub(crate) const FIRST_ROWS: usize = PageRequest::MAX_LIMIT as usize + 1;

/// For how long a `COMMIT` that nobody waits for may still be under way.
const COMMIT_GRACE: Duration = Duration::from_secs(2);

/// The cache of products, for reads that fail with `E`. Clones are the same one.
pub struct ProductCache<E> {
    by_id: LayeredCache<ProductId, Product, E>,
    list: LayeredCache<FirstRows, Vec<Product>, E>,
    context: Arc<Context>,
    main: Handle,
}

/// The one list.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct FirstRows;

impl fmt::Display for FirstRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("first-rows")
    }
}

impl<E> Clone for ProductCache<E> {
    fn clone(&self) -> Self {
        Self {
            by_id: self.by_id.clone(),
            list: self.list.clone(),
            context: Arc::clone(&self.context),
            main: self.main.clone(),
        }
    }
}

impl<E: LoadError> ProductCache<E> {
    /// An empty cache, in this process only if `redis` is `None`. `requests` is
    /// `orderly_cache_requests_total{layer,outcome}`, and `main` the runtime that
    /// outlives every server and job.
    pub fn new(
        config: &CacheConfig,
        redis: Option<RedisClient>,
        requests: IntCounterVec,
        main: Handle,
    ) -> Self {
        let context = Arc::new(Context {
            config: config.clone(),
            redis: redis.filter(|_| config.enabled).map(RedisLayer::new),
            pending_invalidations: PendingInvalidations::default(),
            requests,
        });
        Self {
            by_id: LayeredCache::new(Arc::clone(&context), main.clone()),
            list: LayeredCache::new(Arc::clone(&context), main.clone()),
            context,
            main,
        }
    }

    /// The product of that id: from the cache, or else by `load`.
    ///
    /// # Errors
    /// That of `load` if no old answer may stand in.
    pub(crate) async fn get<F>(
        &self,
        id: ProductId,
        load: impl Fn() -> F + Clone + Send + 'static,
    ) -> Result<CachedRead<Product>, E>
    where
        F: Future<Output = Result<Option<Product>, E>> + Send + 'static,
    {
        self.by_id.get(id, load).await
    }

    /// The first [`FIRST_ROWS`] products: from the cache, or else by `load`.
    ///
    /// # Errors
    /// That of `load` if no old answer may stand in.
    pub(crate) async fn first_rows<F>(
        &self,
        load: impl Fn() -> F + Clone + Send + 'static,
    ) -> Result<CachedRead<Vec<Product>>, E>
    where
        F: Future<Output = Result<Option<Vec<Product>>, E>> + Send + 'static,
    {
        self.list.get(FirstRows, load).await
    }

    /// What is held of these products is out of date, and so is the list. To be
    /// called after the commit.
    fn invalidate(&self, ids: &[ProductId]) {
        for id in ids {
            self.by_id.invalidate(id);
        }
        if !ids.is_empty() {
            self.list.invalidate(&FirstRows);
        }
    }

    /// For a transaction that is about to begin.
    pub fn invalidation_guard(&self) -> InvalidationGuard<E> {
        InvalidationGuard {
            cache: self.clone(),
            ids: Vec::new(),
        }
    }

    /// Waits until there may be something to tell Redis.
    pub(crate) async fn wait_for_invalidation(&self) {
        self.context.pending_invalidations.inserted().await;
    }

    /// Tells Redis what is out of date.
    ///
    /// # Errors
    /// If Redis can't be told; try again.
    pub(crate) async fn flush_invalidations(&self) -> Result<(), RedisClientError> {
        match &self.context.redis {
            Some(redis) => self.context.pending_invalidations.flush(redis).await,
            None => Ok(()),
        }
    }
}

/// The products that a transaction changes, until it is known what came of it.
/// If nobody gets to know (the request was dropped while `COMMIT` was under way,
/// the connection broke), they are forgotten when this is dropped, and once more
/// when the server must have made up its mind.
#[must_use = "the products must be named, and the outcome"]
pub struct InvalidationGuard<E: LoadError> {
    cache: ProductCache<E>,
    ids: Vec<ProductId>,
}

impl<E: LoadError> InvalidationGuard<E> {
    /// These are among them.
    pub fn add(&mut self, ids: impl IntoIterator<Item = ProductId>) {
        self.ids.extend(ids);
    }

    /// It has changed them.
    pub fn committed(mut self) {
        self.cache.invalidate(&std::mem::take(&mut self.ids));
    }

    /// It has changed nothing.
    pub(crate) fn rolled_back(mut self) {
        self.ids.clear();
    }
}

impl<E: LoadError> Drop for InvalidationGuard<E> {
    fn drop(&mut self) {
        if self.ids.is_empty() {
            return;
        }
        let (cache, ids) = (self.cache.clone(), std::mem::take(&mut self.ids));
        cache.invalidate(&ids);
        self.cache.main.spawn(async move {
            tokio::time::sleep(COMMIT_GRACE).await;
            cache.invalidate(&ids);
        });
    }
}

/// A product as it is written into Redis. Only fields with a default may be
/// added, for while a new version is rolled out both read it; for anything else,
/// deploy with another `cache.key_prefix`.
#[derive(Serialize, Deserialize)]
struct ProductJson {
    id: ProductId,
    sku: String,
    name: String,
    price_minor: i64,
    currency: String,
    stock: i32,
    version: i64,
    updated_at: DateTime<Utc>,
}

impl From<&Product> for ProductJson {
    fn from(product: &Product) -> Self {
        Self {
            id: product.id,
            sku: product.sku.clone(),
            name: product.name.clone(),
            price_minor: product.price.minor(),
            currency: product.price.currency().code().to_owned(),
            stock: product.stock,
            version: product.version,
            updated_at: product.updated_at,
        }
    }
}

impl ProductJson {
    fn into_product(self) -> Option<Product> {
        let currency = Currency::parse(&self.currency).ok()?;
        Some(Product {
            id: self.id,
            sku: self.sku,
            name: self.name,
            price: Money::new(self.price_minor, currency).ok()?,
            stock: self.stock,
            version: self.version,
            updated_at: self.updated_at,
        })
    }
}

impl CacheValue for Product {
    fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&ProductJson::from(self))
    }

    fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str::<ProductJson>(text)
            .ok()?
            .into_product()
    }
}

impl CacheValue for Vec<Product> {
    fn to_json(&self) -> serde_json::Result<String> {
        let rows: Vec<ProductJson> = self.iter().map(ProductJson::from).collect();
        serde_json::to_string(&rows)
    }

    fn from_json(text: &str) -> Option<Self> {
        let rows: Vec<ProductJson> = serde_json::from_str(text).ok()?;
        rows.into_iter().map(ProductJson::into_product).collect()
    }
}
