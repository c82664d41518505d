//! Retries.

use std::time::Duration;

use super::check::in_range;
use super::section::section;

section! {
    /// How often what is safe to repeat is tried again at once, and how much load that may add.
    pub struct RetryConfig {
        /// Attempts in all; 1 never tries again.
        max_attempts: u32 = 2, in_range(1..=5);
        /// Retries for each call, at most, over time; 0.2 is one in five.
        budget_ratio: f64 = 0.1, in_range(0.0..=0.2);
    }
    durations {
        /// The longest wait before the second attempt; it doubles with each further one.
        backoff_base = Duration::from_millis(50), in_range(Duration::from_millis(1)..=Duration::from_secs(10));
        /// The longest wait between two attempts; at least `backoff_base`.
        backoff_cap = Duration::from_secs(1), in_range(Duration::from_millis(1)..=Duration::from_mins(1));
    }
}
