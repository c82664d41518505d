//! The table of the applied migrations, and one migration with its row in it.

use tokio_postgres::{Client, Error as PgError};

use super::compatibility::{APPLIED, AppliedMigration};
use super::{LOCK_TIMEOUT, Migration};

/// Creates the table that lists the applied migrations, or adds what a table of an earlier version lacks.
pub(super) async fn prepare_table(
    client: &mut Client,
    declared: &[(String, &str)],
) -> Result<(), PgError> {
    let columns = "SELECT count(*) FROM pg_attribute WHERE NOT attisdropped \
         AND attrelid = to_regclass('__diesel_schema_migrations') AND attname IN ('version', 'oldest_compatible')";
    let columns: i64 = client.query_one(columns, &[]).await?.get(0);
    let change = match columns {
        0 => {
            "CREATE TABLE __diesel_schema_migrations (
                version           varchar(50) PRIMARY KEY NOT NULL,
                run_on            timestamp   NOT NULL DEFAULT CURRENT_TIMESTAMP,
                oldest_compatible text)"
        }
        1 => "ALTER TABLE __diesel_schema_migrations ADD COLUMN oldest_compatible text",
        _ => return Ok(()),
    };
    let transaction = client.transaction().await?;
    transaction.batch_execute(change).await?;
    for (version, oldest) in declared {
        let declare =
            "UPDATE __diesel_schema_migrations SET oldest_compatible = $2 WHERE version = $1";
        transaction.execute(declare, &[version, oldest]).await?;
    }
    transaction.commit().await
}

pub(super) async fn apply_one(
    client: &mut Client,
    migration: &Migration,
    version: &str,
    oldest: &str,
) -> Result<(), PgError> {
    let record =
        "INSERT INTO __diesel_schema_migrations (version, oldest_compatible) VALUES ($1, $2)";
    if let Some(statements) = migration.statements_outside_transaction() {
        // CONCURRENTLY blocks no request while it waits.
        client.batch_execute("SET lock_timeout = 0").await?;
        for statement in statements {
            client.batch_execute(statement).await?;
        }
        let reset = format!("SET lock_timeout = {}", LOCK_TIMEOUT.as_millis());
        client.batch_execute(&reset).await?;
        client.execute(record, &[&version, &oldest]).await?;
        return Ok(());
    }
    let transaction = client.transaction().await?;
    transaction.batch_execute(migration.sql).await?;
    transaction.execute(record, &[&version, &oldest]).await?;
    transaction.commit().await
}

pub(super) async fn applied_migrations(client: &Client) -> Result<Vec<AppliedMigration>, PgError> {
    let exists = "SELECT to_regclass('__diesel_schema_migrations') IS NOT NULL";
    if !client.query_one(exists, &[]).await?.get::<_, bool>(0) {
        return Ok(Vec::new());
    }
    let rows = client.query(APPLIED, &[]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}
