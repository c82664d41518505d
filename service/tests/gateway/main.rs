//! The payment client and the sandbox gateway, together over real HTTP.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

mod faults;
mod payments;
mod responses;
mod restart;
mod support;
