//! A customer cancels an order before it is paid.
//!
//! The payment may be in progress at this moment. Both lock the order's row, so one comes first, and the
//! state machine rejects the other. If the cancellation wins while a charge is at the gateway, the job
//! becomes a refund: any money that was or will be charged is given back. Test:
//! `cancellation_races_with_payment_consistently` in `tests/api/orders/races.rs`.

use super::clock::current_time;
use super::commit_outcome::finish;
use super::database_retry::write_with_retry;
use super::status_change::end_unpaid_order;
use super::{Services, UseCaseError};
use crate::domain::ids::{OrderId, UserId};
use crate::domain::order::Order;
use crate::domain::order_status::OrderTransition;
use crate::storage::{AsyncConnection as _, orders};

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
    let now = current_time();
    let mut invalidation = services.products.invalidation_guard();
    let cancelled = write_with_retry(services, async |conn| {
        conn.transaction(async |conn| {
            let mut order = orders::lock(conn, id)
                .await?
                .filter(|order| order.user_id == user_id)
                .ok_or(UseCaseError::NotFound("order"))?;
            let cancel = OrderTransition::Cancel;
            end_unpaid_order(conn, &mut order, cancel, now, &mut invalidation).await?;
            Ok::<_, UseCaseError>(order)
        })
        .await
    })
    .await;
    let cancelled = finish(invalidation, cancelled)?;
    services.record_order_status(cancelled.status);
    services.job_notifier.notify();
    Ok(cancelled)
}
