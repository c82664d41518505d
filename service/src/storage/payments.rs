//! The table `payments`: the proof that an order was charged.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::error::StorageError;
use super::schema::payments;
use crate::domain::ids::OrderId;
use crate::domain::money::Money;

/// Writes down that an order was charged.
///
/// # Errors
/// Returns [`StorageError::Unexpected`] for a second payment of an order (`payments_pkey`).
pub(crate) async fn insert(
    conn: &mut AsyncPgConnection,
    order_id: OrderId,
    charge_id: &str,
    amount: Money,
    now: DateTime<Utc>,
) -> Result<(), StorageError> {
    diesel::insert_into(payments::table)
        .values((
            payments::order_id.eq(order_id.0),
            payments::charge_id.eq(charge_id),
            payments::amount_minor.eq(amount.minor()),
            payments::currency.eq(amount.currency().code()),
            payments::paid_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
