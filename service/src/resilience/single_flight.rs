//! Single flight: many ask the same question at once, one goes and finds out.
//!
//! When a popular entry of a cache ends, everybody who wants it misses it in the
//! same moment, and all of them together ask the database for the same row: a
//! stampede, which is worst when the database is slow already. Here the first
//! one starts a call, and callers that come while it is in flight wait for its
//! result (the name is that of Go's `singleflight` package, 2013).
//!
//! Easy to get wrong, each with a test below:
//!
//! - *The first caller leaves* (its client hung up, its deadline is over). The
//!   call must not end with it, and must not inherit its deadline, so it is a
//!   task of its own. It needs a time limit of its own, too: bound the work.
//! - *The call panics.* Its key must not stay taken for ever.
//! - *The result is overtaken.* Somebody changes the row while a call that has
//!   already read it is in flight. Callers that come after the change must not be
//!   given the result from before it, and that result must not be stored. So a change
//!   makes the call be [forgotten](SingleFlight::forget): those that have joined it
//!   still get its result, they asked before; nobody else joins, and nothing is stored.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::runtime::Handle;
use tracing::Instrument as _;

use super::mutex::lock;

/// The calls in flight, by key. Clones share them.
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

/// Waits for the result; `None` if the call panicked. Dropping it does not end the call.
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
    /// Has no calls yet. They will run on `runtime`, which must outlive the callers.
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

    /// Joins the call of `key`, or starts one with `work`. A call that was
    /// not forgotten ends with `store`, which is given the result.
    ///
    /// `lookup` checks once more whether a call has just stored a result. It,
    /// `store` and the `then` of [`forget`](Self::forget) never overlap. They are
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
        if let Some(call) = inner.calls.get(key) {
            return call.result.clone();
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
        let run = async move {
            let value = work.await;
            guard.finish(|| store(&value));
            value
        };
        let task = self.runtime.spawn(run.in_current_span());
        let result = task.map(Result::ok).boxed().shared();
        let call = InFlightCall {
            id: inner.last_id,
            result: result.clone(),
        };
        inner.calls.insert(key.clone(), call);
        result
    }

    /// Marks the result of the call of `key` as out of date: nobody else joins
    /// it, and its result is not stored. `then` is called before another can start.
    pub(crate) fn forget(&self, key: &K, then: impl FnOnce()) {
        let mut inner = lock(&self.inner);
        inner.calls.remove(key);
        then();
    }
}

/// Ends the call when it is dropped, whatever became of it.
struct InFlightGuard<K: Eq + Hash, V> {
    id: u64,
    key: K,
    inner: Arc<Mutex<Inner<K, V>>>,
}

impl<K: Eq + Hash, V> InFlightGuard<K, V> {
    fn finish(&mut self, store: impl FnOnce()) {
        let mut inner = lock(&self.inner);
        let call = inner.calls.get(&self.key);
        if call.is_some_and(|call| call.id == self.id) {
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

    /// Calls of one key that finish when they are allowed to.
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

        /// The result of a call is its number.
        fn join_or_start(&self) -> SharedResult<u32> {
            let (permits, started) = (Arc::clone(&self.finish_permits), Arc::clone(&self.started));
            let stored = Arc::clone(&self.stored);
            let work = || {
                let number = started.fetch_add(1, Ordering::SeqCst) + 1;
                async move {
                    let _permit = permits.acquire().await;
                    number
                }
            };
            let store = move |number: &u32| lock(&stored).push(*number);
            self.single_flight
                .join_or_start(&"key", || None, work, store)
        }

        fn stored(&self) -> Vec<u32> {
            lock(&self.stored).clone()
        }
    }

    #[tokio::test]
    async fn callers_join_call_in_flight() {
        let fixture = SingleFlightFixture::new();
        let callers: Vec<_> = (0..100).map(|_| fixture.join_or_start()).collect();
        fixture.finish_permits.add_permits(1);
        for outcome in futures_util::future::join_all(callers).await {
            assert_eq!(outcome, Some(1));
        }
        assert_eq!(fixture.stored(), [1]);
        assert_eq!(fixture.join_or_start().await, Some(2), "it has finished");
    }

    #[tokio::test]
    async fn caller_after_forget_gets_new_result() {
        let fixture = SingleFlightFixture::new();
        let before = fixture.join_or_start();
        fixture.single_flight.forget(&"key", || ());
        let after = fixture.join_or_start();
        fixture.finish_permits.add_permits(2);
        assert_eq!((before.await, after.await), (Some(1), Some(2)));
        assert_eq!(fixture.stored(), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn call_continues_when_first_caller_leaves() {
        let fixture = SingleFlightFixture::new();
        let deadline = Instant::now() + Duration::from_millis(1);
        let first = deadline::with_deadline(deadline, fixture.join_or_start()).await;
        assert!(first.is_err());
        let second = fixture.join_or_start();
        fixture.finish_permits.add_permits(1);
        assert_eq!(second.await, Some(1));
        assert_eq!(fixture.stored(), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn call_does_not_inherit_deadline_of_first_caller() {
        let single_flight = SingleFlight::new(Handle::current());
        let soon = Instant::now() + Duration::from_secs(1);
        let call = async {
            let work = || async { deadline::remaining() };
            single_flight
                .join_or_start(&"key", || None, work, |_| ())
                .await
        };
        assert_eq!(deadline::with_deadline(soon, call).await, Ok(Some(None)));
    }

    #[tokio::test]
    async fn panic_ends_call_and_frees_its_key() {
        let single_flight = SingleFlight::<_, u32>::new(Handle::current());
        let crash = || async { panic!("a bug") };
        assert_eq!(
            single_flight
                .join_or_start(&"key", || None, crash, |_| ())
                .await,
            None
        );
        let next = || async { 7 };
        assert_eq!(
            single_flight
                .join_or_start(&"key", || None, next, |_| ())
                .await,
            Some(7)
        );
    }

    #[tokio::test]
    async fn lookup_hit_starts_no_call() {
        let single_flight = SingleFlight::new(Handle::current());
        let work = || async { 2 };
        let outcome = single_flight
            .join_or_start(&"key", || Some(1), work, |_| ())
            .await;
        assert_eq!(outcome, Some(1));
    }
}
