//! The parameters of a session, and the properties of the server, that the code relies on.
//!
//! # Problem
//!
//! A parameter that the session does not set has the default of the server, the database or the
//! role. After `ALTER DATABASE ... SET default_transaction_isolation = 'repeatable read'`, parallel
//! orders fail with serialization errors, because the code is written for READ COMMITTED.
//!
//! # How it works
//!
//! - [`session_parameters`] is the one list. The connector sends it when it opens a session, which
//!   overrides all defaults ([`startup_options`]).
//! - [`find_unsupported`] checks at the start what no session can set.
//! - Whether the server accepts writes can change at any time. The health check `postgres`
//!   ([`write_access`]) and the error code `25006` ([`super::sqlstate`]) report it.
//!
//! # Pitfalls
//!
//! - `search_path` is `public`. A schema of another name needs a change of the list.
//! - Parameters of the text format (`bytea_output`, `extra_float_digits`) are missing, because values
//!   are read and written in the binary format. `client_encoding` is set by tokio-postgres.
//! - `transaction_timeout` is missing, because servers before 17 reject it. If it expires, the
//!   session ends as after a restart of the server.
//!
//! # Tests
//!
//! `tests/api/storage/session_parameters.rs`.

use std::fmt::Write as _;

use diesel::QueryableByName;
use diesel::sql_types::{Bool, Integer, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};

use super::error::StorageError;
use super::statement::statement;
use crate::config::DatabaseConfig;

/// Oldest supported server: the first one with all of [`FIXED_PARAMETERS`].
const MIN_SERVER_VERSION: i32 = 14;

/// Parameters with the same value in every installation.
const FIXED_PARAMETERS: &[(&str, &str)] = &[
    // Use cases lock a row, then decide on it: they see what was committed before the lock.
    ("default_transaction_isolation", "read committed"),
    // A response is sent after the commit, so the commit must survive a crash.
    ("synchronous_commit", "on"),
    // The pool closes idle sessions.
    ("idle_session_timeout", "0"),
    // Tables have no schema in front of their names.
    ("search_path", "public"),
    // The meaning of literals in statements.
    ("standard_conforming_strings", "on"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
];

/// Returns all parameters of a session, with their values.
pub(super) fn session_parameters(config: &DatabaseConfig) -> Vec<(&'static str, String)> {
    let timeouts = [
        ("statement_timeout", config.statement_timeout),
        ("lock_timeout", config.lock_timeout),
        (
            "idle_in_transaction_session_timeout",
            config.idle_in_transaction_timeout,
        ),
    ];
    let timeouts = timeouts.map(|(name, timeout)| (name, timeout.as_millis().to_string()));
    let fixed = FIXED_PARAMETERS.iter();
    fixed
        .map(|(name, value)| (*name, (*value).to_owned()))
        .chain(timeouts)
        .collect()
}

/// Writes parameters as the startup parameter `options`, in which a backslash escapes a space.
pub(super) fn startup_options(parameters: &[(&str, String)]) -> String {
    let mut options = String::new();
    for (name, value) in parameters {
        let value = value.replace('\\', "\\\\").replace(' ', "\\ ");
        let _infallible = write!(options, "-c {name}={value} ");
    }
    options
}

#[derive(QueryableByName)]
struct ServerProperties {
    #[diesel(sql_type = Integer)]
    version: i32,
    #[diesel(sql_type = Text)]
    encoding: String,
    #[diesel(sql_type = Text)]
    replication_role: String,
}

/// Returns what the service cannot work with, and the fix; `None` if the server is suitable.
///
/// # Errors
/// Returns a [`StorageError`] if the query fails.
pub(crate) async fn find_unsupported(
    conn: &mut AsyncPgConnection,
) -> Result<Option<String>, StorageError> {
    let query = "SELECT current_setting('server_version_num')::int / 10000 AS version, \
                 current_setting('server_encoding') AS encoding, \
                 current_setting('session_replication_role') AS replication_role";
    let found: ServerProperties = diesel::sql_query(query).get_result(conn).await?;
    Ok(found.fault())
}

impl ServerProperties {
    fn fault(&self) -> Option<String> {
        if self.version < MIN_SERVER_VERSION {
            return Some(format!(
                "the server is Postgres {}: use {MIN_SERVER_VERSION} or newer",
                self.version
            ));
        }
        if self.encoding != "UTF8" {
            return Some(format!(
                "the encoding of the database is {}: create it with ENCODING 'UTF8'",
                self.encoding
            ));
        }
        // `replica` turns off triggers, and foreign keys with them.
        if self.replication_role != "origin" {
            return Some(format!(
                "session_replication_role is {}: reset it for the database and the role",
                self.replication_role
            ));
        }
        None
    }
}

/// Whether a session can write orders, and the reason if not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WriteAccess {
    /// The server is a standby.
    pub(crate) in_recovery: bool,
    /// Transactions are read-only by default.
    pub(crate) read_only: bool,
    /// The role may insert orders.
    pub(crate) may_insert: bool,
}

impl WriteAccess {
    /// Whether orders can be written.
    pub(crate) fn is_writable(self) -> bool {
        !self.in_recovery && !self.read_only && self.may_insert
    }
}

statement! {
    SelectWriteAccess {} returns (Bool, Bool, Bool);
    "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::bool, \
     has_table_privilege('orders', 'INSERT')"
}

/// Makes one round trip, and returns what the session may write.
///
/// # Errors
/// Returns a [`StorageError`] if the server does not respond or has no table `orders`.
pub(crate) async fn write_access(
    conn: &mut AsyncPgConnection,
) -> Result<WriteAccess, StorageError> {
    let (in_recovery, read_only, may_insert) = SelectWriteAccess {}.get_result(conn).await?;
    Ok(WriteAccess {
        in_recovery,
        read_only,
        may_insert,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn startup_options_escape_spaces() {
        let parameters = [("a", "b c".to_owned()), ("d", "e\\f".to_owned())];
        assert_eq!(startup_options(&parameters), "-c a=b\\ c -c d=e\\\\f ");
    }

    #[test]
    fn unsupported_server_is_named_with_fix() {
        let server = |version, encoding: &str, replication_role: &str| ServerProperties {
            version,
            encoding: encoding.to_owned(),
            replication_role: replication_role.to_owned(),
        };
        assert_eq!(server(14, "UTF8", "origin").fault(), None);
        for (unsupported, fix) in [
            (server(13, "UTF8", "origin"), "use 14 or newer"),
            (server(17, "SQL_ASCII", "origin"), "ENCODING 'UTF8'"),
            (server(17, "UTF8", "replica"), "reset it"),
        ] {
            let fault = unsupported.fault().unwrap_or_default();
            assert!(fault.contains(fix), "{fault}");
        }
    }
}
