//! What is kept of one answer of the database.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::resilience::deadline::DeadlineExceeded;

/// A value that Redis keeps as JSON.
pub(super) trait CacheValue: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<V: Serialize + DeserializeOwned + Send + Sync + 'static> CacheValue for V {}

/// What a read is told.
#[derive(Debug)]
pub(crate) struct CachedRead<V> {
    /// `None`: there is no such thing.
    pub(crate) value: Option<Arc<V>>,
    /// If this stands in for the answer of a database that is away: how old it is.
    pub(crate) stale_age: Option<Duration>,
}

/// Why the database gave no answer.
pub trait LoadError: Clone + From<DeadlineExceeded> + Send + Sync + 'static {
    /// Whether it is away, or too busy; an old answer may stand in then, but not
    /// when we are wrong.
    fn is_outage(&self) -> bool;
}

/// An answer of the database, in the process.
#[derive(Debug)]
pub(super) struct CacheEntry<V> {
    /// `None`: there is no such thing.
    pub(super) value: Option<Arc<V>>,
    /// When the database was asked.
    pub(super) read_at: Instant,
    /// Until then the database is not asked again.
    pub(super) fresh_until: Instant,
    /// When the database was last asked again and did not answer: since then this
    /// stands in for it.
    pub(super) refresh_failed_at: Option<Instant>,
}

// Not derived: that would ask V to be Clone.
impl<V> Clone for CacheEntry<V> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            ..*self
        }
    }
}

impl<V> CacheEntry<V> {
    pub(super) fn is_fresh(&self) -> bool {
        Instant::now() < self.fresh_until
    }

    /// How long ago the database was asked.
    pub(super) fn age(&self) -> Duration {
        self.read_at.elapsed()
    }

    /// Whether it may stand in for a database that is away.
    pub(super) fn can_serve_stale(&self, stale_for: Duration) -> bool {
        self.value.is_some() && self.age() < stale_for
    }

    /// The same, known to be out of date.
    pub(super) fn into_expired(self) -> Self {
        Self {
            fresh_until: Instant::now(),
            refresh_failed_at: None,
            ..self
        }
    }

    /// The same, after the database did not answer, which is asked again after `retry_after`.
    pub(super) fn into_served_stale(self, retry_after: Duration) -> Self {
        let now = Instant::now();
        Self {
            fresh_until: now + retry_after,
            refresh_failed_at: Some(now),
            ..self
        }
    }

    pub(super) fn to_read(&self) -> CachedRead<V> {
        CachedRead {
            value: self.value.clone(),
            stale_age: self.refresh_failed_at.map(|_| self.age()),
        }
    }
}
