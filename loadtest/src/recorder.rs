//! Metrics of a run, counted while it happens.
//!
//! Latencies go into HDR histograms, which keep every value to two or three digits in constant
//! memory: an average hides the waiting, and percentiles of percentiles are none.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use crate::api::RequestOutcome;

/// The longest latency that is told from longer ones, µs.
const MAX_LATENCY_US: u64 = 10 * 60 * 1_000_000;
/// How many points the timeline has at most. When they are used up, each two become one.
const MAX_BUCKETS: usize = 600;

/// What is asked of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    ListProducts,
    GetProduct,
    PlaceOrder,
    GetOrder,
}

impl Endpoint {
    pub fn name(self) -> &'static str {
        match self {
            Self::ListProducts => "GET /v1/products",
            Self::GetProduct => "GET /v1/products/{id}",
            Self::PlaceOrder => "POST /v1/orders",
            Self::GetOrder => "GET /v1/orders/{id}",
        }
    }
}

/// Latencies, and what came of what.
pub struct OutcomeCounters {
    /// µs.
    pub latency: Histogram<u64>,
    pub succeeded: u64,
    pub shed: u64,
    pub rate_limited: u64,
    pub failed: u64,
    /// Why, and how often.
    pub failures: BTreeMap<String, u64>,
}

/// A stretch of time.
#[derive(Clone)]
pub struct TimelineBucket {
    /// µs, of requests.
    pub latency: Histogram<u64>,
    pub succeeded: u64,
    pub rejected: u64,
    pub failed: u64,
}

/// Metrics of a run.
pub struct RunMetrics {
    pub endpoints: BTreeMap<Endpoint, OutcomeCounters>,
    pub iterations: OutcomeCounters,
    /// How much later than they should have customers came, µs: the generator's own fault.
    pub start_delay: Histogram<u64>,
    /// From the beginning on; a request is in the bucket in which its customer should have come.
    pub timeline: Vec<TimelineBucket>,
    pub bucket_width: Duration,
}

/// Counts from `started_at` on; what should have come before is warming up.
pub struct Recorder {
    started_at: Instant,
    metrics: Mutex<RunMetrics>,
}

impl Recorder {
    pub fn new(started_at: Instant) -> Self {
        let metrics = RunMetrics {
            endpoints: BTreeMap::new(),
            iterations: OutcomeCounters::new(),
            start_delay: histogram(3),
            timeline: Vec::new(),
            bucket_width: Duration::from_secs(1),
        };
        Self {
            started_at,
            metrics: Mutex::new(metrics),
        }
    }

    /// A customer came that much later than they should have.
    pub fn record_start_delay(&self, due: Instant, by: Duration) {
        if due >= self.started_at {
            self.metrics().start_delay.saturating_record(micros(by));
        }
    }

    /// A request of a customer who should have come at `due`.
    pub fn record_request(
        &self,
        due: Instant,
        endpoint: Endpoint,
        took: Duration,
        outcome: &RequestOutcome,
    ) {
        let Some(at) = due.checked_duration_since(self.started_at) else {
            return;
        };
        let mut metrics = self.metrics();
        let counters = metrics
            .endpoints
            .entry(endpoint)
            .or_insert_with(OutcomeCounters::new);
        counters.add(took, outcome);
        metrics.bucket_at(at).add(took, outcome);
    }

    /// A whole visit.
    pub fn record_iteration(&self, due: Instant, took: Duration, outcome: &RequestOutcome) {
        if due >= self.started_at {
            self.metrics().iterations.add(took, outcome);
        }
    }

    /// Takes the metrics out.
    pub fn finish(&self) -> RunMetrics {
        let empty = Self::new(self.started_at).metrics;
        let empty = empty.into_inner().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *self.metrics(), empty)
    }

    fn metrics(&self) -> MutexGuard<'_, RunMetrics> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RunMetrics {
    fn bucket_at(&mut self, at: Duration) -> &mut TimelineBucket {
        let mut index = at.div_duration_f64(self.bucket_width) as usize;
        while index >= MAX_BUCKETS {
            self.bucket_width *= 2;
            let pairs = self.timeline.chunks(2).map(|pair| {
                let mut merged = pair[0].clone();
                pair[1..].iter().for_each(|other| merged.merge(other));
                merged
            });
            self.timeline = pairs.collect();
            index /= 2;
        }
        while self.timeline.len() <= index {
            self.timeline.push(TimelineBucket {
                latency: histogram(2),
                succeeded: 0,
                rejected: 0,
                failed: 0,
            });
        }
        &mut self.timeline[index]
    }

    /// All requests together.
    pub fn requests(&self) -> OutcomeCounters {
        let mut all = OutcomeCounters::new();
        for counters in self.endpoints.values() {
            all.merge(counters);
        }
        all
    }
}

impl OutcomeCounters {
    fn new() -> Self {
        Self {
            latency: histogram(3),
            succeeded: 0,
            shed: 0,
            rate_limited: 0,
            failed: 0,
            failures: BTreeMap::new(),
        }
    }

    pub fn count(&self) -> u64 {
        self.succeeded + self.shed + self.rate_limited + self.failed
    }

    fn add(&mut self, took: Duration, outcome: &RequestOutcome) {
        self.latency.saturating_record(micros(took));
        match outcome {
            RequestOutcome::Succeeded => self.succeeded += 1,
            RequestOutcome::Shed => self.shed += 1,
            RequestOutcome::RateLimited => self.rate_limited += 1,
            RequestOutcome::Failed(why) => {
                self.failed += 1;
                *self.failures.entry(why.clone()).or_default() += 1;
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        merge(&mut self.latency, &other.latency);
        self.succeeded += other.succeeded;
        self.shed += other.shed;
        self.rate_limited += other.rate_limited;
        self.failed += other.failed;
        for (reason, count) in &other.failures {
            *self.failures.entry(reason.clone()).or_default() += count;
        }
    }
}

impl TimelineBucket {
    fn add(&mut self, took: Duration, outcome: &RequestOutcome) {
        self.latency.saturating_record(micros(took));
        match outcome {
            RequestOutcome::Succeeded => self.succeeded += 1,
            RequestOutcome::Shed | RequestOutcome::RateLimited => self.rejected += 1,
            RequestOutcome::Failed(_) => self.failed += 1,
        }
    }

    fn merge(&mut self, other: &Self) {
        merge(&mut self.latency, &other.latency);
        self.succeeded += other.succeeded;
        self.rejected += other.rejected;
        self.failed += other.failed;
    }
}

/// Of microseconds, to so many digits.
#[expect(clippy::expect_used, reason = "the bounds are constants that fit")]
pub fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_LATENCY_US, digits).expect("constant bounds")
}

fn merge(into: &mut Histogram<u64>, other: &Histogram<u64>) {
    // Both have the bounds of `histogram`, so that it can't fail.
    let _same_bounds = into.add(other);
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn excludes_warm_up() {
        let started_at = Instant::now() + Duration::from_secs(1);
        let recorder = Recorder::new(started_at);
        for due in [started_at - Duration::from_millis(1), started_at] {
            let took = Duration::from_millis(5);
            recorder.record_request(due, Endpoint::PlaceOrder, took, &RequestOutcome::Shed);
            recorder.record_iteration(due, took, &RequestOutcome::Succeeded);
        }
        let metrics = recorder.finish();
        assert_eq!(metrics.endpoints[&Endpoint::PlaceOrder].shed, 1);
        assert_eq!(metrics.iterations.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn merges_timeline_buckets_of_long_run_without_loss() {
        let started_at = Instant::now();
        let recorder = Recorder::new(started_at);
        for minute in 0..24 * 60 {
            let due = started_at + Duration::from_secs(minute * 60);
            let took = Duration::from_millis(1 + minute);
            recorder.record_request(due, Endpoint::GetProduct, took, &RequestOutcome::Succeeded);
        }
        let metrics = recorder.finish();
        assert!(metrics.timeline.len() <= MAX_BUCKETS);
        assert_eq!(
            metrics
                .timeline
                .iter()
                .map(|bucket| bucket.succeeded)
                .sum::<u64>(),
            1440
        );
        let longest = metrics.timeline.last().unwrap().latency.max();
        assert!(longest >= 1_430_000, "{longest}");
    }
}
