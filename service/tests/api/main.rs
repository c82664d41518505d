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

mod admin;
mod breaker;
mod browsers;
mod cache;
mod cache_changes;
mod cache_outages;
mod cache_replicas;
mod cache_shutdown;
mod catalogue;
mod deadlines;
mod events;
mod failures;
mod forgery;
mod handing_back;
mod health;
mod http_errors;
mod idempotency;
mod idempotency_waiting;
mod metrics;
mod openapi;
mod openapi_problems;
mod order_lists;
mod order_refusals;
mod orders;
mod payment_reasons;
mod payment_workers;
mod payments;
mod pipeline;
mod plans;
mod pool;
mod products;
mod races;
mod rate_limits;
mod rate_limits_clients;
mod rate_limits_shared;
mod redis_connection;
mod reload;
mod round_trips;
mod sessions;
mod shedding;
mod smoke;
mod stock;
mod tls_postgres;
mod tls_redis;
mod tls_server;
mod users;
