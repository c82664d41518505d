//! An operator checks the invariants of the database: whether goods, orders and payments agree.
//!
//! These are the `INVARIANTS` that SQL alone can check. Whether the gateway moved the right
//! amounts takes its ledger as well: see [`reconcile_payments`](super::reconcile_payments).
//!
//! Every test of behaviour, every drill and every load test ends with this; so may
//! a backup that was restored (`orderly check-invariants`).

use diesel_async::AsyncPgConnection;

use crate::storage::error::StorageError;
use crate::storage::invariants::{self, INVARIANTS};

/// The result of checking one invariant.
#[derive(Debug, Clone, serde::Serialize)]
pub struct InvariantResult {
    /// What must be true.
    pub invariant: &'static str,
    /// What breaks it; empty if nothing does.
    pub violations: Vec<String>,
}

/// Checks every invariant in SQL; each holds at any moment.
///
/// # Errors
/// Returns a [`StorageError`] if a query fails.
pub async fn check_invariants(
    conn: &mut AsyncPgConnection,
) -> Result<Vec<InvariantResult>, StorageError> {
    invariants::raise_statement_timeout(conn).await?;
    let mut results = Vec::with_capacity(INVARIANTS.len());
    for invariant in INVARIANTS {
        results.push(InvariantResult {
            invariant: invariant.description,
            violations: invariants::find_violations(conn, invariant).await?,
        });
    }
    Ok(results)
}
