//! The database schema: whether it is the one that this binary knows.

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::{CheckResult, HealthCheck};
use crate::storage::database::Database;
use crate::storage::migrations::{self, SchemaState};

/// Whether the schema is the one that this binary knows. A newer one does not take
/// the service out: that is what a rolling upgrade looks like from the old replicas.
pub(crate) struct MigrationsCheck(pub(crate) Database);

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::HealthStatus;

    #[test]
    fn other_schema_degrades_and_is_named() {
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
}
