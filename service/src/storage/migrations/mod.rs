//! Schema migrations, embedded in the binary.
//!
//! # Problem
//!
//! A migration waits for the open transactions on a table, and every later statement on that table
//! waits behind the migration. One forgotten transaction so stops all orders. And a schema that is
//! newer than a replica must not keep that replica from starting: a rollback, or one more replica of
//! the version before, is most needed when a release has gone wrong.
//!
//! # How it works
//!
//! - `orderly migrate` applies the missing migrations (`runner.rs`). A lock that is not granted within
//!   [`LOCK_TIMEOUT`] fails the attempt; the migration is rolled back and retried after a pause in which
//!   the waiting requests run.
//! - Each migration declares the oldest version that works on its schema. The declaration is stored with
//!   the migration in the database, so that an older binary can read it (`compatibility.rs`).
//! - The table `__diesel_schema_migrations` is the one of diesel's command line tool, with one more column.
//!
//! # Pitfalls
//!
//! - A session that waits in `pg_advisory_lock` has a snapshot, and `CREATE INDEX CONCURRENTLY` waits for
//!   all older snapshots: two `orderly migrate` would wait for each other. The runner polls instead.
//! - `CREATE INDEX CONCURRENTLY` that is interrupted leaves an invalid index, which `IF NOT EXISTS` takes for
//!   a valid one. Such a migration first drops the index.
//!
//! # Tests
//!
//! `tests/api/storage/migrations.rs`, `tests/process/migrate.rs`, `tests/consistency/migrations.rs` and the drill `migration_under_load`.

pub(crate) mod compatibility;
pub mod progress;
pub mod runner;
mod sessions;
mod table;

use std::time::Duration;

use anyhow::{Context as _, bail};

/// Time a migration may wait for a lock, and customers behind it, before it is retried.
pub const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

const DECLARATION: &str = "-- Oldest compatible version: ";
const NO_TRANSACTION: &str = "-- No transaction: ";

/// A step of the schema: a folder in `migrations/`.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Name of the folder.
    pub name: &'static str,
    /// Text of `up.sql`.
    pub sql: &'static str,
}

macro_rules! embed {
    ($($name:literal),* $(,)?) => {
        &[$(Migration {
            name: $name,
            sql: include_str!(concat!("../../../../migrations/", $name, "/up.sql")),
        }),*]
    };
}

/// Every migration, in the order of their versions.
pub const MIGRATIONS: &[Migration] = embed![
    "2026-11-20-000001_users",
    "2026-11-20-000002_products",
    "2026-11-20-000003_orders",
    "2026-11-20-000004_idempotency_keys",
    "2026-11-20-000005_payment_jobs",
    "2026-11-20-000006_outbox",
    "2026-11-20-000007_trace_context",
    "2026-11-28-000008_response_body",
    "2026-11-28-000009_failure_reason",
    "2026-11-28-000010_jobs",
    "2026-11-29-000011_failure_reason_valid",
    "2026-11-29-000020_search_key",
    "2026-11-29-000021_search_text_index",
    "2026-11-29-000022_email_c_key",
];

impl Migration {
    /// Returns the digits before the first underscore of the name, as diesel's command line tool does.
    pub fn version(&self) -> String {
        let (version, _) = self.name.split_once('_').unwrap_or((self.name, ""));
        version.replace('-', "")
    }

    /// Returns the version of the oldest release that works on the schema after this migration: the newest
    /// migration which that release knows.
    ///
    /// # Errors
    /// Returns an error if the file does not declare it.
    pub fn oldest_compatible(&self) -> anyhow::Result<&'static str> {
        let declared = self.header(DECLARATION).with_context(|| {
            format!(
                "the migration {} lacks the line `{DECLARATION}VERSION`",
                self.name
            )
        })?;
        if declared.is_empty() || *declared > *self.version() {
            bail!(
                "the migration {} declares the version {declared:?}: it must be its own or an earlier one",
                self.name
            );
        }
        Ok(declared)
    }

    /// Returns the statements of a migration that runs outside a transaction (`CREATE INDEX CONCURRENTLY`), or
    /// `None` if it runs in one.
    pub fn statements_outside_transaction(&self) -> Option<Vec<&'static str>> {
        self.header(NO_TRANSACTION)?;
        let statements = self.sql.split_inclusive(";\n").map(str::trim);
        Some(statements.filter(|sql| !sql.is_empty()).collect())
    }

    fn header(&self, key: &str) -> Option<&'static str> {
        let mut comments = self.sql.lines().take_while(|line| line.starts_with("--"));
        comments
            .find_map(|line| line.strip_prefix(key))
            .map(str::trim)
    }
}

/// Returns the version of the schema that this binary was built for: its newest migration.
pub fn schema_version() -> String {
    MIGRATIONS
        .last()
        .map(Migration::version)
        .unwrap_or_default()
}
