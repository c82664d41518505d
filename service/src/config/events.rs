//! Telling other services.

use std::time::Duration;

use super::check::{in_range, not_blank};
use super::section::section;

section! {
    /// The relay that moves events from the outbox table to a Redis stream.
    pub struct EventsConfig {
        /// Key of the stream.
        stream: String = "orderly:orders".into(), not_blank();
        /// Entries the stream keeps, about (`XADD … MAXLEN ~`).
        max_length: u64 = 100_000, in_range(1000..=100_000_000);
        /// Events moved in one round.
        batch_size: i64 = 100, in_range(1..=1000);
    }
    durations {
        /// How often the relay looks for events when it has none.
        poll_interval = Duration::from_secs(1), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
    }
}
