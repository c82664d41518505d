use std::sync::atomic::{AtomicU32, Ordering};

use prometheus::{IntCounterVec, Opts};
use tokio::runtime::Handle;
use tokio::time::advance;

use super::*;
use crate::cache::pending_invalidations::PendingInvalidations;
use crate::config::CacheConfig;
use crate::resilience::deadline::DeadlineExceeded;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq)]
enum Failure {
    Away,
    Bug,
}

impl From<DeadlineExceeded> for Failure {
    fn from(_: DeadlineExceeded) -> Self {
        Self::Away
    }
}

impl LoadError for Failure {
    fn is_outage(&self) -> bool {
        *self == Self::Away
    }
}

impl CacheValue for u32 {
    fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// What the database does when it is asked.
#[derive(Clone, Copy)]
enum Database {
    Has(u32),
    HasNot,
    IsAway,
    Hangs,
    IsWrong,
}

/// A cache without Redis, and how often the database was asked.
struct Shop {
    cache: LayeredCache<String, u32, Failure>,
    asked: Arc<AtomicU32>,
}

impl Shop {
    fn open() -> Self {
        let config = CacheConfig {
            local_ttl: SECOND,
            negative_ttl: SECOND / 2,
            load_timeout: 2 * SECOND,
            stale_for: 60 * SECOND,
            jitter: 0.0,
            ..CacheConfig::default()
        };
        Self::with(config)
    }

    fn with(config: CacheConfig) -> Self {
        let opts = Opts::new("requests", "requests");
        let context = Context {
            config,
            redis: None,
            pending_invalidations: PendingInvalidations::default(),
            requests: IntCounterVec::new(opts, &["layer", "outcome"]).unwrap(),
        };
        Self {
            cache: LayeredCache::new(Arc::new(context), Handle::current()),
            asked: Arc::default(),
        }
    }

    /// What is answered, and whether it is stale.
    async fn ask(&self, database: Database) -> Result<(Option<u32>, bool), Failure> {
        let asked = Arc::clone(&self.asked);
        let load = move || {
            asked.fetch_add(1, Ordering::SeqCst);
            async move {
                match database {
                    Database::Has(value) => Ok(Some(value)),
                    Database::HasNot => Ok(None),
                    Database::IsAway => Err(Failure::Away),
                    Database::Hangs => std::future::pending().await,
                    Database::IsWrong => Err(Failure::Bug),
                }
            }
        };
        let reading = self.cache.get("key".to_owned(), load).await?;
        Ok((reading.value.as_deref().copied(), reading.stale_age.is_some()))
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_spares_the_database_until_its_time_is_over() {
    let shop = Shop::open();
    assert_eq!(shop.ask(Database::Has(1)).await, Ok((Some(1), false)));
    advance(SECOND / 2).await;
    assert_eq!(shop.ask(Database::Has(2)).await, Ok((Some(1), false)));
    advance(SECOND / 2).await;
    assert_eq!(shop.ask(Database::Has(3)).await, Ok((Some(3), false)));
    assert_eq!(shop.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn that_there_is_nothing_holds_for_a_shorter_time() {
    let shop = Shop::open();
    assert_eq!(shop.ask(Database::HasNot).await, Ok((None, false)));
    assert_eq!(shop.ask(Database::Has(1)).await, Ok((None, false)));
    advance(SECOND / 2).await;
    assert_eq!(shop.ask(Database::Has(1)).await, Ok((Some(1), false)));
}

#[tokio::test(start_paused = true)]
async fn what_is_forgotten_is_read_again() {
    let shop = Shop::open();
    assert_eq!(shop.ask(Database::Has(1)).await, Ok((Some(1), false)));
    shop.cache.invalidate(&"key".to_owned());
    assert_eq!(shop.ask(Database::Has(2)).await, Ok((Some(2), false)));
}

#[tokio::test(start_paused = true)]
async fn an_old_entry_stands_in_while_the_database_is_away() {
    let shop = Shop::open();
    assert_eq!(shop.ask(Database::IsAway).await, Err(Failure::Away));
    assert_eq!(shop.ask(Database::Has(1)).await, Ok((Some(1), false)));
    shop.cache.invalidate(&"key".to_owned());
    assert_eq!(shop.ask(Database::IsAway).await, Ok((Some(1), true)));
    let asked = shop.asked();
    assert_eq!(shop.ask(Database::IsAway).await, Ok((Some(1), true)));
    assert_eq!(shop.asked(), asked, "it is not asked again at once");
    advance(61 * SECOND).await;
    assert_eq!(shop.ask(Database::IsAway).await, Err(Failure::Away));
}

#[tokio::test(start_paused = true)]
async fn an_old_entry_does_not_hide_a_bug() {
    let shop = Shop::open();
    assert_eq!(shop.ask(Database::Has(1)).await, Ok((Some(1), false)));
    advance(SECOND).await;
    assert_eq!(shop.ask(Database::IsWrong).await, Err(Failure::Bug));
}

#[tokio::test(start_paused = true)]
async fn only_the_first_waits_for_a_database_that_hangs() {
    let shop = Shop::open();
    assert_eq!(shop.ask(Database::Has(1)).await, Ok((Some(1), false)));
    advance(SECOND).await;
    let began = Instant::now();
    assert_eq!(shop.ask(Database::Hangs).await, Ok((Some(1), true)));
    assert_eq!(began.elapsed(), 2 * SECOND, "the load_timeout");

    for _ in 0..8 {
        let began = Instant::now();
        assert_eq!(shop.ask(Database::Hangs).await, Ok((Some(1), true)));
        assert_eq!(began.elapsed(), Duration::ZERO);
        advance(SECOND).await;
    }
    assert!(shop.asked() > 2, "somebody finds out whether it is back");
}

#[tokio::test(start_paused = true)]
async fn when_the_database_is_back_the_next_answer_but_one_is_its_own() {
    let shop = Shop::open();
    assert_eq!(shop.ask(Database::Has(1)).await, Ok((Some(1), false)));
    advance(SECOND).await;
    assert_eq!(shop.ask(Database::IsAway).await, Ok((Some(1), true)));
    advance(SECOND).await;
    assert_eq!(shop.ask(Database::Has(2)).await, Ok((Some(1), true)));
    tokio::task::yield_now().await;
    assert_eq!(shop.ask(Database::IsAway).await, Ok((Some(2), false)));
}

#[tokio::test(start_paused = true)]
async fn entries_that_were_made_together_do_not_end_together() {
    let shop = Shop::with(CacheConfig {
        local_ttl: SECOND,
        jitter: 0.5,
        ..CacheConfig::default()
    });
    let began = Instant::now();
    let entry = |_| {
        shop.cache
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
