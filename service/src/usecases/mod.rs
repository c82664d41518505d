//! The use cases (application layer), one file each.
//!
//! A use case owns the transaction: it takes a connection, says what is done
//! together, and decides. It knows nothing of HTTP: the same `cancel_order` could
//! be called by a job or a command.
//!
//! # Transactions
//!
//! `conn.transaction(async |conn| { ... })` (diesel-async) commits when the closure returns `Ok`,
//! and rolls back when it returns `Err`. Four rules keep a transaction short and safe:
//!
//! - **Only SQL inside.** Any other call (HTTP, Redis, a hash) would hold row locks while it waits,
//!   and could not be rolled back.
//! - **One connection.** A second connection from the pool while holding the first deadlocks a full
//!   pool.
//! - **Bounded by the server.** Dropping the future does not end a transaction;
//!   `statement_timeout`, `lock_timeout` and `idle_in_transaction_session_timeout`, set when the
//!   connection is made, do.
//! - **Lock, then decide.** The isolation level is READ COMMITTED, so a row that a decision depends
//!   on is locked first (PostgreSQL manual, 13.3.2).
//!
//! If the connection breaks during `COMMIT`, the commit is unknown (`commit_outcome`). Idempotency
//! keys and conditional requests make a retry safe. If it breaks during `ROLLBACK`, the response
//! reports that error instead of the one that caused the rollback; nothing was committed.
//!
//! The order path pipelines its transaction instead: [`crate::storage::pipeline`].

pub(crate) mod adjust_stock;
pub(crate) mod browse_products;
pub(crate) mod cancel_order;
pub(crate) mod change_product;
pub mod check_invariants;
pub(crate) mod clock;
mod commit_outcome;
pub(crate) mod create_product;
mod database_retry;
mod error;
pub(crate) mod expire_order;
pub(crate) mod log_in;
pub mod place_order;
pub(crate) mod publish_events;
pub mod reconcile_payments;
pub mod register_user;
pub(crate) mod rename_user;
pub(crate) mod seed;
mod services;
pub(crate) mod settle_payment;
pub(crate) mod ship_order;
mod status_change;
pub(crate) mod view_orders;
pub(crate) mod view_profile;

pub use error::UseCaseError;
pub use services::Services;
