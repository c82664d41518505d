//! A read-through cache of two layers, for values of one kind.
//!
//! The way of a read, each step only if the one before did not end it: a fresh
//! entry in the process; the flight that is under way for the key; a fresh entry
//! in Redis; the database. If the database does not answer, an old entry of either
//! layer stands in, and for a while nobody waits for the database again: one
//! flight at a time finds out whether it is back.

use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::time::Instant;

use super::context::{Context, Lookup};
use super::entry::{CacheEntry, LoadError, CachedRead, CacheValue};
use crate::resilience::deadline;
use crate::resilience::single_flight::{Outcome, SingleFlight};

/// For this long after the database did not answer, stale entries are served
/// without waiting for it.
const OUTAGE: Duration = Duration::from_secs(10);

/// The cache. Clones are the same one.
pub(super) struct Layered<K, V, E> {
    local: Cache<K, CacheEntry<V>>,
    flights: SingleFlight<K, Result<CacheEntry<V>, E>>,
    context: Arc<Context>,
}

impl<K, V, E> Clone for Layered<K, V, E> {
    fn clone(&self) -> Self {
        Self {
            local: self.local.clone(),
            flights: self.flights.clone(),
            context: Arc::clone(&self.context),
        }
    }
}

impl<K, V, E> Layered<K, V, E>
where
    K: Clone + Eq + Hash + ToString + Send + Sync + 'static,
    V: CacheValue,
    E: LoadError,
{
    pub(super) fn new(context: Arc<Context>, main: tokio::runtime::Handle) -> Self {
        let config = &context.config;
        let local = Cache::builder()
            .max_capacity(config.local_capacity)
            .time_to_live(config.stale_for.max(config.local_ttl))
            .build();
        Self {
            local,
            flights: SingleFlight::new(main),
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
            return Ok(CachedRead { value, stale_age: None });
        }
        let held = self.local.get(&key);
        if let Some(entry) = held.as_ref().filter(|entry| entry.is_fresh()) {
            let outcome = entry.refresh_failed_at.map_or("hit", |_| "stale");
            self.context.count("local", outcome);
            return Ok(entry.to_read());
        }
        let flight = self.board(&key, load.clone());
        if let Some(entry) = held.filter(|entry| self.stands_in_at_once(entry)) {
            self.context.count("local", "stale");
            return Ok(entry.to_read());
        }
        self.context.count("local", "miss");
        match flight.await {
            Some(outcome) => outcome.map(|entry| entry.to_read()),
            // The flight has panicked, which is logged: go alone.
            None => {
                let value = load().await?.map(Arc::new);
                Ok(CachedRead { value, stale_age: None })
            }
        }
    }

    /// What is held of `key` is out of date. Nobody in this process gets it from
    /// now on, except while the database is away; Redis will be told.
    pub(super) fn invalidate(&self, key: &K) {
        // Noted first: who misses below must not ask Redis, which does not know yet.
        if self.context.redis.is_some() {
            self.context.pending_invalidations.insert(self.context.redis_key(key));
        }
        self.flights.forget(key, || {
            if let Some(entry) = self.local.get(key) {
                self.local.insert(key.clone(), entry.into_expired());
            }
        });
    }

    fn stands_in_at_once(&self, entry: &CacheEntry<V>) -> bool {
        entry.refresh_failed_at.is_some_and(|at| at.elapsed() < OUTAGE)
            && entry.can_serve_stale(self.context.config.stale_for)
    }

    fn board<F>(
        &self,
        key: &K,
        load: impl Fn() -> F + Send + 'static,
    ) -> Outcome<Result<CacheEntry<V>, E>>
    where
        F: Future<Output = Result<Option<V>, E>> + Send + 'static,
    {
        let look = || self.local.get(key).filter(CacheEntry::is_fresh).map(Ok);
        let this = self.clone();
        let flown = key.clone();
        let work = || async move { this.fetch(flown, load).await };
        let (local, kept) = (self.local.clone(), key.clone());
        let keep = move |outcome: &Result<CacheEntry<V>, E>| {
            if let Ok(entry) = outcome {
                local.insert(kept, entry.clone());
            }
        };
        self.flights.board(key, look, work, keep)
    }

    async fn fetch<F>(self, key: K, load: impl Fn() -> F) -> Result<CacheEntry<V>, E>
    where
        F: Future<Output = Result<Option<V>, E>> + Send + 'static,
    {
        let context = &self.context;
        let began = Instant::now();
        let redis_key = context.redis_key(&key);
        let (stale, fill_token) = match context.look_up(&redis_key, began).await {
            Lookup::Hit(entry) => return Ok(entry),
            Lookup::Miss { stale, fill_token } => (stale, fill_token),
        };
        let limit = Instant::now() + context.config.load_timeout;
        let loaded = match deadline::within(limit, load()).await {
            Ok(loaded) => loaded,
            Err(over) => Err(over.into()),
        };
        match loaded {
            Ok(value) => {
                let found = if value.is_some() { "hit" } else { "miss" };
                context.count("database", found);
                let value = value.map(Arc::new);
                let mut entry = context.new_entry(value, began);
                if let Some(fill_token) = fill_token
                    && !context.fill(&redis_key, fill_token, &entry).await
                {
                    entry = entry.into_expired();
                }
                Ok(entry)
            }
            Err(error) => {
                context.count("database", "error");
                let stand_in = error.is_outage().then(|| self.stand_in(&key, stale));
                stand_in.flatten().ok_or(error)
            }
        }
    }

    /// An old entry, of the process or else of Redis, in place of a new one.
    fn stand_in(&self, key: &K, of_redis: Option<CacheEntry<V>>) -> Option<CacheEntry<V>> {
        let config = &self.context.config;
        let may = |entry: &CacheEntry<V>| entry.can_serve_stale(config.stale_for);
        let (layer, entry) = match self.local.get(key).filter(may) {
            Some(entry) => ("local", entry),
            None => ("redis", of_redis.filter(may)?),
        };
        self.context.count(layer, "stale");
        Some(entry.into_served_stale(config.local_ttl))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
#[path = "layered_tests.rs"]
mod tests;
