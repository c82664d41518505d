//! The database schema: whether this binary works on it.

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{CheckResult, HealthCheck};
use crate::storage::database::Database;
use crate::storage::migrations::compatibility::{SchemaState, schema_state};

/// Whether this binary works on the schema. A newer schema that serves this binary is healthy: a rolling
/// upgrade looks like that from the old replicas, and so does the time after a rollback. An incompatible
/// schema is degraded and not unhealthy: some requests may still succeed, and it is the same for all
/// replicas, so that removing one from the load balancer helps no client.
pub(crate) struct MigrationsCheck(pub(crate) Database);

impl HealthCheck for MigrationsCheck {
    fn name(&self) -> &'static str {
        "migrations"
    }

    fn run(&self) -> BoxFuture<'_, anyhow::Result<CheckResult>> {
        Box::pin(async {
            let mut conn = self.0.connection().await?;
            Ok(evaluate_schema(&schema_state(&mut conn).await?))
        })
    }
}

fn evaluate_schema(schema: &SchemaState) -> CheckResult {
    let (is_degraded, details): (bool, Value) = match schema {
        SchemaState::Current => (false, json!({ "schema": "current" })),
        SchemaState::Ahead(newer) => (false, json!({ "schema": "ahead", "versions": newer })),
        SchemaState::Behind(missing) => (true, json!({ "schema": "behind", "versions": missing })),
        SchemaState::Incompatible {
            unknown,
            oldest_compatible,
        } => {
            let oldest = oldest_compatible.as_deref().unwrap_or("not declared");
            let details = json!({ "schema": "incompatible", "versions": unknown, "oldest_compatible": oldest });
            (true, details)
        }
    };
    CheckResult::degraded_if(is_degraded, details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::HealthStatus;

    #[test]
    fn schema_that_does_not_serve_binary_degrades() {
        assert_eq!(
            evaluate_schema(&SchemaState::Current).status,
            HealthStatus::Healthy
        );
        let ahead = evaluate_schema(&SchemaState::Ahead(vec!["7".to_owned()]));
        assert_eq!(ahead.status, HealthStatus::Healthy);
        assert_eq!(ahead.details, json!({"schema": "ahead", "versions": ["7"]}));
        let behind = evaluate_schema(&SchemaState::Behind(vec!["6".to_owned()]));
        assert_eq!(behind.status, HealthStatus::Degraded);
        let incompatible = evaluate_schema(&SchemaState::Incompatible {
            unknown: vec!["7".to_owned()],
            oldest_compatible: Some("7".to_owned()),
        });
        assert_eq!(incompatible.status, HealthStatus::Degraded);
        assert_eq!(incompatible.details["oldest_compatible"], "7");
    }
}
