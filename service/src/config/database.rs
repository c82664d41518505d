//! PostgreSQL.

use std::time::Duration;

use super::section::{section, within};
use super::{ConfigError, Secret};

section! {
    /// The database and its connection pool.
    ///
    /// The timeouts nest: a statement gives up before whoever waits for it does.
    pub struct DatabaseConfig {
        /// Where it is: `postgres://user:password@host:5432/database`. Commands that need it ask [`Self::url`].
        url: Option<Secret> = None, postgres_url;
        /// Most connections open at once, 1 to 1000. Stay below the server's `max_connections` over all replicas.
        pool_size: usize = 16, within(1..=1000);
        /// How the connections are named in `pg_stat_activity`, 1 to 63 bytes (PostgreSQL cuts longer names).
        application_name: String = "orderly".into(), name_length;
    }
    durations {
        /// How long a request waits for a free connection, 10ms to 1m.
        pool_wait = Duration::from_secs(2), within(Duration::from_millis(10)..=Duration::from_mins(1));
        /// How long opening a connection may take, 100ms to 1m.
        connect_timeout = Duration::from_secs(3), within(Duration::from_millis(100)..=Duration::from_mins(1));
        /// `statement_timeout`: how long one statement may run, 10ms to 10m.
        statement_timeout = Duration::from_secs(8), within(Duration::from_millis(10)..=Duration::from_mins(10));
        /// `lock_timeout`: how long a statement waits for a row lock, 10ms to 10m. Shorter than `statement_timeout`,
        /// which would otherwise always fire first and hide that a lock was the cause.
        lock_timeout = Duration::from_secs(5), within(Duration::from_millis(10)..=Duration::from_mins(10));
        /// `idle_in_transaction_session_timeout`: 100ms to 1h. Ends a transaction whose owner was lost, so that its
        /// locks do not outlive it.
        idle_in_transaction_timeout = Duration::from_secs(10),
            within(Duration::from_millis(100)..=Duration::from_hours(1));
    }
}

impl DatabaseConfig {
    /// The URL, for the commands that cannot do without.
    ///
    /// # Errors
    /// When it is not set; the message names the variable and shows an example.
    pub fn url(&self) -> Result<&Secret, ConfigError> {
        self.url.as_ref().ok_or_else(|| {
            ConfigError::missing(
                "database.url",
                "for example postgres://user:password@localhost:5432/orderly",
            )
        })
    }
}

fn postgres_url(url: &Option<Secret>, (): &()) -> garde::Result {
    match url {
        Some(url) if url.expose().parse::<tokio_postgres::Config>().is_err() => Err(
            garde::Error::new("expected a URL such as postgres://user:password@host:5432/database"),
        ),
        _ => Ok(()),
    }
}

fn name_length(name: &str, (): &()) -> garde::Result {
    match name.len() {
        1..=63 => Ok(()),
        _ => Err(garde::Error::new("allowed: 1 to 63 bytes")),
    }
}
