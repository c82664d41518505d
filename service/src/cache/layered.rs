//! A read-through cache of two layers, for values of one kind.
//!
//! The way of a read, each step only if the one before did not end it: a fresh
//! entry in the process; the in-flight call for the key; a fresh entry
//! in Redis; the database. If the database does not answer, an old entry of either
//! layer stands in, and for a while nobody waits for the database again: one
//! in-flight call at a time finds out whether it is back.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

use super::context::{Context, Lookup};
use super::entry::{CacheEntry, CacheValue, CachedRead, LoadError};
use crate::resilience::deadline;
use crate::resilience::single_flight::{SharedResult, SingleFlight};

/// For this long after the database did not answer, stale entries are served
/// without waiting for it.
const DATABASE_RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// The cache. Clones are the same one.
pub(super) struct LayeredCache<K, V, E> {
    local: Cache<K, CacheEntry<V>>,
    single_flight: SingleFlight<K, Result<CacheEntry<V>, E>>,
    context: Arc<Context>,
}

impl<K, V, E> Clone for LayeredCache<K, V, E> {
    fn clone(&self) -> Self {
        Self {
            local: self.local.clone(),
            single_flight: self.single_flight.clone(),
            context: Arc::clone(&self.context),
        }
    }
}

impl<K, V, E> LayeredCache<K, V, E>
where
    K: Clone + Eq + Hash + ToString + Send + Sync + 'static,
    V: CacheValue,
    E: LoadError,
{
    pub(super) fn new(context: Arc<Context>, runtime: tokio::runtime::Handle) -> Self {
        let config = &context.config;
        let local = Cache::builder()
            .max_capacity(config.local_capacity)
            .time_to_live(config.stale_if_error.max(config.local_ttl))
            .build();
        Self {
            local,
            single_flight: SingleFlight::new(runtime),
            context,
        }
    }

    /// The value of `key`: from the cache, or else by `load`.
    pub(super) async fn get<F>(
        &self,
        key: K,
        load: impl Fn() -> F + Clone + Send + 'static,
    ) -> Result<CachedRead<V>, E>
    where
        F: Future<Output = Result<Option<V>, E>> + Send + 'static,
    {
        if !self.context.config.enabled {
            let value = load().await?.map(Arc::new);
            return Ok(CachedRead {
                value,
                stale_age: None,
            });
        }
        let local_entry = self.local.get(&key);
        if let Some(entry) = local_entry.as_ref().filter(|entry| entry.is_fresh()) {
            let outcome = entry.refresh_failed_at.map_or("hit", |_| "stale");
            self.context.count("local", outcome);
            return Ok(entry.to_read());
        }
        let in_flight = self.join_or_start(&key, load.clone());
        if let Some(entry) = local_entry.filter(|entry| self.can_serve_stale_immediately(entry)) {
            self.context.count("local", "stale");
            return Ok(entry.to_read());
        }
        self.context.count("local", "miss");
        match in_flight.await {
            Some(result) => result.map(|entry| entry.to_read()),
            // The in-flight call has panicked, which is logged: go alone.
            None => {
                let value = load().await?.map(Arc::new);
                Ok(CachedRead {
                    value,
                    stale_age: None,
                })
            }
        }
    }

    /// What is held of `key` is out of date. Nobody in this process gets it from
    /// now on, except while the database is away; Redis will be told.
    pub(super) fn invalidate(&self, key: &K) {
        // Noted first: who misses below must not ask Redis, which does not know yet.
        if self.context.redis.is_some() {
            self.context
                .pending_invalidations
                .insert(self.context.redis_key(key));
        }
        self.single_flight.forget(key, || {
            if let Some(entry) = self.local.get(key) {
                self.local.insert(key.clone(), entry.into_expired());
            }
        });
    }

    fn can_serve_stale_immediately(&self, entry: &CacheEntry<V>) -> bool {
        entry
            .refresh_failed_at
            .is_some_and(|at| at.elapsed() < DATABASE_RETRY_INTERVAL)
            && entry.can_serve_stale(self.context.config.stale_if_error)
    }

    fn join_or_start<F>(
        &self,
        key: &K,
        load: impl Fn() -> F + Send + 'static,
    ) -> SharedResult<Result<CacheEntry<V>, E>>
    where
        F: Future<Output = Result<Option<V>, E>> + Send + 'static,
    {
        let lookup = || self.local.get(key).filter(CacheEntry::is_fresh).map(Ok);
        let cache = self.clone();
        let work_key = key.clone();
        let work = || async move { cache.fetch(work_key, load).await };
        let (local, store_key) = (self.local.clone(), key.clone());
        let store = move |result: &Result<CacheEntry<V>, E>| {
            if let Ok(entry) = result {
                local.insert(store_key, entry.clone());
            }
        };
        self.single_flight.join_or_start(key, lookup, work, store)
    }

    async fn fetch<F>(self, key: K, load: impl Fn() -> F) -> Result<CacheEntry<V>, E>
    where
        F: Future<Output = Result<Option<V>, E>> + Send + 'static,
    {
        let context = &self.context;
        let began = Instant::now();
        let redis_key = context.redis_key(&key);
        let (stale, fill_token) = match context.read_redis(&redis_key, began).await {
            Lookup::Hit(entry) => return Ok(entry),
            Lookup::Miss { stale, fill_token } => (stale, fill_token),
        };
        let limit = Instant::now() + context.config.load_timeout;
        let loaded = match deadline::with_deadline(limit, load()).await {
            Ok(loaded) => loaded,
            Err(exceeded) => Err(exceeded.into()),
        };
        match loaded {
            Ok(value) => {
                let outcome = if value.is_some() { "hit" } else { "miss" };
                context.count("database", outcome);
                let value = value.map(Arc::new);
                let mut entry = context.new_entry(value, began);
                if let Some(fill_token) = fill_token
                    && !context.fill_redis(&redis_key, fill_token, &entry).await
                {
                    entry = entry.into_expired();
                }
                Ok(entry)
            }
            Err(error) => {
                context.count("database", "error");
                let stale_entry = error.is_outage().then(|| self.find_stale(&key, stale));
                stale_entry.flatten().ok_or(error)
            }
        }
    }

    /// An old entry, of the process or else of Redis, in place of a new one.
    fn find_stale(&self, key: &K, redis_entry: Option<CacheEntry<V>>) -> Option<CacheEntry<V>> {
        let config = &self.context.config;
        let can_serve = |entry: &CacheEntry<V>| entry.can_serve_stale(config.stale_if_error);
        let (layer, entry) = match self.local.get(key).filter(can_serve) {
            Some(entry) => ("local", entry),
            None => ("redis", redis_entry.filter(can_serve)?),
        };
        self.context.count(layer, "stale");
        Some(entry.into_served_stale(config.local_ttl))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
#[path = "layered_tests.rs"]
mod tests;
