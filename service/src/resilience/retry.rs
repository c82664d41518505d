//! Retries: only where they are safe, and never so many that they do harm.
//!
//! Asking again mends a hiccup. But when a dependency is down, retries multiply
//! the load on it at the worst moment: three tries at each of three layers are 27
//! calls. So every retry is paid for from a budget: each call puts in a fraction
//! (`retry.budget_ratio`, 10 to 20 %), each retry takes out one. In good times there is
//! always enough; in bad times retries add at most that fraction ("Site
//! Reliability Engineering", O'Reilly 2016, chapter 21: per-client retry budget).
//!
//! A retry is only made if the wait before it, and a try as long as the last one,
//! still fit into the deadline of the request. The caller sees to it that trying
//! twice does no harm: reads, and writes with an idempotency key.
//!
//! See it break: the tests below.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use prometheus::IntCounterVec;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::deadline;

/// Counted in thousandths, so that a fraction can be put in.
const ONE_RETRY: i64 = 1000;
/// No more than this is saved up: a quiet hour must not pay for a storm.
const MAX_BALANCE: i64 = 10 * ONE_RETRY;

/// What may be spent on retries of one dependency. Clones share it.
#[derive(Clone)]
pub struct RetryBudget {
    balance: Arc<AtomicI64>,
    per_call: i64,
}

impl RetryBudget {
    /// A full budget to which each call adds `ratio` of a retry, from 0 to 1.
    pub fn new(ratio: f64) -> Self {
        Self {
            balance: Arc::new(AtomicI64::new(MAX_BALANCE)),
            per_call: (ratio.clamp(0.0, 1.0) * ONE_RETRY as f64) as i64,
        }
    }

    fn deposit(&self) {
        let add = |balance: i64| Some((balance + self.per_call).min(MAX_BALANCE));
        let _always_some = self
            .balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    fn try_withdraw(&self) -> bool {
        let subtract = |balance: i64| (balance >= ONE_RETRY).then_some(balance - ONE_RETRY);
        self.balance
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, subtract)
            .is_ok()
    }
}

/// How an operation is retried.
#[derive(Clone)]
pub struct Retry {
    /// The wait between two tries.
    pub backoff: Backoff,
    /// Tries in all, at least 1.
    pub max_attempts: u32,
    /// Pays for all but the first.
    pub budget: RetryBudget,
    /// Whom it asks, for the metric.
    pub dependency: &'static str,
    /// `orderly_retries_total{dependency,outcome}`
    pub retries: IntCounterVec,
}

impl Retry {
    /// Tries `operation` until it succeeds, `is_retryable` returns `false` for its error,
    /// or the tries, the budget or the deadline are used up.
    ///
    /// # Errors
    /// Returns the last error of `operation`.
    pub(crate) async fn run<T, E, F>(
        &self,
        mut operation: impl FnMut() -> F,
        is_retryable: impl Fn(&E) -> bool,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut attempts = self.attempts();
        loop {
            match operation().await {
                Err(error) if is_retryable(&error) && attempts.wait_for_next().await => {}
                result => return result,
            }
        }
    }

    /// Begins a series of attempts, the first of them now.
    pub(crate) fn attempts(&self) -> Attempts<'_> {
        self.budget.deposit();
        Attempts {
            retry: self,
            number: 1,
            began: Instant::now(),
        }
    }

    fn count(&self, outcome: &str) {
        let labels = &[self.dependency, outcome];
        self.retries.with_label_values(labels).inc();
    }
}

/// The attempts of one operation, for a loop of the caller's own; see [`Retry::run`].
pub(crate) struct Attempts<'a> {
    retry: &'a Retry,
    number: u32,
    began: Instant,
}

impl Attempts<'_> {
    /// Waits before the next attempt after one that failed. Returns `false` immediately if there
    /// is none, because the attempts, the budget or the deadline are used up.
    pub(crate) async fn wait_for_next(&mut self) -> bool {
        let retry = self.retry;
        if self.number >= retry.max_attempts {
            return false;
        }
        let wait = retry.backoff.delay(self.number, rand::random());
        let needed = wait + self.began.elapsed();
        let fits_deadline = deadline::remaining().is_none_or(|remaining| needed < remaining);
        if !fits_deadline {
            retry.count("deadline_exceeded");
            return false;
        }
        if !retry.budget.try_withdraw() {
            retry.count("budget_exhausted");
            return false;
        }
        retry.count("retried");
        tokio::time::sleep(wait).await;
        self.number += 1;
        self.began = Instant::now();
        true
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Metrics;
    use std::time::Duration;

    fn retry(ratio: f64) -> Retry {
        Retry {
            backoff: Backoff {
                base: Duration::from_millis(100),
                cap: Duration::from_secs(1),
            },
            max_attempts: 3,
            budget: RetryBudget::new(ratio),
            dependency: "database",
            retries: Metrics::new().unwrap().dependencies.retries,
        }
    }

    /// How many retries were made, not paid for, and too late.
    fn outcome_counts(retry: &Retry) -> [u64; 3] {
        ["retried", "budget_exhausted", "deadline_exceeded"].map(|outcome| {
            retry
                .retries
                .with_label_values(&["database", outcome])
                .get()
        })
    }

    async fn count_attempts(retry: &Retry, is_retryable: bool) -> u32 {
        let mut attempts = 0;
        let result: Result<(), &str> = retry
            .run(
                || {
                    attempts += 1;
                    async { Err("no") }
                },
                |_| is_retryable,
            )
            .await;
        assert_eq!(result, Err("no"));
        attempts
    }

    #[tokio::test(start_paused = true)]
    async fn retries_until_success() {
        let mut attempts = 0;
        let result: Result<u32, &str> = retry(0.1)
            .run(
                || {
                    attempts += 1;
                    let outcome = if attempts < 3 {
                        Err("not yet")
                    } else {
                        Ok(attempts)
                    };
                    async move { outcome }
                },
                |_| true,
            )
            .await;
        assert_eq!(result, Ok(3));
    }

    #[tokio::test(start_paused = true)]
    async fn retries_only_retryable_errors() {
        let retry = retry(0.1);
        assert_eq!(count_attempts(&retry, true).await, 3);
        assert_eq!(count_attempts(&retry, false).await, 1);
        assert_eq!(outcome_counts(&retry), [2, 0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn retries_stay_within_budget() {
        let retry = retry(0.1);
        let mut attempts = 0;
        for _ in 0..1000 {
            attempts += count_attempts(&retry, true).await;
        }
        let retries = attempts - 1000;
        assert!(
            (100..=110).contains(&retries),
            "{retries} retries of 1000 calls"
        );
        let [retried, budget_exhausted, _] = outcome_counts(&retry);
        assert_eq!(retried, u64::from(retries));
        assert!(budget_exhausted >= 890, "{budget_exhausted}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_retry_if_attempt_like_last_exceeds_deadline() {
        let mut attempts = 0;
        let slow = || {
            attempts += 1;
            async {
                tokio::time::sleep(Duration::from_millis(600)).await;
                Err::<(), _>("no")
            }
        };
        let retry = retry(1.0);
        let deadline = Instant::now() + Duration::from_secs(1);
        let result = deadline::with_deadline(deadline, retry.run(slow, |_| true)).await;
        // It learns of the failure, instead of running into the deadline.
        assert_eq!(result, Ok(Err("no")));
        assert_eq!(attempts, 1);
        assert_eq!(outcome_counts(&retry), [0, 0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn retries_while_deadline_allows() {
        let retry = retry(1.0);
        let deadline = Instant::now() + Duration::from_secs(60);
        let attempts = deadline::with_deadline(deadline, count_attempts(&retry, true)).await;
        assert_eq!(attempts, Ok(3));
    }

    #[test]
    fn budget_pays_for_ten_retries_in_advance() {
        let budget = RetryBudget::new(0.0);
        assert_eq!((0..20).filter(|_| budget.try_withdraw()).count(), 10);
        budget.deposit();
        assert!(!budget.try_withdraw(), "a ratio of 0 adds nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn no_retry_if_backoff_exceeds_deadline() {
        let retry = Retry {
            backoff: Backoff {
                base: Duration::from_secs(3600),
                cap: Duration::from_secs(3600),
            },
            ..retry(1.0)
        };
        let deadline = Instant::now() + Duration::from_millis(1);
        assert_eq!(
            deadline::with_deadline(deadline, count_attempts(&retry, true))
                .await
                .unwrap(),
            1
        );
    }
}
