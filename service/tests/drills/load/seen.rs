//! What the customers of a drill saw.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

/// What came of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// An answer.
    Status(u16),
    /// No connection, or it broke.
    Broken,
    /// No answer within [`CLIENT_TIMEOUT`].
    Hung,
}

impl Outcome {
    /// Whether the customer got what they asked for.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Status(200..=299))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Broken => f.write_str("broken"),
            Self::Hung => f.write_str("hung"),
        }
    }
}

/// What somebody came for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// To see a product.
    Look,
    /// To order one.
    Buy,
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    pub began: Instant,
    pub ended: Instant,
    pub errand: Errand,
    /// Which product it was about.
    pub product: usize,
    pub outcome: Outcome,
}

/// What the customers saw.
#[derive(Default)]
pub struct Seen {
    /// Every request, by its end.
    pub attempts: Vec<Attempt>,
    /// The order that each key was told of; none while nobody was told of any.
    pub orders: BTreeMap<String, Option<String>>,
    /// Whether buyers send only once and may go without.
    pub may_give_up: bool,
}

impl Seen {
    /// Nobody saw anything else.
    #[track_caller]
    pub fn only(&self, allowed: &[Outcome]) {
        let other = |attempt: &&Attempt| !allowed.contains(&attempt.outcome);
        let odd: Vec<_> = self.attempts.iter().filter(other).collect();
        assert!(
            odd.is_empty(),
            "{self}, of which {} are not allowed: {:?}",
            odd.len(),
            odd[0]
        );
    }

    /// Nobody who only wanted to see a product was refused.
    #[track_caller]
    pub fn looking_was_always_possible(&self) {
        let bad = |one: &&Attempt| one.errand == Errand::Look && !one.outcome.is_good();
        let refused: Vec<_> = self.attempts.iter().filter(bad).collect();
        assert!(
            refused.is_empty(),
            "{} were: {:?}",
            refused.len(),
            refused[0]
        );
    }

    /// Nobody waited longer for an answer, whatever it was.
    #[track_caller]
    pub fn nobody_waited_longer_than(&self, limit: Duration) {
        let longest = self.longest_wait(|_| true);
        assert!(longest <= limit, "somebody waited for {longest:?}");
    }

    /// The same of those who were refused.
    #[track_caller]
    pub fn nobody_was_refused_later_than(&self, limit: Duration) {
        let longest = self.longest_wait(|attempt| attempt.outcome == Outcome::Status(503));
        assert!(longest <= limit, "somebody was refused after {longest:?}");
    }

    /// The longest wait among some of them.
    pub fn longest_wait(&self, of: impl Fn(&Attempt) -> bool) -> Duration {
        let waits = self.attempts.iter().filter(|attempt| of(attempt));
        let waits = waits.map(|attempt| attempt.ended - attempt.began);
        waits.max().unwrap_or_default()
    }

    /// How many were under way at that moment, and lost their connection.
    pub fn cut_off_at(&self, moment: Instant) -> usize {
        let cut_off = |attempt: &&Attempt| {
            let under_way = attempt.began < moment && moment < attempt.ended;
            under_way && attempt.outcome == Outcome::Broken
        };
        self.attempts.iter().filter(cut_off).count()
    }

    /// How many had that outcome since then.
    pub fn count_since(&self, since: Instant, outcome: Outcome) -> usize {
        let attempts = self.attempts.iter();
        let counted = attempts.filter(|one| one.ended >= since && one.outcome == outcome);
        counted.count()
    }

    /// The products that were seen.
    pub fn looked_at(&self) -> BTreeSet<usize> {
        let looks = self
            .attempts
            .iter()
            .filter(|one| one.errand == Errand::Look);
        looks.map(|one| one.product).collect()
    }

    /// When the last bad answer came that was asked for after `since`, and how many
    /// good ones were asked for after it.
    pub fn well_since(&self, since: Instant) -> (Instant, usize) {
        let asked = || {
            self.attempts
                .iter()
                .filter(|attempt| attempt.began >= since)
        };
        let bad = asked().filter(|attempt| !attempt.outcome.is_good());
        let last_bad = bad.map(|attempt| attempt.ended).max().unwrap_or(since);
        (
            last_bad,
            asked().filter(|attempt| attempt.began > last_bad).count(),
        )
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tally: BTreeMap<Outcome, usize> = BTreeMap::new();
        for attempt in &self.attempts {
            *tally.entry(attempt.outcome).or_default() += 1;
        }
        let parts = tally.iter().map(|(outcome, n)| format!("{outcome} x{n}"));
        f.write_str(&parts.collect::<Vec<_>>().join(", "))
    }
}
