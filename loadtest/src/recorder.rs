//! What was seen, counted while it happens.
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
const LONGEST: u64 = 10 * 60 * 1_000_000;
/// How many points the timeline has at most. When they are used up, each two become one.
const MOST_SLOTS: usize = 600;

/// What is asked of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    ListProducts,
    ViewProduct,
    PlaceOrder,
    ViewOrder,
}

impl Operation {
    pub fn name(self) -> &'static str {
        match self {
            Self::ListProducts => "GET /v1/products",
            Self::ViewProduct => "GET /v1/products/{id}",
            Self::PlaceOrder => "POST /v1/orders",
            Self::ViewOrder => "GET /v1/orders/{id}",
        }
    }
}

/// Latencies, and what came of what.
pub struct Tally {
    /// µs.
    pub latency: Histogram<u64>,
    pub good: u64,
    pub shed: u64,
    pub limited: u64,
    pub failed: u64,
    /// Why, and how often.
    pub failures: BTreeMap<String, u64>,
}

/// A stretch of time.
#[derive(Clone)]
pub struct Slot {
    /// µs, of requests.
    pub latency: Histogram<u64>,
    pub good: u64,
    pub refused: u64,
    pub failed: u64,
}

/// All that was seen.
pub struct Seen {
    pub operations: BTreeMap<Operation, Tally>,
    pub visits: Tally,
    /// How much later than they should have customers came, µs: the generator's own fault.
    pub late: Histogram<u64>,
    /// From the beginning on; a request is in the slot in which its customer should have come.
    pub timeline: Vec<Slot>,
    pub slot: Duration,
}

/// Counts from `begins` on; what should have come before is warming up.
pub struct Recorder {
    begins: Instant,
    seen: Mutex<Seen>,
}

impl Recorder {
    pub fn new(begins: Instant) -> Self {
        let seen = Seen {
            operations: BTreeMap::new(),
            visits: Tally::new(),
            late: histogram(3),
            timeline: Vec::new(),
            slot: Duration::from_secs(1),
        };
        Self {
            begins,
            seen: Mutex::new(seen),
        }
    }

    /// A customer came that much later than they should have.
    pub fn late(&self, due: Instant, by: Duration) {
        if due >= self.begins {
            self.seen().late.saturating_record(micros(by));
        }
    }

    /// A request of a customer who should have come at `due`.
    pub fn request(
        &self,
        due: Instant,
        operation: Operation,
        took: Duration,
        outcome: &RequestOutcome,
    ) {
        let Some(at) = due.checked_duration_since(self.begins) else {
            return;
        };
        let mut seen = self.seen();
        let tally = seen.operations.entry(operation).or_insert_with(Tally::new);
        tally.add(took, outcome);
        seen.slot_at(at).add(took, outcome);
    }

    /// A whole visit.
    pub fn visit(&self, due: Instant, took: Duration, outcome: &RequestOutcome) {
        if due >= self.begins {
            self.seen().visits.add(took, outcome);
        }
    }

    /// Hands out what was seen.
    pub fn finish(&self) -> Seen {
        let empty = Self::new(self.begins).seen;
        let empty = empty.into_inner().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *self.seen(), empty)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn slot_at(&mut self, at: Duration) -> &mut Slot {
        let mut index = at.div_duration_f64(self.slot) as usize;
        while index >= MOST_SLOTS {
            self.slot *= 2;
            let pairs = self.timeline.chunks(2).map(|pair| {
                let mut merged = pair[0].clone();
                pair[1..].iter().for_each(|other| merged.merge(other));
                merged
            });
            self.timeline = pairs.collect();
            index /= 2;
        }
        while self.timeline.len() <= index {
            self.timeline.push(Slot {
                latency: histogram(2),
                good: 0,
                refused: 0,
                failed: 0,
            });
        }
        &mut self.timeline[index]
    }

    /// All requests together.
    pub fn requests(&self) -> Tally {
        let mut all = Tally::new();
        for tally in self.operations.values() {
            all.merge(tally);
        }
        all
    }
}

impl Tally {
    fn new() -> Self {
        Self {
            latency: histogram(3),
            good: 0,
            shed: 0,
            limited: 0,
            failed: 0,
            failures: BTreeMap::new(),
        }
    }

    pub fn count(&self) -> u64 {
        self.good + self.shed + self.limited + self.failed
    }

    fn add(&mut self, took: Duration, outcome: &RequestOutcome) {
        self.latency.saturating_record(micros(took));
        match outcome {
            RequestOutcome::Succeeded => self.good += 1,
            RequestOutcome::Shed => self.shed += 1,
            RequestOutcome::RateLimited => self.limited += 1,
            RequestOutcome::Failed(why) => {
                self.failed += 1;
                *self.failures.entry(why.clone()).or_default() += 1;
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        merge(&mut self.latency, &other.latency);
        self.good += other.good;
        self.shed += other.shed;
        self.limited += other.limited;
        self.failed += other.failed;
        for (why, times) in &other.failures {
            *self.failures.entry(why.clone()).or_default() += times;
        }
    }
}

impl Slot {
    fn add(&mut self, took: Duration, outcome: &RequestOutcome) {
        self.latency.saturating_record(micros(took));
        match outcome {
            RequestOutcome::Succeeded => self.good += 1,
            RequestOutcome::Shed | RequestOutcome::RateLimited => self.refused += 1,
            RequestOutcome::Failed(_) => self.failed += 1,
        }
    }

    fn merge(&mut self, other: &Self) {
        merge(&mut self.latency, &other.latency);
        self.good += other.good;
        self.refused += other.refused;
        self.failed += other.failed;
    }
}

/// Of microseconds, to so many digits.
#[expect(clippy::expect_used, reason = "the bounds are constants that fit")]
pub fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, digits).expect("constant bounds")
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
    async fn what_came_while_warming_up_does_not_count() {
        let begins = Instant::now() + Duration::from_secs(1);
        let recorder = Recorder::new(begins);
        for due in [begins - Duration::from_millis(1), begins] {
            let took = Duration::from_millis(5);
            recorder.request(due, Operation::PlaceOrder, took, &RequestOutcome::Shed);
            recorder.visit(due, took, &RequestOutcome::Succeeded);
        }
        let seen = recorder.finish();
        assert_eq!(seen.operations[&Operation::PlaceOrder].shed, 1);
        assert_eq!(seen.visits.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_of_a_day_keeps_its_timeline_short_and_loses_nothing() {
        let begins = Instant::now();
        let recorder = Recorder::new(begins);
        for minute in 0..24 * 60 {
            let due = begins + Duration::from_secs(minute * 60);
            let took = Duration::from_millis(1 + minute);
            recorder.request(
                due,
                Operation::ViewProduct,
                took,
                &RequestOutcome::Succeeded,
            );
        }
        let seen = recorder.finish();
        assert!(seen.timeline.len() <= MOST_SLOTS);
        assert_eq!(
            seen.timeline.iter().map(|slot| slot.good).sum::<u64>(),
            1440
        );
        let longest = seen.timeline.last().unwrap().latency.max();
        assert!(longest >= 1_430_000, "{longest}");
    }
}
