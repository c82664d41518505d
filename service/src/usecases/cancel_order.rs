//! A customer gives an order up before it is paid.
//!
//! The payment may be under way at this very moment. Both lock the order's row,
//! so one comes first, and the state machine tells the other that it is too
//! late. If the cancellation wins while a charge is at the gateway, the job
//! becomes a refund: whatever was or will be charged is given back. Run it:
//! `cancellation_races_with_payment_consistently` in `tests/api/orders/races.rs`.

use super::clock::current_time;
use super::commit_outcome::finish;
use super::status_change::change_status;
use super::{Services, UseCaseError};
use crate::domain::ids::{OrderId, UserId};
use crate::domain::order::Order;
use crate::domain::order_status::OrderTransition;
use crate::storage::{AsyncConnection as _, orders, outbox, payment_jobs, stock};

/// Cancels an order of the user's own and puts its stock back.
///
/// # Errors
/// Returns `NotFound` if the user has no order with this id, and `InvalidTransition` unless it is
/// pending.
pub(crate) async fn cancel_order(
    services: &Services,
    user_id: UserId,
    id: OrderId,
) -> Result<Order, UseCaseError> {
    let mut conn = services.database.connection().await?;
    let now = current_time();
    let mut invalidation = services.products.invalidation_guard();
    let cancelled = conn
        .transaction(async |conn| {
            let mut order = orders::lock(conn, id)
                .await?
                .filter(|order| order.user_id == user_id)
                .ok_or(UseCaseError::NotFound("order"))?;
            let status = order.status.apply(OrderTransition::Cancel)?;
            let event = change_status(conn, &mut order, status, now).await?;
            invalidation.add(order.lines.iter().map(|line| line.product_id));
            stock::restock(conn, &order.lines, now).await?;
            payment_jobs::cancel_or_refund(conn, id).await?;
            outbox::append(conn, &event).await?;
            Ok::<_, UseCaseError>(order)
        })
        .await;
    let cancelled = finish(invalidation, cancelled)?;
    services.record_order_status(cancelled.status);
    services.job_notifier.notify();
    Ok(cancelled)
}
