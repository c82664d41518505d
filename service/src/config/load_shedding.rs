//! Load shedding.

use std::time::Duration;

use super::check::in_range;
use super::section::section;

section! {
    /// The limit on requests in flight, which adapts to how long they take.
    pub struct LoadSheddingConfig {
        /// The limit never falls below this. Not below the pool's size: its connections would idle. At most
        /// `max_limit`.
        min_limit: u32 = 16, in_range(1..=10_000);
        /// The limit never rises above this.
        max_limit: u32 = 512, in_range(1..=100_000);
    }
    durations {
        /// A request that took longer has waited for others: the limit falls.
        target_latency = Duration::from_millis(500), in_range(Duration::from_millis(1)..=Duration::from_mins(1));
    }
}
