//! Counting calls over a sliding window of time, in bounded memory.
//!
//! The window is cut into buckets, and the oldest is forgotten as a whole: a call
//! counts for between nine and ten tenths of the window.

use std::time::Duration;

use tokio::time::Instant;

const BUCKETS: usize = 10;

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallOutcome {
    /// Answered in time.
    Success,
    /// Answered, but slowly.
    Slow,
    /// Not answered.
    Failure,
}

impl CallOutcome {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Slow => "slow",
            Self::Failure => "failure",
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    calls: u32,
    failed: u32,
    slow: u32,
}

/// The calls of the last `length`.
pub(super) struct Window {
    buckets: [Bucket; BUCKETS],
    bucket_length: Duration,
    started_at: Instant,
    /// The number of the bucket that is being filled, counted from `started_at`.
    current: u64,
}

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            buckets: [Bucket::default(); BUCKETS],
            bucket_length: length / BUCKETS as u32,
            started_at: Instant::now(),
            current: 0,
        }
    }

    pub(super) fn length(&self) -> Duration {
        self.bucket_length * BUCKETS as u32
    }

    pub(super) fn record(&mut self, outcome: CallOutcome) {
        self.expire_buckets();
        let bucket = &mut self.buckets[(self.current % BUCKETS as u64) as usize];
        bucket.calls += 1;
        bucket.failed += u32::from(outcome == CallOutcome::Failure);
        bucket.slow += u32::from(outcome == CallOutcome::Slow);
    }

    pub(super) fn calls(&self) -> u32 {
        self.buckets.iter().map(|bucket| bucket.calls).sum()
    }

    pub(super) fn failure_rate(&self) -> f64 {
        self.rate(|bucket| bucket.failed)
    }

    pub(super) fn slow_rate(&self) -> f64 {
        self.rate(|bucket| bucket.slow)
    }

    fn rate(&self, count: impl Fn(&Bucket) -> u32) -> f64 {
        let matching: u32 = self.buckets.iter().map(count).sum();
        f64::from(matching) / f64::from(self.calls().max(1))
    }

    /// Empties the buckets whose time is over.
    fn expire_buckets(&mut self) {
        let bucket_nanos = self.bucket_length.as_nanos().max(1);
        let now =
            u64::try_from(self.started_at.elapsed().as_nanos() / bucket_nanos).unwrap_or(u64::MAX);
        let elapsed_buckets = now.saturating_sub(self.current).min(BUCKETS as u64);
        for n in 1..=elapsed_buckets {
            self.buckets[((self.current + n) % BUCKETS as u64) as usize] = Bucket::default();
        }
        self.current = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn window_slides_by_one_bucket() {
        let mut window = Window::new(10 * SECOND);
        for _ in 0..10 {
            window.record(CallOutcome::Failure);
            advance(SECOND).await;
        }
        // Each call takes the place of the oldest one.
        for failed in (0..10_u32).rev() {
            window.record(CallOutcome::Success);
            assert_eq!(window.calls(), 10);
            let rate = f64::from(failed) / 10.0;
            assert!((window.failure_rate() - rate).abs() < 1e-9, "{failed}");
            advance(SECOND).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pause_within_window_forgets_only_older_calls() {
        let mut window = Window::new(10 * SECOND);
        window.record(CallOutcome::Failure);
        advance(3 * SECOND).await;
        window.record(CallOutcome::Slow);
        advance(8 * SECOND).await;
        window.record(CallOutcome::Success);
        assert_eq!(window.calls(), 2, "the failure is eleven seconds old");
        assert!(window.failure_rate() < 1e-9);
        assert!((window.slow_rate() - 0.5).abs() < 1e-9);
    }

    #[tokio::test(start_paused = true)]
    async fn long_pause_forgets_everything_once() {
        let mut window = Window::new(10 * SECOND);
        window.record(CallOutcome::Failure);
        advance(1000 * SECOND).await;
        window.record(CallOutcome::Success);
        advance(SECOND).await;
        window.record(CallOutcome::Success);
        assert_eq!(window.calls(), 2);
        assert_eq!(window.length(), 10 * SECOND);
    }
}
