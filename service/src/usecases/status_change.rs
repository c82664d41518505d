//! A change of an order's status, and the event that reports it.

use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;

use super::UseCaseError;
use crate::cache::InvalidationGuard;
use crate::domain::event::OrderEvent;
use crate::domain::order::Order;
use crate::domain::order_status::OrderTransition;
use crate::events::payload;
use crate::storage::error::StorageError;
use crate::storage::{order_jobs, orders, outbox, stock};

/// Saves the status of an order whose row is locked. Returns the event, for the caller to append to the
/// outbox late in the transaction: outbox ids are assigned immediately, and visible after the commit.
pub(super) async fn save_status(
    conn: &mut AsyncPgConnection,
    order: &Order,
) -> Result<OrderEvent, UseCaseError> {
    let data = payload::to_json(order)?;
    let event = OrderEvent::status_changed(order.status, order.id, data, order.updated_at);
    orders::set_status(conn, order).await?;
    Ok(event)
}

/// Ends a pending order that is not to be paid, its row locked: the stock goes back, and the charge is
/// taken back.
///
/// # Errors
/// Returns `InvalidTransition` if the order is not pending.
pub(super) async fn end_unpaid_order(
    conn: &mut AsyncPgConnection,
    order: &mut Order,
    transition: OrderTransition,
    now: DateTime<Utc>,
    invalidation: &mut InvalidationGuard<StorageError>,
) -> Result<(), UseCaseError> {
    order.apply(transition, now)?;
    let event = save_status(conn, order).await?;
    invalidation.add(order.lines.iter().map(|line| line.product_id));
    stock::restock(conn, &order.lines, now).await?;
    order_jobs::cancel_or_refund(conn, order).await?;
    outbox::append(conn, &event).await?;
    Ok(())
}
