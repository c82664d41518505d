//! The row locks that keep stock right.
//!
//! Two orders that name the same two products must not wait for each other in a
//! circle. So whoever locks several products locks them in the order of their
//! ids, here and nowhere else. Run it: `opposite_orders_never_deadlock` in
//! `tests/api/orders/races.rs`.
//!
//! The lock is `FOR NO KEY UPDATE`: it keeps other writers out, but not the
//! foreign key checks of order lines that are being inserted elsewhere
//! (PostgreSQL manual, 13.3.2).

use chrono::{DateTime, Utc};
use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::{Array, Int4, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::error::StorageError;
use super::idempotency::Claim;
use super::rows::AvailableProductRow;
use super::schema::{idempotency_keys, products};
use super::statement::statement;
use crate::domain::ids::ProductId;
use crate::domain::order::OrderLine;
use crate::domain::product::AvailableProduct;

/// Locks these products in the order of their ids, until the transaction ends, and returns those
/// that exist. Sent together with the claim of the order's idempotency key: if the key was used
/// before, nothing is locked and nothing waited for.
///
/// # Errors
/// Returns [`StorageError::LockTimeout`] if another transaction keeps one locked.
pub(crate) async fn lock_if_claimed(
    mut conn: &AsyncPgConnection,
    ids: &[ProductId],
    claim: &Claim<'_>,
) -> Result<Vec<AvailableProduct>, StorageError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let claimed = idempotency_keys::table
        .filter(idempotency_keys::user_id.eq(claim.user_id.0))
        .filter(idempotency_keys::key.eq(claim.key.as_str()))
        .filter(idempotency_keys::resource_id.is_null())
        .select(idempotency_keys::user_id);
    let rows = products::table
        .filter(products::id.eq_any(ids))
        .filter(exists(claimed))
        .order(products::id)
        .for_no_key_update()
        .select(AvailableProductRow::as_select())
        .load(&mut conn)
        .await?;
    rows.into_iter().map(AvailableProduct::try_from).collect()
}

statement! {
    /// Puts the stock of order lines back, with the rows locked in id order first.
    Restock { product_ids: Vec<Uuid>, quantities: Vec<i32>, now: DateTime<Utc> } returns ();
    "WITH line AS (SELECT * FROM unnest(" {product_ids: Array<SqlUuid>} "," {quantities: Array<Int4>} ") \
     AS line (product_id, quantity)), \
     locked AS (SELECT id FROM products WHERE id IN (SELECT product_id FROM line) \
     ORDER BY id FOR NO KEY UPDATE) \
     UPDATE products SET stock = products.stock + line.quantity, version = products.version + 1, \
     updated_at = " {now: Timestamptz} " \
     FROM line JOIN locked ON locked.id = line.product_id WHERE products.id = line.product_id"
}

/// Adds the quantities of these lines to the stock of their products.
pub(crate) async fn restock(
    conn: &mut AsyncPgConnection,
    lines: &[OrderLine],
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    Restock {
        product_ids: lines.iter().map(|line| line.product_id.0).collect(),
        quantities: lines
            .iter()
            .map(|line| line.quantity.get().into())
            .collect(),
        now,
    }
    .execute(conn)
    .await?;
    Ok(())
}
