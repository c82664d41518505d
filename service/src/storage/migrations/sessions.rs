//! Sessions that a migration may wait for, described for an operator.

use tokio_postgres::{Client, Error as PgError};

use crate::storage::advisory_locks;

/// The text of a statement is left out: it may contain a customer's data.
const DESCRIBE_SESSION: &str = "format('pid %s of %s (%s, %s, %s)', session.pid, session.usename, \
     coalesce(nullif(session.application_name, ''), 'no name'), coalesce(session.state, 'state not visible'), \
     'since ' || coalesce(round(extract(epoch FROM clock_timestamp() - \
     coalesce(session.xact_start, session.state_change)))::text, '?') || ' s')";

/// Describes the session that holds the lock of the migrations.
pub(super) async fn lock_holder(client: &Client) -> Result<String, PgError> {
    let key = advisory_locks::MIGRATIONS;
    let (high, low) = (key >> 32, key & 0xffff_ffff);
    let holder = format!(
        "SELECT coalesce(string_agg({DESCRIBE_SESSION}, ', '), 'it has just ended')
         FROM pg_locks JOIN pg_stat_activity AS session USING (pid)
         WHERE locktype = 'advisory' AND classid = {high} AND objid = {low} AND granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    );
    Ok(client.query_one(&holder, &[]).await?.get(0))
}

/// Describes the oldest open transactions.
pub(super) async fn oldest_transactions(client: &Client) -> Result<String, PgError> {
    let oldest = format!(
        "SELECT coalesce(string_agg({DESCRIBE_SESSION}, ', '), 'none any more') FROM (
            SELECT * FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
            ORDER BY xact_start LIMIT 3
         ) AS session"
    );
    Ok(client.query_one(&oldest, &[]).await?.get(0))
}
