//! Applies migrations, one `orderly migrate` at a time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error as PgError};
use tokio_util::sync::CancellationToken;

use super::compatibility::{SchemaState, compare, explain_incompatible};
use super::progress::MigrationEvent;
use super::table::{applied_migrations, apply_one, prepare_table};
use super::{LOCK_TIMEOUT, Migration, sessions};
use crate::resilience::backoff::Backoff;
use crate::storage::advisory_locks;

/// Added to a pause of [`LOCK_TIMEOUT`], in which the requests run that waited behind the migration.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(1),
    cap: Duration::from_secs(10),
};
/// Name of the table in messages.
const TABLE: &str = "the table of migrations";
const POLL_INTERVAL: Duration = Duration::from_millis(250);
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// How to run.
pub struct MigrationOptions<'a> {
    /// Time for which a migration is retried that gets no lock.
    pub retry_for: Duration,
    /// Ends a wait when it is cancelled.
    pub stop: CancellationToken,
    /// Receives the progress.
    pub on_event: &'a (dyn Fn(MigrationEvent) + Send + Sync),
}

/// Result of a run.
#[derive(Debug, PartialEq, Eq)]
pub struct AppliedMigrations {
    /// Versions that this run applied.
    pub applied: Vec<String>,
    /// Versions that a newer binary had applied before.
    pub newer: Vec<String>,
}

/// Applies the missing migrations, each in a transaction.
///
/// # Errors
/// Returns an error that names the migration and the reason if one fails or gets no lock; it was rolled back, and the
/// ones before it stay applied. Returns an error if a newer schema no longer serves this binary; nothing was changed.
pub async fn apply(
    client: &mut Client,
    migrations: &[Migration],
    options: MigrationOptions<'_>,
) -> anyhow::Result<AppliedMigrations> {
    let mut runner = Runner { client, options };
    runner.prepare_session().await?;
    runner.acquire_lock().await?;
    let applied = runner.apply_missing(migrations).await;
    // A session that goes on must not keep the lock; if it has broken, the lock is free already.
    let _released = runner
        .client
        .execute(
            "SELECT pg_advisory_unlock($1)",
            &[&advisory_locks::MIGRATIONS],
        )
        .await;
    applied
}

struct Runner<'a> {
    client: &'a mut Client,
    options: MigrationOptions<'a>,
}

impl Runner<'_> {
    /// A migration may run for as long as it needs; it may not wait for a lock for as long.
    async fn prepare_session(&self) -> Result<(), PgError> {
        let lock_timeout = LOCK_TIMEOUT.as_millis();
        let set = format!("SET statement_timeout = 0; SET lock_timeout = {lock_timeout}");
        self.client.batch_execute(&set).await
    }

    async fn acquire_lock(&self) -> anyhow::Result<()> {
        let mut last_report: Option<Instant> = None;
        loop {
            let acquire = "SELECT pg_try_advisory_lock($1)";
            let row = self
                .client
                .query_one(acquire, &[&advisory_locks::MIGRATIONS])
                .await?;
            if row.get(0) {
                return Ok(());
            }
            if last_report.is_none_or(|at| at.elapsed() >= REPORT_INTERVAL) {
                last_report = Some(Instant::now());
                let holder = sessions::lock_holder(self.client).await?;
                (self.options.on_event)(MigrationEvent::Waiting { holder });
            }
            self.pause(POLL_INTERVAL).await?;
        }
    }

    async fn apply_missing(
        &mut self,
        migrations: &[Migration],
    ) -> anyhow::Result<AppliedMigrations> {
        let mut declared = Vec::with_capacity(migrations.len());
        for migration in migrations {
            declared.push((migration.version(), migration.oldest_compatible()?));
        }
        let applied = self
            .retry(TABLE, async |client| applied_migrations(client).await)
            .await?;
        if let SchemaState::Incompatible {
            unknown,
            oldest_compatible,
        } = compare(migrations, &applied)
        {
            bail!(
                "{}",
                explain_incompatible(&unknown, oldest_compatible.as_deref())
            );
        }
        self.retry(TABLE, async |client| prepare_table(client, &declared).await)
            .await?;

        let is_applied = |version: &String| applied.iter().any(|(applied, _)| applied == version);
        let missing = migrations.iter().zip(declared);
        let missing: Vec<_> = missing
            .filter(|(_, (version, _))| !is_applied(version))
            .collect();
        let versions = self.apply_each(missing).await?;
        let newer = applied.into_iter().map(|(version, _)| version);
        let newer =
            newer.filter(|version| !migrations.iter().any(|known| known.version() == *version));
        Ok(AppliedMigrations {
            applied: versions,
            newer: newer.collect(),
        })
    }

    /// Applies migrations, each with its version and declaration, and returns the versions.
    async fn apply_each(
        &mut self,
        missing: Vec<(&Migration, (String, &str))>,
    ) -> anyhow::Result<Vec<String>> {
        if !missing.is_empty() {
            (self.options.on_event)(MigrationEvent::Planned(missing.len()));
        }
        let mut versions = Vec::with_capacity(missing.len());
        for (migration, (version, oldest)) in missing {
            let began = Instant::now();
            let name = format!("the migration {}", migration.name);
            self.retry(&name, async |client| {
                apply_one(client, migration, &version, oldest).await
            })
            .await?;
            (self.options.on_event)(MigrationEvent::Applied {
                version: version.clone(),
                duration: began.elapsed(),
            });
            versions.push(version);
        }
        Ok(versions)
    }

    /// Retries `attempt` while it gets no lock.
    async fn retry<T>(
        &mut self,
        name: &str,
        mut attempt: impl AsyncFnMut(&mut Client) -> Result<T, PgError>,
    ) -> anyhow::Result<T> {
        let began = Instant::now();
        let mut number = 0;
        loop {
            number += 1;
            let error = match attempt(self.client).await {
                Ok(result) => return Ok(result),
                Err(error) => error,
            };
            if !is_lock_conflict(&error) {
                return Err(error_text(&error)).with_context(|| format!("{name} failed"));
            }
            let transactions = sessions::oldest_transactions(self.client).await?;
            let retry_in = LOCK_TIMEOUT + BACKOFF.delay(number, rand::random());
            if began.elapsed() + retry_in > self.options.retry_for {
                bail!(
                    "{name} got no lock in {number} attempts of {LOCK_TIMEOUT:?} each and was rolled \
                     back; open transactions: {transactions}; end the one that holds the table, or run \
                     `orderly migrate` again when it has ended"
                );
            }
            (self.options.on_event)(MigrationEvent::Retrying {
                name: name.to_owned(),
                attempt: number,
                retry_in,
                transactions,
            });
            self.pause(retry_in).await?;
        }
    }

    async fn pause(&self, duration: Duration) -> anyhow::Result<()> {
        let stopped = self.options.stop.cancelled();
        match tokio::time::timeout(duration, stopped).await {
            Ok(()) => bail!("stopped while it waited"),
            Err(_) => Ok(()),
        }
    }
}

/// A deadlock with a request is a lock conflict as well: Postgres picks either of the two.
fn is_lock_conflict(error: &PgError) -> bool {
    let conflicts = [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    error.code().is_some_and(|code| conflicts.contains(code))
}

/// tokio-postgres prints only "db error"; the reason is below it, and begins with the SQLSTATE.
fn error_text(error: &PgError) -> anyhow::Error {
    match error.as_db_error() {
        Some(reason) => anyhow::anyhow!("{}", reason.message()),
        None => anyhow::anyhow!("{error}"),
    }
}
