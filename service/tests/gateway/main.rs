//! The payment client and the sandbox gateway, together over real HTTP.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

mod answers;
mod failing;
mod paying;
mod restarting;
mod support;
