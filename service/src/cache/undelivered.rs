//! Invalidations that Redis has yet to be told of.
//!
//! A commit must not wait for Redis, and must not be forgotten because Redis is
//! away just now. So what has changed is noted here, at once, and delivered by a
//! job in batches, again and again until Redis has it. Until then this process
//! does not ask Redis for those keys: it would get the old value back.
//!
//! No larger than there are products, however long Redis is away.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::shared::SharedLayer;
use crate::redis_client::NoRedis;

/// Keys told in one round trip.
const BATCH: usize = 500;

/// The keys, each with the number of its last change.
#[derive(Default)]
pub(super) struct Undelivered {
    noted: Mutex<Noted>,
    wakeup: Notify,
}

#[derive(Default)]
struct Noted {
    keys: HashMap<String, u64>,
    changes: u64,
}

impl Undelivered {
    pub(super) fn note(&self, key: String) {
        let mut noted = self.lock();
        noted.changes += 1;
        let change = noted.changes;
        noted.keys.insert(key, change);
        drop(noted);
        self.wakeup.notify_one();
    }

    pub(super) fn contains(&self, key: &str) -> bool {
        self.lock().keys.contains_key(key)
    }

    /// Waits until there may be something.
    pub(super) async fn noted(&self) {
        self.wakeup.notified().await;
    }

    /// Tells Redis of all there are.
    pub(super) async fn deliver(&self, shared: &SharedLayer) -> Result<(), NoRedis> {
        loop {
            let batch: Vec<(String, u64)> = {
                let noted = self.lock();
                let keys = noted.keys.iter().take(BATCH);
                keys.map(|(key, change)| (key.clone(), *change)).collect()
            };
            if batch.is_empty() {
                return Ok(());
            }
            let keys = batch.iter().map(|(key, _)| key.clone()).collect();
            shared.invalidate(keys).await?;
            let mut noted = self.lock();
            for (key, change) in batch {
                // One that has changed again meanwhile is told again.
                if noted.keys.get(&key) == Some(&change) {
                    noted.keys.remove(&key);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
