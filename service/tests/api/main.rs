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

mod catalogue;
mod events;
mod failures;
mod forgery;
mod http_errors;
mod idempotency;
mod idempotency_waiting;
mod openapi;
mod order_lists;
mod order_refusals;
mod orders;
mod payment_workers;
mod payments;
mod pool;
mod products;
mod races;
mod round_trips;
mod sessions;
mod smoke;
mod stock;
mod users;
