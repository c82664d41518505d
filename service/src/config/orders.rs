//! Orders.

use std::time::Duration;

use super::check::in_range;
use super::section::section;

section! {
    /// How long an order may stay unpaid, and how a repeated one is recognised by its `Idempotency-Key`.
    pub struct OrdersConfig {}
    durations {
        /// Time from placing an order until it expires if it is unpaid: its charge is cancelled or refunded, and its
        /// stock goes back.
        payment_window = Duration::from_hours(24), in_range(Duration::from_mins(1)..=Duration::from_hours(720));
        /// How long the response to a key is kept.
        idempotency_key_ttl = Duration::from_hours(24), in_range(Duration::from_mins(1)..=Duration::from_hours(720));
        /// How long a request waits for another one with the same key before 409. Shorter than
        /// `database.lock_timeout`, which ends the same wait with an error instead.
        idempotency_wait_timeout = Duration::from_secs(2), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
    }
}
