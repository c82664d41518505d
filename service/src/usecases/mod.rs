//! The stories: one file each, from what was asked to what is now true.
//!
//! A use case owns the transaction: it takes a connection, says what is done
//! together, and decides. It knows nothing of HTTP: the same `cancel_order` could
//! be called by a job or a command.

pub(crate) mod adjust_stock;
pub(crate) mod browse_products;
pub(crate) mod cancel_order;
pub(crate) mod change_product;
pub mod check_invariants;
pub(crate) mod create_product;
mod error;
pub(crate) mod log_in;
pub mod place_order;
pub(crate) mod profile;
pub(crate) mod publish_events;
mod read;
pub mod register_user;
pub(crate) mod seed;
pub(crate) mod settle_payment;
pub(crate) mod ship_order;
pub(crate) mod view_orders;

use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, Utc};

pub use error::UseCaseError;

use crate::cache::{InvalidationGuard, ProductCache};
use crate::config::OrdersConfig;
use crate::domain::order_status::OrderStatus;
use crate::resilience::retry::Retry;
use crate::secrets::passwords::PasswordHashingPool;
use crate::secrets::tokens::TokenService;
use crate::storage::database::Database;
use crate::storage::error::StorageError;
use crate::storage::job_notifier::JobNotifier;
use crate::telemetry::metrics::BusinessMetrics;

/// What the stories need. Clones share all of it.
#[derive(Clone)]
pub struct Services {
    /// The connection pool for requests, or for jobs (see [`Services::with_database`]).
    pub database: Database,
    /// How reads are tried again.
    pub(crate) read_retry: Retry,
    /// Products that were read before.
    pub products: ProductCache<StorageError>,
    /// The bounded hasher.
    pub(crate) passwords: PasswordHashingPool,
    /// Makes and checks access tokens.
    pub tokens: Arc<TokenService>,
    /// Wakes the jobs.
    pub job_notifier: JobNotifier,
    /// Counts what came of the stories.
    pub(crate) metrics: BusinessMetrics,
    /// How orders are taken.
    pub(crate) orders: OrdersConfig,
}

impl Services {
    /// The same services on the pool for jobs and probes.
    #[must_use]
    pub(crate) fn with_database(&self, database: Database) -> Self {
        Self {
            database,
            ..self.clone()
        }
    }

    /// Counts an order that has come to `status`, once that is committed.
    fn record_order_status(&self, status: OrderStatus) {
        let status = status.as_str();
        self.metrics
            .order_status_changes
            .with_label_values(&[status])
            .inc();
    }
}

/// Tells the cache what came of a transaction that changes products. Some errors
/// leave open whether it was committed; then it counts as if it was.
fn finish<T>(
    invalidation: InvalidationGuard<StorageError>,
    outcome: Result<T, UseCaseError>,
) -> Result<T, UseCaseError> {
    match &outcome {
        Ok(_) => invalidation.committed(),
        Err(error) if error.is_commit_unknown() => drop(invalidation),
        Err(_) => invalidation.rolled_back(),
    }
    outcome
}

/// The time, cut to the microseconds that Postgres keeps, so that what is
/// answered now and what is read later are the same.
pub(crate) fn current_time() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}
