//! Single flight: many ask the same question at once, one goes and finds out.
//!
//! When a popular entry of a cache ends, everybody who wants it misses it in the
//! same moment, and all of them together ask the database for the same row: a
//! stampede, which is worst when the database is slow already. Here the first
//! one starts a flight, and who comes while it is under way waits for its
//! outcome (the name is that of Go's `singleflight` package, 2013).
//!
//! Easy to get wrong, each with a test below:
//!
//! - *The first one leaves* (its client hung up, its deadline is over). The
//!   flight must not end with it, and must not inherit its deadline, so it is a
//!   task of its own. It needs a time limit of its own, too: bound the work.
//! - *The flight panics.* Its key must not stay taken for ever.
//! - *The answer is overtaken.* Somebody changes the row while a flight that has
//!   already read it is under way. Who asks after the change must not be given
//!   the answer from before it, and that answer must not be kept. So a change
//!   makes the flight be [forgotten](SingleFlight::forget): those on board still
//!   get its outcome, they asked before; nobody else boards, and nothing is kept.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::runtime::Handle;
use tracing::Instrument as _;

use super::lock::lock;

/// The flights under way, by key. Clones share them.
pub(crate) struct SingleFlight<K, V> {
    inner: Arc<Mutex<Inner<K, V>>>,
    runtime: Handle,
}

struct Inner<K, V> {
    calls: HashMap<K, InFlightCall<V>>,
    last_id: u64,
}

struct InFlightCall<V> {
    id: u64,
    result: SharedResult<V>,
}

/// Waits for the outcome; `None` if the flight panicked. Dropping it harms nobody.
pub(crate) type SharedResult<V> = Shared<BoxFuture<'static, Option<V>>>;

impl<K, V> Clone for SingleFlight<K, V> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            runtime: self.runtime.clone(),
        }
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// No flights yet. They will run on `main`, which must outlive who asks.
    pub(crate) fn new(runtime: Handle) -> Self {
        let inner = Inner {
            calls: HashMap::new(),
            last_id: 0,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            runtime,
        }
    }

    /// Boards the flight of `key`, or starts one with `work`. A flight that was
    /// not forgotten ends with `keep`, which is given the outcome.
    ///
    /// `look` is a last look whether somebody has just landed with the answer. It,
    /// `keep` and the `then` of [`forget`](Self::forget) never overlap. They are
    /// called under a lock: they must be quick, and must not come back here.
    pub(crate) fn join_or_start<F>(
        &self,
        key: &K,
        lookup: impl FnOnce() -> Option<V>,
        work: impl FnOnce() -> F,
        store: impl FnOnce(&V) + Send + 'static,
    ) -> SharedResult<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut inner = lock(&self.inner);
        if let Some(flight) = inner.calls.get(key) {
            return flight.result.clone();
        }
        if let Some(found) = lookup() {
            return std::future::ready(Some(found)).boxed().shared();
        }
        inner.last_id += 1;
        let mut guard = InFlightGuard {
            id: inner.last_id,
            key: key.clone(),
            inner: Arc::clone(&self.inner),
        };
        let work = work();
        let flight = async move {
            let outcome = work.await;
            guard.finish(|| store(&outcome));
            outcome
        };
        let task = self.runtime.spawn(flight.in_current_span());
        let outcome = task.map(Result::ok).boxed().shared();
        let flight = InFlightCall {
            id: inner.last_id,
            result: outcome.clone(),
        };
        inner.calls.insert(key.clone(), flight);
        outcome
    }

    /// What the flight of `key` has found out is out of date: nobody else boards
    /// it, and its outcome is not kept. `then` is called before another can start.
    pub(crate) fn forget(&self, key: &K, then: impl FnOnce()) {
        let mut inner = lock(&self.inner);
        inner.calls.remove(key);
        then();
    }
}

/// Ends the flight when it is dropped, whatever became of it.
struct InFlightGuard<K: Eq + Hash, V> {
    id: u64,
    key: K,
    inner: Arc<Mutex<Inner<K, V>>>,
}

impl<K: Eq + Hash, V> InFlightGuard<K, V> {
    fn finish(&mut self, store: impl FnOnce()) {
        let mut inner = lock(&self.inner);
        let flight = inner.calls.get(&self.key);
        if flight.is_some_and(|flight| flight.id == self.id) {
            inner.calls.remove(&self.key);
            store();
        }
    }
}

impl<K: Eq + Hash, V> Drop for InFlightGuard<K, V> {
    fn drop(&mut self) {
        self.finish(|| ());
    }
}

#[cfg(test)]
#[expect(clippy::panic, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::resilience::deadline;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;
    use tokio::sync::Semaphore;
    use tokio::time::Instant;

    /// Flights of one key that land when they are allowed to.
    struct SingleFlightFixture {
        single_flight: SingleFlight<&'static str, u32>,
        stored: Arc<Mutex<Vec<u32>>>,
        finish_permits: Arc<Semaphore>,
        started: Arc<AtomicU32>,
    }

    impl SingleFlightFixture {
        fn new() -> Self {
            Self {
                single_flight: SingleFlight::new(Handle::current()),
                stored: Arc::default(),
                finish_permits: Arc::new(Semaphore::new(0)),
                started: Arc::default(),
            }
        }

        /// The outcome of a flight is its number.
        fn join_or_start(&self) -> SharedResult<u32> {
            let (runway, taken_off) = (Arc::clone(&self.finish_permits), Arc::clone(&self.started));
            let kept = Arc::clone(&self.stored);
            let work = || {
                let number = taken_off.fetch_add(1, Ordering::SeqCst) + 1;
                async move {
                    let _clear = runway.acquire().await;
                    number
                }
            };
            let keep = move |number: &u32| lock(&kept).push(*number);
            self.single_flight
                .join_or_start(&"key", || None, work, keep)
        }

        fn stored(&self) -> Vec<u32> {
            lock(&self.stored).clone()
        }
    }

    #[tokio::test]
    async fn who_comes_while_one_is_under_way_boards_it() {
        let airport = SingleFlightFixture::new();
        let callers: Vec<_> = (0..100).map(|_| airport.join_or_start()).collect();
        airport.finish_permits.add_permits(1);
        for outcome in futures_util::future::join_all(callers).await {
            assert_eq!(outcome, Some(1));
        }
        assert_eq!(airport.stored(), [1]);
        assert_eq!(airport.join_or_start().await, Some(2), "it has landed");
    }

    #[tokio::test]
    async fn who_comes_after_a_change_does_not_get_the_answer_from_before_it() {
        let airport = SingleFlightFixture::new();
        let before = airport.join_or_start();
        airport.single_flight.forget(&"key", || ());
        let after = airport.join_or_start();
        airport.finish_permits.add_permits(2);
        assert_eq!((before.await, after.await), (Some(1), Some(2)));
        assert_eq!(airport.stored(), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_flight_goes_on_when_the_first_one_leaves() {
        let airport = SingleFlightFixture::new();
        let impatient = Instant::now() + Duration::from_millis(1);
        let left = deadline::with_deadline(impatient, airport.join_or_start()).await;
        assert!(left.is_err());
        let patient = airport.join_or_start();
        airport.finish_permits.add_permits(1);
        assert_eq!(patient.await, Some(1));
        assert_eq!(airport.stored(), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_inherit_the_deadline_of_the_first_one() {
        let flights = SingleFlight::new(Handle::current());
        let soon = Instant::now() + Duration::from_secs(1);
        let board = async {
            let work = || async { deadline::remaining() };
            flights.join_or_start(&"key", || None, work, |_| ()).await
        };
        assert_eq!(deadline::with_deadline(soon, board).await, Ok(Some(None)));
    }

    #[tokio::test]
    async fn a_flight_that_panics_is_over() {
        let flights = SingleFlight::<_, u32>::new(Handle::current());
        let crash = || async { panic!("lost a wing") };
        assert_eq!(
            flights.join_or_start(&"key", || None, crash, |_| ()).await,
            None
        );
        let next = || async { 7 };
        assert_eq!(
            flights.join_or_start(&"key", || None, next, |_| ()).await,
            Some(7)
        );
    }

    #[tokio::test]
    async fn no_flight_starts_when_one_has_just_landed() {
        let flights = SingleFlight::new(Handle::current());
        let work = || async { 2 };
        let outcome = flights
            .join_or_start(&"key", || Some(1), work, |_| ())
            .await;
        assert_eq!(outcome, Some(1));
    }
}
