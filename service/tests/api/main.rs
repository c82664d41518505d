//! How the service behaves, seen from outside: over HTTP, on a real Postgres.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may panic"
)]
#![expect(unreachable_pub, reason = "support is shared by several test binaries")]

#[path = "../support/mod.rs"]
mod support;

mod cache;
mod http;
mod jobs;
mod operations;
mod orders;
mod payments;
mod products;
mod rate_limits;
mod smoke;
mod storage;
mod tls;
mod users;
