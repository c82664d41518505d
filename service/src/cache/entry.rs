//! What is kept of one answer of the database.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::resilience::deadline::DeadlineExceeded;

/// A value as it goes to Redis and comes back.
pub(super) trait Stored: Sized + Send + Sync + 'static {
    fn to_text(&self) -> serde_json::Result<String>;

    /// `None` for what another version of this program wrote.
    fn from_text(text: &str) -> Option<Self>;
}

/// What a read is told.
#[derive(Debug)]
pub(crate) struct Reading<V> {
    /// `None`: there is no such thing.
    pub(crate) value: Option<Arc<V>>,
    /// If this stands in for the answer of a database that is away: how old it is.
    pub(crate) stale: Option<Duration>,
}

/// Why the database gave no answer.
pub trait LoadError: Clone + From<DeadlineExceeded> + Send + Sync + 'static {
    /// Whether it is away, or too busy; an old answer may stand in then, but not
    /// when we are wrong.
    fn is_outage(&self) -> bool;
}

/// An answer of the database, in the process.
#[derive(Debug)]
pub(super) struct Entry<V> {
    /// `None`: there is no such thing.
    pub(super) value: Option<Arc<V>>,
    /// When the database was asked.
    pub(super) read_at: Instant,
    /// Until then the database is not asked again.
    pub(super) good_until: Instant,
    /// When the database was last asked again and did not answer: since then this
    /// stands in for it.
    pub(super) failed_at: Option<Instant>,
}

// Not derived: that would ask V to be Clone.
impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            ..*self
        }
    }
}

impl<V> Entry<V> {
    pub(super) fn is_good(&self) -> bool {
        Instant::now() < self.good_until
    }

    /// How long ago the database was asked.
    pub(super) fn age(&self) -> Duration {
        self.read_at.elapsed()
    }

    /// Whether it may stand in for a database that is away.
    pub(super) fn may_stand_in(&self, stale_for: Duration) -> bool {
        self.value.is_some() && self.age() < stale_for
    }

    /// The same, known to be out of date.
    pub(super) fn outdated(self) -> Self {
        Self {
            good_until: Instant::now(),
            failed_at: None,
            ..self
        }
    }

    /// The same, after the database did not answer, which is asked again after `pause`.
    pub(super) fn standing_in(self, pause: Duration) -> Self {
        let now = Instant::now();
        Self {
            good_until: now + pause,
            failed_at: Some(now),
            ..self
        }
    }

    pub(super) fn reading(&self) -> Reading<V> {
        Reading {
            value: self.value.clone(),
            stale: self.failed_at.map(|_| self.age()),
        }
    }
}
