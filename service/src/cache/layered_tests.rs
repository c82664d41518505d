use std::sync::atomic::{AtomicU32, Ordering};

use prometheus::{IntCounterVec, Opts};
use tokio::runtime::Handle;
use tokio::time::advance;

use super::*;
use crate::cache::pending_invalidations::PendingInvalidations;
use crate::config::CacheConfig;
use crate::resilience::deadline::DeadlineExceeded;
use FakeDatabase::{Fails, Found, Hangs, NotFound, Unavailable};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq)]
enum TestLoadError {
    Unavailable,
    Bug,
}

impl From<DeadlineExceeded> for TestLoadError {
    fn from(_: DeadlineExceeded) -> Self {
        Self::Unavailable
    }
}

impl LoadError for TestLoadError {
    fn is_outage(&self) -> bool {
        *self == Self::Unavailable
    }
}

/// What the database does when it is asked.
#[derive(Clone, Copy)]
enum FakeDatabase {
    Found(u32),
    NotFound,
    Unavailable,
    Hangs,
    Fails,
}

/// A cache without Redis, and how often the database was asked.
struct CacheFixture {
    cache: LayeredCache<String, u32, TestLoadError>,
    loads: Arc<AtomicU32>,
}

impl CacheFixture {
    fn new() -> Self {
        let config = CacheConfig {
            local_ttl: SECOND,
            negative_ttl: SECOND / 2,
            load_timeout: 2 * SECOND,
            stale_if_error: 60 * SECOND,
            ttl_jitter: 0.0,
            ..CacheConfig::default()
        };
        Self::with_config(config)
    }

    fn with_config(config: CacheConfig) -> Self {
        let opts = Opts::new("requests", "requests");
        let context = Context {
            config,
            redis: None,
            pending_invalidations: PendingInvalidations::default(),
            requests: IntCounterVec::new(opts, &["layer", "outcome"]).unwrap(),
        };
        Self {
            cache: LayeredCache::new(Arc::new(context), Handle::current()),
            loads: Arc::default(),
        }
    }

    /// What is answered, and whether it is stale.
    async fn get(&self, database: FakeDatabase) -> Result<(Option<u32>, bool), TestLoadError> {
        let loads = Arc::clone(&self.loads);
        let load = move || {
            loads.fetch_add(1, Ordering::SeqCst);
            async move {
                match database {
                    Found(value) => Ok(Some(value)),
                    NotFound => Ok(None),
                    Unavailable => Err(TestLoadError::Unavailable),
                    Hangs => std::future::pending().await,
                    Fails => Err(TestLoadError::Bug),
                }
            }
        };
        let read = self.cache.get("key".to_owned(), load).await?;
        Ok((read.value.as_deref().copied(), read.stale_age.is_some()))
    }

    fn load_count(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn serves_entry_until_its_ttl_expires() {
    let cache = CacheFixture::new();
    assert_eq!(cache.get(Found(1)).await, Ok((Some(1), false)));
    advance(SECOND / 2).await;
    assert_eq!(cache.get(Found(2)).await, Ok((Some(1), false)));
    advance(SECOND / 2).await;
    assert_eq!(cache.get(Found(3)).await, Ok((Some(3), false)));
    assert_eq!(cache.load_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn negative_entry_expires_sooner() {
    let cache = CacheFixture::new();
    assert_eq!(cache.get(NotFound).await, Ok((None, false)));
    assert_eq!(cache.get(Found(1)).await, Ok((None, false)));
    advance(SECOND / 2).await;
    assert_eq!(cache.get(Found(1)).await, Ok((Some(1), false)));
}

#[tokio::test(start_paused = true)]
async fn reloads_invalidated_entry() {
    let cache = CacheFixture::new();
    assert_eq!(cache.get(Found(1)).await, Ok((Some(1), false)));
    cache.cache.invalidate(&"key".to_owned());
    assert_eq!(cache.get(Found(2)).await, Ok((Some(2), false)));
}

#[tokio::test(start_paused = true)]
async fn serves_stale_entry_while_database_is_unavailable() {
    let cache = CacheFixture::new();
    assert_eq!(
        cache.get(Unavailable).await,
        Err(TestLoadError::Unavailable)
    );
    assert_eq!(cache.get(Found(1)).await, Ok((Some(1), false)));
    cache.cache.invalidate(&"key".to_owned());
    assert_eq!(cache.get(Unavailable).await, Ok((Some(1), true)));
    let load_count = cache.load_count();
    assert_eq!(cache.get(Unavailable).await, Ok((Some(1), true)));
    assert_eq!(
        cache.load_count(),
        load_count,
        "it is not asked again at once"
    );
    advance(61 * SECOND).await;
    assert_eq!(
        cache.get(Unavailable).await,
        Err(TestLoadError::Unavailable)
    );
}

#[tokio::test(start_paused = true)]
async fn does_not_serve_stale_entry_after_bug() {
    let cache = CacheFixture::new();
    assert_eq!(cache.get(Found(1)).await, Ok((Some(1), false)));
    advance(SECOND).await;
    assert_eq!(cache.get(Fails).await, Err(TestLoadError::Bug));
}

#[tokio::test(start_paused = true)]
async fn only_first_read_waits_for_hanging_database() {
    let cache = CacheFixture::new();
    assert_eq!(cache.get(Found(1)).await, Ok((Some(1), false)));
    advance(SECOND).await;
    let began = Instant::now();
    assert_eq!(cache.get(Hangs).await, Ok((Some(1), true)));
    assert_eq!(began.elapsed(), 2 * SECOND, "the load_timeout");

    for _ in 0..8 {
        let began = Instant::now();
        assert_eq!(cache.get(Hangs).await, Ok((Some(1), true)));
        assert_eq!(began.elapsed(), Duration::ZERO);
        advance(SECOND).await;
    }
    assert!(
        cache.load_count() > 2,
        "somebody finds out whether it is back"
    );
}

#[tokio::test(start_paused = true)]
async fn second_read_after_recovery_is_fresh() {
    let cache = CacheFixture::new();
    assert_eq!(cache.get(Found(1)).await, Ok((Some(1), false)));
    advance(SECOND).await;
    assert_eq!(cache.get(Unavailable).await, Ok((Some(1), true)));
    advance(SECOND).await;
    assert_eq!(cache.get(Found(2)).await, Ok((Some(1), true)));
    tokio::task::yield_now().await;
    assert_eq!(cache.get(Unavailable).await, Ok((Some(2), false)));
}

#[tokio::test(start_paused = true)]
async fn jitter_spreads_expiry_of_entries() {
    let cache = CacheFixture::with_config(CacheConfig {
        local_ttl: SECOND,
        ttl_jitter: 0.5,
        ..CacheConfig::default()
    });
    let began = Instant::now();
    let entry = |_| {
        cache
            .cache
            .context
            .new_entry(Some(Arc::new(1)), began)
            .fresh_until
            - began
    };
    let times: Vec<Duration> = (0..100).map(entry).collect();
    let (first, last) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(*first >= SECOND / 2 && *last <= SECOND, "{times:?}");
    assert!(*last - *first > SECOND / 10, "{times:?}");
}
