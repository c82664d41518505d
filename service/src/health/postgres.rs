//! The database: whether it answers.

use std::sync::Mutex;

use diesel_async::AsyncPgConnection;
use futures_util::future::BoxFuture;
use serde_json::json;

use super::{CheckResult, HealthCheck, HealthStatus};
use crate::resilience::mutex::lock;
use crate::storage::database::{Database, ping};
use crate::storage::error::StorageError;

/// Whether Postgres answers. It is asked on a connection of its own: neither
/// requests nor jobs that hold every connection of their pools can make a Postgres
/// that is well look lost.
pub(crate) struct PostgresCheck {
    database: Database,
    connection: Mutex<Option<AsyncPgConnection>>,
}

impl PostgresCheck {
    /// Connects at the first run.
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            connection: Mutex::default(),
        }
    }

    /// A run that is dropped, for it took too long, does not keep its connection.
    async fn round_trip(&self) -> Result<(), StorageError> {
        let kept = lock(&self.connection).take();
        if let Some(mut conn) = kept
            && ping(&mut conn).await.is_ok()
        {
            *lock(&self.connection) = Some(conn);
            return Ok(());
        }
        let mut conn = self.database.dedicated_connection().await?;
        ping(&mut conn).await?;
        *lock(&self.connection) = Some(conn);
        Ok(())
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
            self.round_trip().await?;
            Ok(CheckResult {
                status: HealthStatus::Healthy,
                details: json!({}),
            })
        })
    }
}
