//! The use cases (application layer), one file each.
//!
//! A use case owns the transaction: it takes a connection, says what is done
//! together, and decides. It knows nothing of HTTP: the same `cancel_order` could
//! be called by a job or a command.

pub(crate) mod adjust_stock;
pub(crate) mod browse_products;
pub(crate) mod cancel_order;
pub(crate) mod change_product;
pub mod check_invariants;
pub(crate) mod clock;
mod commit_outcome;
pub(crate) mod create_product;
mod error;
pub(crate) mod log_in;
pub mod place_order;
pub(crate) mod publish_events;
mod read_retry;
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
