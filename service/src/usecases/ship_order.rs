//! An admin sends the goods.

use super::{Services, UseCaseError, current_time};
use crate::domain::event::OrderEvent;
use crate::domain::ids::OrderId;
use crate::domain::order::Order;
use crate::domain::order_status::OrderTransition;
use crate::events::payload;
use crate::storage::transaction::in_transaction;
use crate::storage::{orders, outbox};

/// Marks a paid order as shipped, whosever it is.
///
/// # Errors
/// `NotFound`, `InvalidTransition` if it is not paid.
pub(crate) async fn ship_order(services: &Services, id: OrderId) -> Result<Order, UseCaseError> {
    let mut conn = services.database.connection().await?;
    let now = current_time();
    let shipped = in_transaction(&mut conn, async |conn| {
        let mut order = orders::lock(conn, id)
            .await?
            .ok_or(UseCaseError::NotFound("order"))?;
        order.status = order.status.apply(OrderTransition::Ship)?;
        order.updated_at = now;
        let event = OrderEvent::status_changed(order.status, id, payload::to_json(&order)?, now);

        orders::set_status(conn, id, order.status, now).await?;
        outbox::append(conn, &event).await?;
        Ok::<_, UseCaseError>(order)
    })
    .await?;
    services.record_order_status(shipped.status);
    services.job_notifier.notify();
    Ok(shipped)
}
