//! Invalidations that Redis has yet to be told of.
//!
//! A commit must not wait for Redis, and must not be forgotten because Redis is
//! away just now. So what has changed is noted here, at once, and delivered by a
//! job in batches, again and again until Redis has it. Until then this process
//! does not ask Redis for those keys: it would get the old value back.
//!
//! No larger than there are products, however long Redis is away.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::sync::Notify;

use super::redis_layer::RedisLayer;
use crate::redis_client::RedisClientError;
use crate::resilience::mutex::lock;

/// Keys told in one round trip.
const BATCH_SIZE: usize = 500;

/// The keys, each with the number of its last change.
#[derive(Default)]
pub(super) struct PendingInvalidations {
    state: Mutex<State>,
    wakeup: Notify,
}

#[derive(Default)]
struct State {
    keys: HashMap<String, u64>,
    last_sequence: u64,
}

impl PendingInvalidations {
    pub(super) fn insert(&self, key: String) {
        let mut state = lock(&self.state);
        state.last_sequence += 1;
        let sequence = state.last_sequence;
        state.keys.insert(key, sequence);
        drop(state);
        self.wakeup.notify_one();
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        lock(&self.state).keys.contains_key(key)
    }

    /// Waits until there may be something.
    pub(super) async fn inserted(&self) {
        self.wakeup.notified().await;
    }

    /// Tells Redis of all there are.
    pub(super) async fn flush(&self, redis: &RedisLayer) -> Result<(), RedisClientError> {
        loop {
            let batch: Vec<(String, u64)> = {
                let state = lock(&self.state);
                let keys = state.keys.iter().take(BATCH_SIZE);
                keys.map(|(key, sequence)| (key.clone(), *sequence))
                    .collect()
            };
            if batch.is_empty() {
                return Ok(());
            }
            let keys = batch.iter().map(|(key, _)| key.clone()).collect();
            redis.invalidate(keys).await?;
            let mut state = lock(&self.state);
            for (key, sequence) in batch {
                // One that has changed again meanwhile is told again.
                if state.keys.get(&key) == Some(&sequence) {
                    state.keys.remove(&key);
                }
            }
        }
    }
}
