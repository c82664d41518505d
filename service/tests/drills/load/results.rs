//! The results of a load: attempts, outcomes, latencies and acknowledged orders.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

/// What came of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttemptOutcome {
    /// An answer.
    Status(u16),
    /// No connection, or it broke.
    ConnectionFailed,
    /// No answer within [`CLIENT_TIMEOUT`].
    TimedOut,
}

impl AttemptOutcome {
    /// Whether the client got what they asked for.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Status(200..=299))
    }
}

impl fmt::Display for AttemptOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::ConnectionFailed => f.write_str("broken"),
            Self::TimedOut => f.write_str("hung"),
        }
    }
}

/// What somebody came for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To see a product.
    ViewProduct,
    /// To order one.
    PlaceOrder,
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    pub began: Instant,
    pub ended: Instant,
    pub action: Action,
    /// Which product it was about.
    pub product: usize,
    pub outcome: AttemptOutcome,
}

/// The results of all attempts.
#[derive(Default)]
pub struct LoadResults {
    /// Every request, by its end.
    pub attempts: Vec<Attempt>,
    /// The order that each key was told of; none while nobody was told of any.
    pub orders: BTreeMap<String, Option<String>>,
    /// Whether buyers send only once and may go without.
    pub retries_disabled: bool,
}

impl LoadResults {
    /// Nobody saw anything else.
    #[track_caller]
    pub fn assert_outcomes(&self, allowed: &[AttemptOutcome]) {
        let other = |attempt: &&Attempt| !allowed.contains(&attempt.outcome);
        let unexpected: Vec<_> = self.attempts.iter().filter(other).collect();
        assert!(
            unexpected.is_empty(),
            "{self}, of which {} are not allowed: {:?}",
            unexpected.len(),
            unexpected[0]
        );
    }

    /// Nobody who only wanted to see a product was refused.
    #[track_caller]
    pub fn assert_reads_succeeded(&self) {
        let failed = |attempt: &&Attempt| {
            attempt.action == Action::ViewProduct && !attempt.outcome.is_good()
        };
        let failed: Vec<_> = self.attempts.iter().filter(failed).collect();
        assert!(failed.is_empty(), "{} were: {:?}", failed.len(), failed[0]);
    }

    /// Nobody waited longer for an answer, whatever it was.
    #[track_caller]
    pub fn assert_latency_below(&self, limit: Duration) {
        let latency = self.max_latency(|_| true);
        assert!(latency <= limit, "a request took {latency:?}");
    }

    /// The same of those who were refused.
    #[track_caller]
    pub fn assert_rejection_latency_below(&self, limit: Duration) {
        let latency = self.max_latency(|attempt| attempt.outcome == AttemptOutcome::Status(503));
        assert!(latency <= limit, "a request was rejected after {latency:?}");
    }

    /// The longest wait among some of them.
    pub fn max_latency(&self, filter: impl Fn(&Attempt) -> bool) -> Duration {
        let latencies = self.attempts.iter().filter(|attempt| filter(attempt));
        let latencies = latencies.map(|attempt| attempt.ended - attempt.began);
        latencies.max().unwrap_or_default()
    }

    /// How many were under way at that moment, and lost their connection.
    pub fn interrupted_at(&self, moment: Instant) -> usize {
        let cut_off = |attempt: &&Attempt| {
            let under_way = attempt.began < moment && moment < attempt.ended;
            under_way && attempt.outcome == AttemptOutcome::ConnectionFailed
        };
        self.attempts.iter().filter(cut_off).count()
    }

    /// How many had that outcome since then.
    pub fn count_since(&self, since: Instant, outcome: AttemptOutcome) -> usize {
        let attempts = self.attempts.iter();
        let counted =
            attempts.filter(|attempt| attempt.ended >= since && attempt.outcome == outcome);
        counted.count()
    }

    /// The products that were seen.
    pub fn viewed_products(&self) -> BTreeSet<usize> {
        let views = self
            .attempts
            .iter()
            .filter(|attempt| attempt.action == Action::ViewProduct);
        views.map(|attempt| attempt.product).collect()
    }

    /// When the last bad answer came that was asked for after `since`, and how many
    /// good ones were asked for after it.
    pub fn recovery_since(&self, since: Instant) -> (Instant, usize) {
        let attempts_since = || {
            self.attempts
                .iter()
                .filter(|attempt| attempt.began >= since)
        };
        let failed = attempts_since().filter(|attempt| !attempt.outcome.is_good());
        let last_bad = failed.map(|attempt| attempt.ended).max().unwrap_or(since);
        (
            last_bad,
            attempts_since()
                .filter(|attempt| attempt.began > last_bad)
                .count(),
        )
    }
}

impl fmt::Display for LoadResults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: BTreeMap<AttemptOutcome, usize> = BTreeMap::new();
        for attempt in &self.attempts {
            *counts.entry(attempt.outcome).or_default() += 1;
        }
        let parts = counts.iter().map(|(outcome, n)| format!("{outcome} x{n}"));
        f.write_str(&parts.collect::<Vec<_>>().join(", "))
    }
}
