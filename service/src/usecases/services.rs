//! The services that use cases need.

use std::sync::Arc;

use crate::cache::ProductCache;
use crate::config::OrdersConfig;
use crate::domain::order_status::OrderStatus;
use crate::resilience::retry::Retry;
use crate::secrets::passwords::PasswordHashingPool;
use crate::secrets::tokens::TokenService;
use crate::storage::database::Database;
use crate::storage::error::StorageError;
use crate::storage::job_notifier::JobNotifier;
use crate::telemetry::metrics::BusinessMetrics;

/// What the use cases need (application state). Clones share all of it.
#[derive(Clone)]
pub struct Services {
    /// The connection pool for requests, or for jobs (see `Services::with_database`).
    pub database: Database,
    pub(crate) database_retry: Retry,
    /// Products that were read before.
    pub products: ProductCache<StorageError>,
    pub(crate) passwords: PasswordHashingPool,
    /// Makes and checks access tokens.
    pub tokens: Arc<TokenService>,
    /// Wakes the jobs.
    pub job_notifier: JobNotifier,
    pub(crate) metrics: BusinessMetrics,
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
    pub(super) fn record_order_status(&self, status: OrderStatus) {
        let status = status.as_str();
        self.metrics
            .order_status_changes
            .with_label_values(&[status])
            .inc();
    }
}
