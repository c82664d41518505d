//! What the rest of the world is told about orders.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::ids::{OrderId, new_v7};
use super::order_status::OrderStatus;

/// Something that happened to an order.
#[derive(Debug, Clone)]
pub struct OrderEvent {
    /// Names the event; a consumer that sees it twice drops the second.
    pub id: Uuid,
    /// Whose event it is.
    pub order_id: OrderId,
    /// What happened, such as `order.paid`.
    pub event_type: String,
    /// The order after it happened, as JSON.
    pub(crate) data: String,
    pub(crate) occurred_at: DateTime<Utc>,
}

impl OrderEvent {
    /// The event that an order has come to `status`; `data` is the order as JSON.
    pub fn status_changed(
        status: OrderStatus,
        order_id: OrderId,
        data: String,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id: new_v7(now),
            order_id,
            event_type: event_type_of(status).to_owned(),
            data,
            occurred_at: now,
        }
    }
}

fn event_type_of(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::Pending => "order.placed",
        OrderStatus::Paid => "order.paid",
        OrderStatus::Shipped => "order.shipped",
        OrderStatus::Cancelled => "order.cancelled",
        OrderStatus::PaymentFailed => "order.payment_failed",
    }
}
