//! Load shedding: a limit on requests in flight that finds its own height.
//!
//! A service that takes more than it can do makes everybody wait: queues grow,
//! clients give up, and the work is done for nobody. It is better to do what one
//! can and refuse the rest at once. How much one can, nobody knows in advance: it
//! depends on the machine, the database and the mix of requests. So the limit
//! probes for it, as TCP does for bandwidth: additive increase, multiplicative
//! decrease (D.-M. Chiu and R. Jain, "Analysis of the Increase and Decrease
//! Algorithms for Congestion Avoidance in Computer Networks", 1989).
//!
//! - A request that took longer than `load_shedding.target_latency` has waited for others:
//!   the limit falls by a tenth, at most once in a target latency, since what is
//!   in flight now was let in under the old limit.
//! - One that was served, and quick, while the limit was in use lets it rise, by one
//!   for each round of as many requests as the limit. One that was refused or failed
//!   proves no room: a database that has enough to do is quick to say no.
//! - It stays between `load_shedding.min_limit` and `load_shedding.max_limit`.
//!
//! See it break: the tests below, and the drill `overload`.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::mutex::lock;
use crate::config::LoadSheddingConfig;
use crate::telemetry::metrics::InFlightMetrics;

const DECREASE_FACTOR: f64 = 0.9;

/// The limit. Clones share it.
#[derive(Clone)]
pub(crate) struct InFlightLimit(Arc<InFlightShared>);

struct InFlightShared {
    metrics: InFlightMetrics,
    inner: Mutex<Inner>,
}

struct Inner {
    config: LoadSheddingConfig,
    limit: f64,
    in_flight: u32,
    last_decrease: Instant,
}

impl InFlightLimit {
    /// A limit that begins halfway: at its minimum it would shed the first burst of a
    /// service that has only just started, and has proved nothing.
    pub(crate) fn new(config: LoadSheddingConfig, metrics: InFlightMetrics) -> Self {
        let initial = f64::midpoint(config.min_limit.into(), config.max_limit.into());
        metrics.requests_in_flight_limit.set(initial as i64);
        Self(Arc::new(InFlightShared {
            metrics,
            inner: Mutex::new(Inner {
                limit: initial,
                config,
                in_flight: 0,
                last_decrease: Instant::now(),
            }),
        }))
    }

    /// Uses other bounds from now on.
    pub(crate) fn reconfigure(&self, config: LoadSheddingConfig) {
        let mut inner = self.lock();
        inner.config = config;
        let limit = inner.limit;
        self.set_limit(&mut inner, limit);
    }

    /// Returns a permit for one request, or `None`: shed it.
    pub(crate) fn try_acquire(&self) -> Option<InFlightPermit> {
        let mut inner = self.lock();
        if f64::from(inner.in_flight) >= inner.limit.floor() {
            self.0.metrics.requests_shed.inc();
            return None;
        }
        inner.in_flight += 1;
        self.0
            .metrics
            .requests_in_flight
            .set(inner.in_flight.into());
        Some(InFlightPermit {
            limit: self.clone(),
            began: Instant::now(),
            served: false,
        })
    }

    fn release(&self, elapsed: Duration, served: bool) {
        let mut inner = self.lock();
        let in_use = f64::from(inner.in_flight) >= inner.limit / 2.0;
        inner.in_flight -= 1;
        self.0
            .metrics
            .requests_in_flight
            .set(inner.in_flight.into());
        let target = inner.config.target_latency;
        if elapsed > target {
            if inner.last_decrease.elapsed() >= target {
                inner.last_decrease = Instant::now();
                let limit = inner.limit * DECREASE_FACTOR;
                self.set_limit(&mut inner, limit);
            }
        } else if in_use && served {
            let limit = inner.limit + 1.0 / inner.limit;
            self.set_limit(&mut inner, limit);
        }
    }

    fn set_limit(&self, inner: &mut Inner, limit: f64) {
        let (min, max) = (inner.config.min_limit.into(), inner.config.max_limit.into());
        inner.limit = limit.max(min).min(max);
        self.0
            .metrics
            .requests_in_flight_limit
            .set(inner.limit as i64);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.0.inner)
    }
}

/// The permit of one request; released, with the time it took, when dropped.
pub(crate) struct InFlightPermit {
    limit: InFlightLimit,
    began: Instant,
    served: bool,
}

impl InFlightPermit {
    /// Releases the permit of a request that got what it asked for.
    pub(crate) fn succeed(mut self) {
        self.served = true;
    }
}

impl Drop for InFlightPermit {
    fn drop(&mut self) {
        self.limit.release(self.began.elapsed(), self.served);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;
    use tokio::time::advance;

    fn limit(min: u32, max: u32) -> InFlightLimit {
        let metrics = Metrics::new().unwrap().in_flight;
        let config = LoadSheddingConfig {
            min_limit: min,
            max_limit: max,
            target_latency: Duration::from_millis(100),
        };
        let limit = InFlightLimit::new(config, metrics);
        limit.lock().limit = min.into();
        limit
    }

    /// As many requests at once as are let in.
    fn acquire_all(limit: &InFlightLimit) -> Vec<InFlightPermit> {
        std::iter::from_fn(|| limit.try_acquire()).collect()
    }

    /// The same, served after `millis` each; how many were they?
    async fn serve_round(limit: &InFlightLimit, millis: u64) -> usize {
        let permits = acquire_all(limit);
        advance(Duration::from_millis(millis)).await;
        let count = permits.len();
        permits.into_iter().for_each(InFlightPermit::succeed);
        count
    }

    #[tokio::test(start_paused = true)]
    async fn fast_requests_raise_limit_by_one_per_round_up_to_max() {
        let limit = limit(4, 6);
        let rounds = [
            serve_round(&limit, 10).await,
            serve_round(&limit, 10).await,
            serve_round(&limit, 10).await,
            serve_round(&limit, 10).await,
            serve_round(&limit, 10).await,
            serve_round(&limit, 10).await,
        ];
        assert_eq!(rounds[0], 4);
        assert!(rounds.is_sorted());
        assert_eq!(rounds[1], 4, "by no more than one in a round: {rounds:?}");
        assert_eq!(
            limit
                .0
                .metrics
                .requests_in_flight_limit
                .get()
                .max(rounds[5] as i64),
            6,
            "{rounds:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn slow_requests_lower_limit_once_per_round_down_to_min() {
        let limit = limit(10, 100);
        limit.lock().limit = 50.0;
        assert_eq!(serve_round(&limit, 200).await, 50);
        assert_eq!(
            serve_round(&limit, 200).await,
            45,
            "a tenth, not a tenth for each"
        );
        for _ in 0..50 {
            serve_round(&limit, 200).await;
        }
        assert_eq!(serve_round(&limit, 0).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn failed_requests_never_raise_limit() {
        let limit = limit(10, 100);
        limit.lock().limit = 50.0;
        for _ in 0..10 {
            drop(acquire_all(&limit));
        }
        assert_eq!(limit.lock().limit, 50.0);
        let permits = acquire_all(&limit);
        advance(Duration::from_millis(200)).await;
        drop(permits);
        assert_eq!(limit.lock().limit, 45.0);
    }

    #[tokio::test(start_paused = true)]
    async fn idle_limit_does_not_rise() {
        let limit = limit(10, 100);
        for _ in 0..1000 {
            limit.try_acquire().unwrap().succeed();
        }
        assert_eq!(limit.lock().limit, 10.0);
    }

    #[tokio::test(start_paused = true)]
    async fn half_use_and_exact_target_latency_raise_limit() {
        let limit = limit(10, 100);
        let mut permits = acquire_all(&limit);
        permits.truncate(5);
        limit.lock().limit = 10.0;
        advance(Duration::from_millis(100)).await;
        permits.pop().unwrap().succeed();
        assert_eq!(limit.lock().limit, 10.1);
    }

    #[tokio::test(start_paused = true)]
    async fn limit_falls_again_after_one_target_latency() {
        let limit = limit(10, 100);
        limit.lock().limit = 50.0;
        let permits = acquire_all(&limit);
        advance(Duration::from_millis(101)).await;
        let mut permits = permits.into_iter();
        drop(permits.next());
        assert_eq!(limit.lock().limit, 45.0);
        advance(Duration::from_millis(99)).await;
        drop(permits.next());
        assert_eq!(limit.lock().limit, 45.0);
        advance(Duration::from_millis(1)).await;
        drop(permits.next());
        assert_eq!(limit.lock().limit, 40.5);
    }

    #[tokio::test(start_paused = true)]
    async fn reconfigure_moves_limit_into_new_bounds() {
        let limit = limit(10, 100);
        let config = LoadSheddingConfig {
            min_limit: 20,
            ..limit.lock().config.clone()
        };
        limit.reconfigure(config);
        assert_eq!(limit.lock().limit, 20.0);
        assert_eq!(limit.0.metrics.requests_in_flight_limit.get(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn sheds_and_counts_requests_over_limit() {
        let limit = limit(1, 1);
        let permit = limit.try_acquire().unwrap();
        assert!(limit.try_acquire().is_none());
        assert_eq!(limit.0.metrics.requests_shed.get(), 1);
        drop(permit);
        assert!(limit.try_acquire().is_some());
    }
}
