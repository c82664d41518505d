//! A change of an order's status, and the event that reports it.

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;

use super::UseCaseError;
use crate::domain::event::OrderEvent;
use crate::domain::order::Order;
use crate::domain::order_status::OrderStatus;
use crate::events::payload;
use crate::storage::orders;

/// Sets the status of an order whose row is locked. Returns the event, for the caller to append to the
/// outbox late in the transaction: outbox ids are assigned at once, and visible after the commit.
pub(super) async fn change_status(
    conn: &mut AsyncPgConnection,
    order: &mut Order,
    status: OrderStatus,
    now: DateTime<Utc>,
) -> Result<OrderEvent, UseCaseError> {
    order.status = status;
    order.updated_at = now;
    let event = OrderEvent::status_changed(status, order.id, payload::to_json(order)?, now);
    orders::set_status(conn, order.id, status, now).await?;
    Ok(event)
}
