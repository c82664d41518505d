//! Schema migrations, embedded in the binary.
//!
//! `orderly migrate` applies what is missing; `orderly serve` only looks, and
//! refuses a schema it does not know, older or newer: a service that guesses at
//! columns fails on the first request instead of at the start. Two `migrate` at
//! once are kept apart by an advisory lock, so that each replica of a deployment
//! may run it.

use anyhow::{Context as _, anyhow};
use diesel::migration::{Migration, MigrationSource as _};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_async::{
    AsyncMigrationHarness, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness as _, embed_migrations};

use super::advisory_locks;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../migrations");

/// Whether the database has the schema that this binary was built for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SchemaState {
    /// Exactly this one.
    Current,
    /// These migrations are still to be applied.
    Behind(Vec<String>),
    /// These were applied by a newer binary.
    Ahead(Vec<String>),
}

/// Applies what is missing, each migration in a transaction, and returns the
/// versions applied. Needs the multi-thread runtime.
///
/// # Errors
/// Returns the migration that failed, and why; the ones before it stay applied.
pub async fn apply(mut conn: AsyncPgConnection) -> anyhow::Result<Vec<String>> {
    // A migration may take as long as it takes, and so may the wait for one that
    // is under way; both end with this session.
    conn.batch_execute("SET statement_timeout = 0; SET lock_timeout = 0;")
        .await?;
    diesel::sql_query(format!(
        "SELECT pg_advisory_lock({})",
        advisory_locks::MIGRATIONS
    ))
    .execute(&mut conn)
    .await
    .context("waiting for another migration to end")?;
    let mut harness = AsyncMigrationHarness::new(conn);
    let applied = harness
        .run_pending_migrations(MIGRATIONS)
        .map_err(|error| anyhow!("a migration failed: {error}"))?;
    Ok(applied.iter().map(ToString::to_string).collect())
}

/// Compares the applied migrations with the embedded ones.
///
/// # Errors
/// Returns an error if the applied migrations can't be read.
pub(crate) async fn schema_state(conn: &mut AsyncPgConnection) -> anyhow::Result<SchemaState> {
    let embedded = embedded_versions()?;
    let applied = applied_versions(conn).await?;
    let pending: Vec<String> = difference(&embedded, &applied);
    let unknown: Vec<String> = difference(&applied, &embedded);
    Ok(match (pending.is_empty(), unknown.is_empty()) {
        (_, false) => SchemaState::Ahead(unknown),
        (false, true) => SchemaState::Behind(pending),
        (true, true) => SchemaState::Current,
    })
}

fn embedded_versions() -> anyhow::Result<Vec<String>> {
    let embedded: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS
        .migrations()
        .map_err(|error| anyhow!("the embedded migrations can't be read: {error}"))?;
    Ok(embedded
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect())
}

fn difference(versions: &[String], other: &[String]) -> Vec<String> {
    versions
        .iter()
        .filter(|version| !other.contains(version))
        .cloned()
        .collect()
}

diesel::define_sql_function! {
    /// The table of that name, if there is one.
    fn to_regclass(name: Text) -> Nullable<Oid>;
}

/// The table in which diesel notes what was applied.
mod applied {
    diesel::table! {
        __diesel_schema_migrations (version) {
            version -> Text,
            run_on -> Timestamp,
        }
    }
}
use applied::__diesel_schema_migrations;

async fn applied_versions(conn: &mut AsyncPgConnection) -> anyhow::Result<Vec<String>> {
    let table: Option<u32> = diesel::select(to_regclass("__diesel_schema_migrations"))
        .get_result(conn)
        .await?;
    if table.is_none() {
        return Ok(Vec::new());
    }
    Ok(__diesel_schema_migrations::table
        .select(__diesel_schema_migrations::version)
        .order(__diesel_schema_migrations::version)
        .load(conn)
        .await?)
}
