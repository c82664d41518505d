//! The database: whether it responds, and whether orders can be written.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use diesel_async::AsyncPgConnection;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::{CheckResult, HealthCheck};
use crate::resilience::mutex::lock;
use crate::storage::database::Database;
use crate::storage::error::StorageError;
use crate::storage::session::{WriteAccess, write_access};

/// Whether Postgres responds and accepts orders, on a connection of its own: neither requests nor
/// jobs that hold every connection of their pools can make a healthy Postgres look unavailable.
///
/// A database that can't be written degrades the service, and leaves it ready: reads still work,
/// and all replicas share the database, so an unready replica would only take the reads away too.
pub(crate) struct PostgresCheck {
    database: Database,
    connection: Mutex<Option<(Instant, AsyncPgConnection)>>,
}

/// Time for which a session is kept. A newer one may have other defaults, or reach another server.
const MAX_AGE: Duration = Duration::from_secs(10);

impl PostgresCheck {
    /// Connects at the first run.
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            connection: Mutex::default(),
        }
    }

    /// Asks the kept session, and a new one if that fails or can't write: after a failover the new
    /// one is on another server. A run that is dropped, for it took too long, does not keep its
    /// connection.
    async fn write_access(&self) -> Result<WriteAccess, StorageError> {
        let kept = lock(&self.connection).take();
        if let Some((opened_at, mut conn)) = kept
            && opened_at.elapsed() < MAX_AGE
            && let Ok(access) = write_access(&mut conn).await
            && access.is_writable()
        {
            *lock(&self.connection) = Some((opened_at, conn));
            return Ok(access);
        }
        let mut conn = self.database.probe_connection().await?;
        let access = write_access(&mut conn).await?;
        *lock(&self.connection) = Some((Instant::now(), conn));
        Ok(access)
    }
}

impl HealthCheck for PostgresCheck {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn is_essential(&self) -> bool {
        true
    }

    fn run(&self) -> BoxFuture<'_, anyhow::Result<CheckResult>> {
        Box::pin(async {
            let access = self.write_access().await?;
            Ok(CheckResult::degraded_if(
                !access.is_writable(),
                json!({
                    "writable": access.is_writable(),
                    "in_recovery": access.in_recovery,
                    "read_only": access.read_only,
                    "may_insert": access.may_insert,
                }),
            ))
        })
    }
}
