//! Checks at the start that the addresses lead where `database.pooler` says.

use anyhow::bail;
use diesel::QueryableByName;
use diesel::sql_types::Bool;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::super::connector::Connector;
use super::super::database::Database;
use super::super::error::StorageError;
use crate::config::{Pooler, variable_name};

/// Parameter that each session sets when it is opened. It is missing if a pooler ignored `options`.
pub(in crate::storage) const SESSION_MARKER: &str = "orderly.session";

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// Texts of errors that only a pooler causes while a connection is opened: PgBouncer sends the first
/// with the code of all its errors; the others are the codes of a prepared statement that another
/// client has defined, or that is on another server connection.
const POOLER_ERRORS: &[&str] = &["unsupported startup parameter", "42P05: ", "26000: "];

/// Explains an error that a pooler has caused; `None` if `reason` is another error.
pub(in crate::storage) fn explain_rejection(reason: &str, url_key: &str) -> Option<String> {
    (POOLER_ERRORS.iter().any(|text| reason.contains(text)))
        .then(|| format!("{} ({reason})", describe_pooler(url_key)))
}

/// Returns what is wrong if `url_key` leads to a pooler, and the fix.
pub(in crate::storage) fn describe_pooler(url_key: &str) -> String {
    let url = variable_name(url_key);
    let direct_url = variable_name("database.direct_url");
    let fix = if url == direct_url {
        "set it to the address of Postgres itself".to_owned()
    } else {
        let pooler = variable_name("database.pooler");
        format!("set {pooler} to transaction, and {direct_url} to the address of Postgres itself")
    };
    format!("{url} leads to a connection pooler that does not accept session parameters: {fix}")
}

/// Checks what `connector` and `sessions` of a database lead to.
pub(in crate::storage) async fn verify_addresses(
    database: &Database,
    connector: &Connector,
    sessions: &Connector,
) -> anyhow::Result<()> {
    let mut session = database.dedicated_connection().await?;
    if sessions.url_key == connector.url_key {
        return Ok(());
    }
    let mut probe = database.probe_connection().await?;
    if connector.pooler == Pooler::None {
        require_session(&mut probe, connector.url_key).await?;
    }
    if !is_same_database(&mut session, &mut probe).await? {
        bail!(
            "{} leads to another database than {}: set both to the same one",
            variable_name(sessions.url_key),
            variable_name(connector.url_key)
        );
    }
    Ok(())
}

/// Checks that `conn`, which was opened with session parameters, is a session.
pub(in crate::storage) async fn require_session(
    conn: &mut AsyncPgConnection,
    url_key: &str,
) -> Result<(), StorageError> {
    let query =
        format!("SELECT coalesce(current_setting('{SESSION_MARKER}', true), '') = 'on' AS found");
    let explained = match find(conn, &query).await {
        Ok(true) => return Ok(()),
        Ok(false) => describe_pooler(url_key),
        Err(error) => explain_rejection(&error.to_string(), url_key).ok_or(error)?,
    };
    Err(StorageError::Unavailable(explained))
}

/// Returns `true` if `client`, which was opened with session parameters, is no session.
pub(in crate::storage) async fn lacks_session(client: &Client) -> bool {
    let shown = client
        .batch_execute(&format!("SHOW {SESSION_MARKER}"))
        .await;
    shown.is_err_and(|error| error.code() == Some(&SqlState::UNDEFINED_OBJECT))
}

/// Returns `true` if `probe` sees a lock that `session` holds.
async fn is_same_database(
    session: &mut AsyncPgConnection,
    probe: &mut AsyncPgConnection,
) -> Result<bool, StorageError> {
    let key: u32 = rand::random();
    let lock = format!("BEGIN; SELECT pg_advisory_xact_lock_shared({key})");
    session.batch_execute(&lock).await?;
    let query = format!(
        "SELECT count(*) > 0 AS found FROM pg_locks WHERE locktype = 'advisory' AND granted \
         AND objid::bigint = {key} AND classid::bigint = 0 AND objsubid = 1 \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    );
    let found = find(probe, &query).await?;
    session.batch_execute("COMMIT").await?;
    Ok(found)
}

async fn find(conn: &mut AsyncPgConnection, query: &str) -> Result<bool, StorageError> {
    let row: Option<Found> = diesel::sql_query(query).load(conn).await?.pop();
    Ok(row.is_some_and(|row| row.found))
}
