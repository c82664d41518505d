//! The stories: one file each, from what was asked to what is now true.
//!
//! A use case owns the transaction: it takes a connection, says what is done
//! together, and decides. It knows nothing of HTTP: the same `cancel_order` could
//! be called by a job or a command.

pub mod adjust_stock;
pub mod browse_products;
pub mod cancel_order;
pub mod change_product;
pub mod create_product;
mod error;
pub mod log_in;
pub mod place_order;
pub mod probe;
pub mod profile;
pub mod publish_events;
pub mod register_user;
pub mod seed;
pub mod settle_payment;
pub mod ship_order;
pub mod view_orders;

use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, Utc};

pub use error::UseCaseError;

use crate::config::OrdersConfig;
use crate::secrets::passwords::Passwords;
use crate::secrets::tokens::Tokens;
use crate::storage::database::Database;
use crate::storage::doorbell::Doorbell;

/// What the stories need. Clones share all of it.
#[derive(Clone)]
pub struct Services {
    /// The connection pool.
    pub database: Database,
    /// The bounded hasher.
    pub passwords: Passwords,
    /// Makes and checks access tokens.
    pub tokens: Arc<Tokens>,
    /// Wakes the jobs.
    pub doorbell: Doorbell,
    /// How orders are taken.
    pub orders: OrdersConfig,
}

/// The time, cut to the microseconds that Postgres keeps, so that what is
/// answered now and what is read later are the same.
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
