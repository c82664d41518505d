//! Postgres: the only layer that speaks SQL.
//!
//! One file for each group of tables, functions that take a connection, and no
//! decisions: a use case opens the transaction, calls these, and decides. So a
//! reader sees in the use case what is done together, and here how.
//!
//! What must never be false even if the code above is wrong is a named
//! constraint in `migrations/`; [`error`] gives each name a meaning.

mod abandoned_statement;
mod advisory_locks;
mod connection;
mod connection_budget;
mod connector;
pub mod database;
pub mod dead_jobs;
pub mod error;
mod error_response;
pub mod idempotency;
pub(crate) mod invariants;
pub mod job_notifier;
pub mod jobs;
pub mod migrations;
mod open_sessions;
pub mod order_jobs;
pub(crate) mod orders;
pub(crate) mod outbox;
pub(crate) mod payments;
pub mod pipeline;
pub(crate) mod place_order_statement;
mod pool_metrics;
mod pooler;
pub(crate) mod products;
mod query_summary;
pub(crate) mod queue_depth;
mod rows;
pub mod schema;
pub(crate) mod session;
mod session_manager;
mod sqlstate;
mod statement;
mod statement_instrumentation;
pub(crate) mod stock;
mod transport;
pub(crate) mod users;

pub(crate) use connection::Connection;
/// Gives a connection its method `transaction`; see [`crate::usecases`].
pub(crate) use diesel_async::AsyncConnection;
