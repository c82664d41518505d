//! The database: whether it answers, has our schema, and how many jobs wait in it.

use std::sync::Mutex;

use diesel_async::AsyncPgConnection;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{CheckResult, HealthCheck, HealthStatus};
use crate::resilience::lock::lock;
use crate::storage::database::{Database, ping};
use crate::storage::error::StorageError;
use crate::storage::migrations::{self, SchemaState};
use crate::storage::payment_jobs::{self, QueueDepth};

/// Whether Postgres answers. It is asked on a connection of its own: neither
/// requests nor jobs that hold every connection of their pools can make a Postgres
/// that is well look lost.
pub(crate) struct PostgresCheck {
    database: Database,
    connection: Mutex<Option<AsyncPgConnection>>,
}

impl PostgresCheck {
    /// Connects at the first look.
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            connection: Mutex::default(),
        }
    }

    /// A look that is given up, for it took too long, does not keep its connection.
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

/// Whether the schema is the one that this binary knows. A newer one does not take
/// the service out: that is what a rolling upgrade looks like from the old replicas.
pub(crate) struct MigrationsCheck(
    /// The pool to ask.
    pub Database,
);

impl HealthCheck for MigrationsCheck {
    fn name(&self) -> &'static str {
        "migrations"
    }

    fn run(&self) -> BoxFuture<'_, anyhow::Result<CheckResult>> {
        Box::pin(async {
            let mut conn = self.0.connection().await?;
            Ok(evaluate_schema(&migrations::schema_state(&mut conn).await?))
        })
    }
}

fn evaluate_schema(schema: &SchemaState) -> CheckResult {
    let details = |schema: &str, versions: &[String]| -> Value {
        json!({ "schema": schema, "versions": versions })
    };
    match schema {
        SchemaState::Current => CheckResult::degraded_if(false, json!({ "schema": "current" })),
        SchemaState::Behind(missing) => CheckResult::degraded_if(true, details("behind", missing)),
        SchemaState::Ahead(unknown) => CheckResult::degraded_if(true, details("ahead", unknown)),
    }
}

/// Whether too many payment jobs wait, or any was given up and waits for a person.
pub(crate) struct JobBacklogCheck {
    /// The pool to ask.
    pub(crate) database: Database,
    /// `health.job_backlog_threshold`
    pub(crate) limit: i64,
}

impl HealthCheck for JobBacklogCheck {
    fn name(&self) -> &'static str {
        "job_backlog"
    }

    fn run(&self) -> BoxFuture<'_, anyhow::Result<CheckResult>> {
        Box::pin(async {
            let mut conn = self.database.connection().await?;
            let QueueDepth { waiting, dead, .. } = payment_jobs::depth(&mut conn).await?;
            Ok(evaluate_backlog(waiting, dead, self.limit))
        })
    }
}

fn evaluate_backlog(waiting: i64, dead: i64, limit: i64) -> CheckResult {
    let details = json!({ "waiting": waiting, "dead_lettered": dead, "limit": limit });
    CheckResult::degraded_if(waiting > limit || dead > 0, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_schema_is_named_and_degrades() {
        assert_eq!(
            evaluate_schema(&SchemaState::Current).status,
            HealthStatus::Healthy
        );
        let ahead = evaluate_schema(&SchemaState::Ahead(vec!["7".to_owned()]));
        assert_eq!(ahead.status, HealthStatus::Degraded);
        assert_eq!(ahead.details, json!({"schema": "ahead", "versions": ["7"]}));
        let behind = evaluate_schema(&SchemaState::Behind(vec!["6".to_owned()]));
        assert_eq!(behind.status, HealthStatus::Degraded);
    }

    #[test]
    fn a_long_queue_and_a_dead_job_degrade() {
        let status = |waiting, dead| evaluate_backlog(waiting, dead, 10).status;
        assert_eq!(status(10, 0), HealthStatus::Healthy);
        assert_eq!(status(11, 0), HealthStatus::Degraded);
        assert_eq!(status(0, 1), HealthStatus::Degraded);
    }
}
