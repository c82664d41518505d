//! PostgreSQL.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::check::{Check, expects, in_range, in_whole_seconds};
use super::section::section;
use super::ssl_mode::SslMode;
use super::{ConfigError, Secret};

section! {
    /// The database and its connection pool.
    ///
    /// The timeouts nest: a statement gives up before whoever waits for it does. (`statement_timeout` should be
    /// shorter than `http.request_timeout`; the start warns otherwise.)
    pub struct DatabaseConfig {
        /// Where it is: `postgres://user:password@host:5432/database`, with `?sslmode=verify-full` for TLS to a server
        /// whose certificate is checked, `require` for TLS to whoever answers, `disable` (or nothing) for none.
        url: Option<Secret> = None, PostgresUrl;
        /// Kind of server at `url`: `none` for Postgres itself, `transaction` for a pooler such as PgBouncer that lends its
        /// connections for one transaction each, which needs `direct_url` too. See `docs/pgbouncer.md`.
        pooler: Pooler = Pooler::None;
        /// Address of Postgres itself, for connections that no pooler may share: `LISTEN`, locks that last as long as
        /// a session, migrations. Unset: `url`.
        direct_url: Option<Secret> = None, PostgresUrl;
        /// PEM file with the CA that signed the server's certificate; for `verify-full`. Unset: the system's CAs.
        ca_certificate: Option<PathBuf> = None;
        /// Most connections open at once. Stay below the server's `max_connections` over all replicas. Postgres does
        /// most with about two for each of its cores and one for each disk (PostgreSQL wiki, "Number Of Database
        /// Connections"); the default leaves room for those that wait for a lock.
        pool_size: usize = 16, in_range(1..=1000);
        /// Most connections of the second pool, for jobs and probes: a flood of requests can't starve those.
        background_pool_size: usize = 4, in_range(2..=100);
        /// Most connections that a replica opens per second, those that cancel a statement included. Postgres starts a
        /// process for each. The pools can always be opened in full immediately.
        max_new_connections_per_second: u32 = 50, in_range(1..=10_000);
        /// How the connections are named in `pg_stat_activity`.
        application_name: String = "orderly".into(),
            expects("a text of 1 to 63 printable ASCII characters", is_application_name);
    }
    durations {
        /// How long a request waits for a free connection.
        acquire_timeout = Duration::from_secs(2), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
        /// How long opening a connection may take.
        connect_timeout = Duration::from_secs(3), in_range(Duration::from_millis(100)..=Duration::from_mins(1));
        /// How long putting a used connection to use again may take.
        recycle_timeout = Duration::from_secs(1), in_range(Duration::from_millis(10)..=Duration::from_mins(1));
        /// How old a connection may get, less up to a fifth at random: so that a failover or a new password reaches
        /// all of them in time, and not all in the same second.
        max_lifetime = Duration::from_mins(30), in_range(Duration::from_mins(1)..=Duration::from_hours(24));
        /// How long a connection may be idle before it is closed.
        idle_timeout = Duration::from_mins(10), in_range(Duration::from_secs(1)..=Duration::from_hours(24));
        /// TCP keepalive: the first probe after this much silence.
        keepalive = Duration::from_secs(30), in_whole_seconds(Duration::from_secs(1)..=Duration::from_hours(1));
        /// TCP user timeout: how long sent data may stay unacknowledged before the connection counts as broken. Longer
        /// than `statement_timeout`, so that a slow server is not taken for a dead one.
        tcp_user_timeout = Duration::from_secs(15), in_range(Duration::from_secs(1)..=Duration::from_mins(10));
        /// A statement that takes longer is logged, without its values.
        slow_statement_threshold = Duration::from_millis(500), in_range(Duration::from_millis(1)..=Duration::from_mins(1));
        /// `statement_timeout`: how long one statement may run.
        statement_timeout = Duration::from_secs(8), in_range(Duration::from_millis(10)..=Duration::from_mins(10));
        /// `lock_timeout`: how long a statement waits for a row lock. Shorter than `statement_timeout`, which would
        /// otherwise always fire first and hide that a lock was the cause.
        lock_timeout = Duration::from_secs(5), in_range(Duration::from_millis(10)..=Duration::from_mins(10));
        /// `idle_in_transaction_session_timeout`. Ends a transaction whose owner was lost, so that its locks do not
        /// outlive it.
        idle_in_transaction_timeout = Duration::from_secs(10),
            in_range(Duration::from_millis(100)..=Duration::from_hours(1));
    }
}

impl DatabaseConfig {
    /// The URL, for the commands that cannot do without.
    ///
    /// # Errors
    /// Returns an error if it is not set; the message names the variable and shows an example.
    pub fn url(&self) -> Result<&Secret, ConfigError> {
        self.url.as_ref().ok_or_else(|| {
            ConfigError::missing(
                "database.url",
                "for example postgres://user:password@localhost:5432/orderly",
            )
        })
    }

    /// Returns `true` if a connection checks the certificate of its server.
    pub(super) fn verifies_certificates(&self) -> bool {
        [&self.url, &self.direct_url]
            .into_iter()
            .flatten()
            .filter_map(|url| SslMode::parse_url(url.expose()).ok())
            .any(|(mode, _)| mode == SslMode::VerifyFull)
    }

    /// Returns `true` if `url` names no host, but a socket file or only an address.
    pub(super) fn lacks_host(&self) -> bool {
        (self.url.as_ref()).is_some_and(|url| SslMode::url_lacks_host(url.expose()))
    }
}

/// The program between the service and Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Pooler {
    /// None: a connection is a session of Postgres.
    None,
    /// A pooler that lends a session for one transaction.
    Transaction,
}

/// PostgreSQL cuts longer names, and replaces other characters by question marks.
fn is_application_name(name: &str) -> bool {
    (1..=63).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A check of `database.url`, whose error names the parameter that is wrong.
struct PostgresUrl;

impl Check<Option<Secret>> for PostgresUrl {
    fn expected(&self) -> String {
        "a URL such as postgres://user:password@host:5432/database".into()
    }

    fn validate(&self, url: &Option<Secret>) -> Result<(), String> {
        match url.as_ref().map(|url| SslMode::parse_url(url.expose())) {
            Some(Err(fix)) => Err(fix),
            _ => Ok(()),
        }
    }
}
