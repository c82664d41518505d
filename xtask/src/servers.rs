//! Finds or installs the programs of Postgres and Redis.

use std::path::PathBuf;

/// The programs of one Postgres installation.
#[derive(Debug, Clone)]
pub struct PostgresPrograms {
    /// The folder with `initdb`, `pg_ctl`, `postgres`, `psql`, `pg_dump` and `pgbench`.
    pub bin: PathBuf,
    /// The major version, which alone can read its data.
    pub major: u32,
}

/// Returns the programs of Postgres, of that major version if one is given.
///
/// # Errors
/// Returns an error with one line that says what to install.
pub fn find_or_install_postgres(_major: Option<u32>) -> anyhow::Result<PostgresPrograms> {
    anyhow::bail!("not yet")
}

/// Returns the program of Redis: `redis-server` or `valkey-server`.
///
/// # Errors
/// Returns an error with one line that says what to install.
pub fn find_or_install_redis() -> anyhow::Result<PathBuf> {
    anyhow::bail!("not yet")
}
