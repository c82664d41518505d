//! The table `idempotency_keys`.
//!
//! A key is claimed by inserting its row, in the transaction that does the work.
//! While that transaction is open, a second request with the same key waits in
//! its own `INSERT` (a unique index waits for the row's transaction to end):
//!
//! - the first one commits: the second finds the row and its stored answer;
//! - the first one rolls back: the row is gone, and the second claims it;
//! - the first one takes longer than `orders.idempotency_wait_timeout`: the second gives
//!   up and tells its client to come back.
//!
//! A key without an answer was never used, even if its row was committed: whoever
//! comes next claims it.
//!
//! Run it: `tests/api/orders/idempotency_in_progress.rs`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bytea, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::error::StorageError;
use super::schema::idempotency_keys;
use super::statement::statement;
use crate::domain::idempotency::{Fingerprint, IdempotencyKey};
use crate::domain::ids::UserId;

/// A key to claim: whose, for what, and until when.
pub(crate) struct Claim<'a> {
    /// Keys are per user.
    pub(crate) user_id: UserId,
    pub(crate) key: &'a IdempotencyKey,
    pub(crate) fingerprint: &'a Fingerprint,
    pub(crate) now: DateTime<Utc>,
    /// When the key may be used for something else.
    pub(crate) expires_at: DateTime<Utc>,
    /// How long to wait for another request with the same key.
    pub(crate) wait: Duration,
}

/// What became of a claim.
pub(crate) enum ClaimOutcome {
    /// The key is ours until the transaction ends.
    Claimed,
    /// Another request with this key still runs.
    InProgress,
    /// The key was used before, see [`find_response`].
    AlreadyUsed,
}

/// The response to an earlier request.
pub(crate) struct StoredResponse {
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) resource_id: Uuid,
    /// Byte for byte.
    pub(crate) response_body: String,
}

// The lock timeout of the insert is set, and set back, in the same statement, to save
// two round trips: there is nothing to insert before `local_settings` has run, and
// nothing to return before the insert.
//
// How the statements behind it are planned is set as well, until the transaction ends.
// They are prepared, but left to itself Postgres would plan them anew on each call: it
// takes an array that it does not know for one of ten, and finds that a plan for the one
// it is given is cheaper. It is, but making it costs more than all the rest.
statement! {
    ClaimKey<'a> {
        user_id: Uuid,
        key: &'a str,
        fingerprint: &'a [u8],
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
        wait: String,
    } returns Text;
    "WITH local_settings AS (SELECT current_setting('lock_timeout') AS previous_lock_timeout, \
     set_config('lock_timeout', " {wait: Text} ", true), \
     set_config('plan_cache_mode', 'force_generic_plan', true)) \
     INSERT INTO idempotency_keys AS used (user_id, key, fingerprint, created_at, expires_at) \
     SELECT " {user_id: SqlUuid} "," {key: Text} "," {fingerprint: Bytea} ","
     {now: Timestamptz} "," {expires_at: Timestamptz} " FROM local_settings \
     ON CONFLICT (user_id, key) DO UPDATE SET fingerprint = excluded.fingerprint, \
     resource_id = NULL, response_body = NULL, created_at = excluded.created_at, \
     expires_at = excluded.expires_at \
     WHERE used.expires_at <= excluded.created_at OR used.resource_id IS NULL \
     RETURNING set_config('lock_timeout', (SELECT previous_lock_timeout FROM local_settings), true)"
}

/// Claims a key in the transaction of `conn`; an expired one is claimed anew.
/// After [`ClaimOutcome::InProgress`] the transaction can only be rolled back.
pub(crate) async fn try_claim(
    mut conn: &AsyncPgConnection,
    claim: &Claim<'_>,
) -> Result<ClaimOutcome, StorageError> {
    let claimed_row = ClaimKey {
        user_id: claim.user_id.0,
        key: claim.key.as_str(),
        fingerprint: claim.fingerprint,
        now: claim.now,
        expires_at: claim.expires_at,
        wait: format!("{}ms", claim.wait.as_millis()),
    }
    .get_result::<String>(&mut conn)
    .await
    .optional()
    .map_err(StorageError::from);
    match claimed_row {
        Ok(Some(_)) => Ok(ClaimOutcome::Claimed),
        Ok(None) => Ok(ClaimOutcome::AlreadyUsed),
        Err(StorageError::LockTimeout) => Ok(ClaimOutcome::InProgress),
        Err(error) => Err(error),
    }
}

/// Returns the response to the request that used the key; `None` if the key is not in the table.
pub(crate) async fn find_response(
    mut conn: &AsyncPgConnection,
    claim: &Claim<'_>,
) -> Result<Option<StoredResponse>, StorageError> {
    let stored: Option<(Vec<u8>, Option<Uuid>, Option<String>)> = idempotency_keys::table
        .find((claim.user_id.0, claim.key.as_str()))
        .select((
            idempotency_keys::fingerprint,
            idempotency_keys::resource_id,
            idempotency_keys::response_body,
        ))
        .first(&mut conn)
        .await
        .optional()?;
    match stored {
        None => Ok(None),
        Some((fingerprint, Some(resource_id), Some(response_body))) => Ok(Some(StoredResponse {
            fingerprint,
            resource_id,
            response_body,
        })),
        Some(_) => Err(StorageError::UnreadableRow(
            "an idempotency key was used and has no response".to_owned(),
        )),
    }
}

// A row that somebody holds is being claimed anew, or another replica deletes it.
statement! {
    DeleteExpired {
        now: DateTime<Utc>,
        limit: i64,
    } returns BigInt;
    "WITH expired AS (SELECT user_id, key FROM idempotency_keys \
     WHERE expires_at <= " {now: Timestamptz} " ORDER BY expires_at \
     LIMIT " {limit: BigInt} " FOR UPDATE SKIP LOCKED) \
     DELETE FROM idempotency_keys AS used USING expired \
     WHERE (used.user_id, used.key) = (expired.user_id, expired.key)"
}

/// Deletes what has expired, up to `limit` rows, and returns how many that were.
///
/// # Errors
/// Returns a [`StorageError`] if the statement fails; nothing was deleted.
pub async fn delete_expired(
    conn: &mut AsyncPgConnection,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<usize, StorageError> {
    let delete = DeleteExpired {
        now,
        limit: limit.into(),
    };
    Ok(delete.execute(conn).await?)
}
