//! The payment client against the sandbox gateway, and against broken responses, over real HTTP.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod faults;
mod outcomes;
mod responses;
mod support;
