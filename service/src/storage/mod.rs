//! Postgres: the only floor that speaks SQL.
//!
//! One file for each group of tables, functions that take a connection, and no
//! decisions: a use case opens the transaction, calls these, and decides. So a
//! reader sees in the use case what is done together, and here how.
//!
//! What must never be false even if the code above is wrong is a named
//! constraint in `migrations/`; [`error`] gives each name a meaning.

pub mod books;
mod connection;
pub mod database;
pub mod dead_jobs;
pub mod doorbell;
pub mod error;
pub mod idempotency;
pub mod migrations;
pub mod order_record;
pub mod orders;
pub mod outbox;
pub mod payment_jobs;
pub mod payments;
pub mod pipeline;
mod pool_metrics;
pub mod products;
mod rows;
pub mod schema;
pub(crate) mod statement;
mod statement_name;
mod statement_watch;
pub mod stock;
pub mod transaction;
pub mod users;

pub use connection::Connection;
pub use pool_metrics::PoolMetrics;
