//! What of the products is cached: each by its id, and the first rows of the list.
//!
//! The list is kept once, as long as its longest first page and one more, and
//! every first page is cut from it: one entry to forget when any product changes.
//! Later pages and searches go to the database; they are many, and seldom asked
//! for twice.

use std::fmt;
use std::sync::Arc;

use prometheus::IntCounterVec;
use tokio::runtime::Handle;

use super::context::Context;
use super::entry::{CachedRead, LoadError};
use super::invalidation_guard::InvalidationGuard;
use super::layered::LayeredCache;
use super::pending_invalidations::PendingInvalidations;
use super::redis_layer::RedisLayer;
use crate::config::CacheConfig;
use crate::domain::ids::ProductId;
use crate::domain::page::PageRequest;
use crate::domain::product::Product;
use crate::redis_client::{RedisClient, RedisClientError};

/// How many rows of the list are kept: the longest page, and one more to know
/// whether there is a next one.
pub(crate) const FIRST_ROWS: usize = PageRequest::MAX_LIMIT as usize + 1;

/// The cache of products, for reads that fail with `E`. Clones are the same one.
pub struct ProductCache<E> {
    by_id: LayeredCache<ProductId, Product, E>,
    list: LayeredCache<FirstRows, Vec<Product>, E>,
    context: Arc<Context>,
    pub(super) runtime: Handle,
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
            runtime: self.runtime.clone(),
        }
    }
}

impl<E: LoadError> ProductCache<E> {
    /// An empty cache, in this process only if `redis` is `None`. `requests` is
    /// `orderly_cache_requests_total{layer,outcome}`, and `runtime` the one that
    /// outlives every server and job.
    pub fn new(
        config: &CacheConfig,
        redis: Option<RedisClient>,
        requests: IntCounterVec,
        runtime: Handle,
    ) -> Self {
        let context = Arc::new(Context {
            config: config.clone(),
            redis: redis.filter(|_| config.enabled).map(RedisLayer::new),
            pending_invalidations: PendingInvalidations::default(),
            requests,
        });
        Self {
            by_id: LayeredCache::new(Arc::clone(&context), runtime.clone()),
            list: LayeredCache::new(Arc::clone(&context), runtime.clone()),
            context,
            runtime,
        }
    }

    /// The product of that id: from the cache, or else by `load`.
    ///
    /// # Errors
    /// Returns the error of `load` if no stale entry may be served.
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
    /// Returns the error of `load` if no stale entry may be served.
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
    pub(super) fn invalidate(&self, ids: &[ProductId]) {
        for id in ids {
            self.by_id.invalidate(id);
        }
        if !ids.is_empty() {
            self.list.invalidate(&FirstRows);
        }
    }

    /// For a transaction that is about to begin.
    pub fn invalidation_guard(&self) -> InvalidationGuard<E> {
        InvalidationGuard::new(self.clone())
    }

    /// Waits until there may be something to tell Redis.
    pub(crate) async fn wait_for_invalidation(&self) {
        self.context.pending_invalidations.inserted().await;
    }

    /// Tells Redis what is out of date.
    ///
    /// # Errors
    /// Returns an error if Redis can't be reached; those not delivered stay pending.
    pub(crate) async fn flush_invalidations(&self) -> Result<(), RedisClientError> {
        match &self.context.redis {
            Some(redis) => self.context.pending_invalidations.flush(redis).await,
            None => Ok(()),
        }
    }
}
