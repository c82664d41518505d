//! What the entries of all kinds share: the settings, the layer in Redis with what
//! it has yet to be told, the metric.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use prometheus::IntCounterVec;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::entry::{CacheEntry, CacheValue};
use super::pending_invalidations::PendingInvalidations;
use super::redis_layer::{FillToken, RawLookup, RedisLayer};
use crate::config::CacheConfig;

/// One for the whole cache.
pub(super) struct Context {
    pub(super) config: CacheConfig,
    pub(super) redis: Option<RedisLayer>,
    pub(super) pending_invalidations: PendingInvalidations,
    pub(super) requests: IntCounterVec,
}

/// What Redis has of a key.
pub(super) enum Lookup<V> {
    Hit(CacheEntry<V>),
    /// Without a fill token nothing may be written there.
    Miss {
        stale: Option<CacheEntry<V>>,
        fill_token: Option<FillToken>,
    },
}

/// The text of an entry in Redis.
#[derive(Serialize, Deserialize)]
struct RedisEntry {
    read_at: DateTime<Utc>,
    value: Option<String>,
}

impl Context {
    pub(super) fn redis_key(&self, key: &impl ToString) -> String {
        format!("{}:{}", self.config.key_prefix, key.to_string())
    }

    pub(super) fn count(&self, layer: &str, outcome: &str) {
        self.requests.with_label_values(&[layer, outcome]).inc();
    }

    /// `time`, less what the jitter takes.
    fn jittered(&self, time: Duration) -> Duration {
        time.mul_f64(1.0 - self.config.ttl_jitter * rand::random::<f64>())
    }

    /// What was found by a read that began then.
    pub(super) fn new_entry<V>(&self, value: Option<Arc<V>>, began: Instant) -> CacheEntry<V> {
        let mut fresh_for = self.config.local_ttl;
        if value.is_none() {
            fresh_for = fresh_for.min(self.config.negative_ttl);
        }
        CacheEntry {
            value,
            read_at: began,
            fresh_until: began + self.jittered(fresh_for),
            refresh_failed_at: None,
        }
    }

    pub(super) async fn read_redis<V: CacheValue>(
        &self,
        redis_key: &str,
        began: Instant,
    ) -> Lookup<V> {
        let skipped = Lookup::Miss {
            stale: None,
            fill_token: None,
        };
        let Some(redis) = &self.redis else {
            return skipped;
        };
        if self.pending_invalidations.contains(redis_key) {
            self.count("redis", "miss");
            return skipped;
        }
        let decode = |text: &str| {
            let stored: RedisEntry = serde_json::from_str(text).ok()?;
            let value = match stored.value {
                Some(json) => Some(Arc::new(serde_json::from_str(&json).ok()?)),
                None => None,
            };
            let age = (Utc::now() - stored.read_at).to_std().unwrap_or_default();
            Some(CacheEntry {
                read_at: began.checked_sub(age)?,
                ..self.new_entry(value, began)
            })
        };
        match redis.look_up(redis_key).await {
            Ok(RawLookup::Hit(text, remaining)) => match decode(&text) {
                Some(mut entry) => {
                    self.count("redis", "hit");
                    entry.fresh_until = entry.fresh_until.min(began + remaining);
                    Lookup::Hit(entry)
                }
                // Written by another version of this program: leave it to that.
                None => {
                    self.count("redis", "miss");
                    skipped
                }
            },
            Ok(RawLookup::Miss(text, token)) => {
                self.count("redis", "miss");
                let stale = text.as_deref().and_then(decode);
                let fill_token = Some(token);
                Lookup::Miss { stale, fill_token }
            }
            Err(error) => {
                self.count("redis", "error");
                tracing::debug!(%error, "the cache does without Redis");
                skipped
            }
        }
    }

    /// `false` if the value is out of date already.
    pub(super) async fn fill_redis<V: CacheValue>(
        &self,
        redis_key: &str,
        fill_token: FillToken,
        entry: &CacheEntry<V>,
    ) -> bool {
        let Some(redis) = &self.redis else {
            return true;
        };
        let read_at = Utc::now() - entry.age();
        let encode = |value| serde_json::to_string(&RedisEntry { read_at, value });
        let json = entry
            .value
            .as_deref()
            .map(serde_json::to_string)
            .transpose();
        let text = match json.and_then(encode) {
            Ok(text) => text,
            Err(error) => {
                tracing::error!(%error, "a value can't be written into the cache");
                return true;
            }
        };
        let (fresh_for, retain_for) = match entry.value {
            Some(_) => (
                self.config.ttl,
                self.config.ttl.max(self.config.stale_if_error),
            ),
            None => (self.config.negative_ttl, self.config.negative_ttl),
        };
        let fresh_for = self.jittered(fresh_for);
        match redis
            .fill(redis_key, fill_token, text, fresh_for, retain_for)
            .await
        {
            Ok(filled) => filled,
            Err(error) => {
                tracing::debug!(%error, "Redis does not take what was read");
                true
            }
        }
    }
}
