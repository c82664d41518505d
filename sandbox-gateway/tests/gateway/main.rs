//! The sandbox gateway over real HTTP, as a library and as a process.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]

mod commands;
mod faults;
mod payments;
mod restart;
mod support;
