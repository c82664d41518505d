//! How the service ends and how it changes, seen from outside the process: the real
//! binary, real signals, real files.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]
#![expect(unreachable_pub, reason = "support is shared by several test binaries")]

#[path = "../support/mod.rs"]
mod support;

mod process;
mod reload;
mod shutdown;
