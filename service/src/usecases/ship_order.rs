//! An admin sends the goods.

use super::clock::current_time;
use super::database_retry::write_with_retry;
use super::status_change::save_status;
use super::{Services, UseCaseError};
use crate::domain::ids::OrderId;
use crate::domain::order::Order;
use crate::domain::order_status::OrderTransition;
use crate::storage::{AsyncConnection as _, orders, outbox};

/// Marks a paid order as shipped, whosever it is.
///
/// # Errors
/// Returns `NotFound` if the order does not exist, and `InvalidTransition` if it is not paid.
pub(crate) async fn ship_order(services: &Services, id: OrderId) -> Result<Order, UseCaseError> {
    let now = current_time();
    let shipped = write_with_retry(services, async |conn| {
        conn.transaction(async |conn| {
            let mut order = orders::lock(conn, id)
                .await?
                .ok_or(UseCaseError::NotFound("order"))?;
            order.apply(OrderTransition::Ship, now)?;
            let event = save_status(conn, &order).await?;
            outbox::append(conn, &event).await?;
            Ok::<_, UseCaseError>(order)
        })
        .await
    })
    .await?;
    services.record_order_status(shipped.status);
    services.job_notifier.notify();
    Ok(shipped)
}
