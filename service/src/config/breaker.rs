//! Circuit breakers.

use std::time::Duration;

use super::check::in_range;
use super::section::section;

section! {
    /// When a breaker opens, and how it finds out that it may close again. The same for every breaker.
    pub struct BreakerConfig {
        /// Calls in the window before it is evaluated at all: two failures of two are no proof.
        minimum_calls: u32 = 10, in_range(1..=10_000);
        /// Share of failed calls in the window at which it opens.
        failure_rate_threshold: f64 = 0.5, in_range(0.01..=1.0);
        /// Share of slow calls in the window at which it opens.
        slow_call_rate_threshold: f64 = 0.8, in_range(0.01..=1.0);
        /// Calls let through to see whether all is well again; all of them must succeed.
        half_open_calls: u32 = 3, in_range(1..=100);
    }
    durations {
        /// How far back it looks.
        window = Duration::from_secs(10), in_range(Duration::from_secs(1)..=Duration::from_mins(10));
        /// A call that takes this long is slow. Shorter than `payments.timeout` and `payments.read_timeout`, after
        /// which a call has failed.
        slow_call_duration_threshold = Duration::from_secs(3), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
        /// The same for Redis, which answers in a millisecond or not at all. Shorter than `redis.response_timeout`,
        /// after which a call has failed.
        redis_slow_call_duration_threshold = Duration::from_millis(100), in_range(Duration::from_millis(1)..=Duration::from_mins(1));
        /// How long it stays open before it lets probes through.
        open_duration = Duration::from_secs(5), in_range(Duration::from_millis(100)..=Duration::from_mins(10));
    }
}

impl BreakerConfig {
    /// The thresholds for Redis.
    #[must_use]
    pub(crate) fn for_redis(&self) -> Self {
        Self {
            slow_call_duration_threshold: self.redis_slow_call_duration_threshold,
            ..self.clone()
        }
    }
}
