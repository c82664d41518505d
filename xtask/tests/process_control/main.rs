//! Real servers: they start, stop, and leave nothing behind, however their owner ends.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod checkout;
mod servers;
mod services;
