//! What an event says of an order.
//!
//! A shape of its own, although it looks like the one of the API: consumers of
//! events and clients of the API are upgraded at different times.

use serde::Serialize;

use crate::domain::ids::{OrderId, ProductId, UserId};
use crate::domain::order::Order;
use crate::domain::order_status::{FailureReason, OrderStatus};

#[derive(Serialize)]
struct OrderPayload {
    order_id: OrderId,
    user_id: UserId,
    status: OrderStatus,
    failure_reason: Option<FailureReason>,
    lines: Vec<LinePayload>,
    total_minor: i64,
    currency: &'static str,
}

#[derive(Serialize)]
struct LinePayload {
    product_id: ProductId,
    quantity: u16,
    unit_price_minor: i64,
}

/// Returns the order as JSON text.
pub(crate) fn to_json(order: &Order) -> serde_json::Result<String> {
    serde_json::to_string(&OrderPayload {
        order_id: order.id,
        user_id: order.user_id,
        status: order.status,
        failure_reason: order.failure_reason,
        lines: order
            .lines
            .iter()
            .map(|line| LinePayload {
                product_id: line.product_id,
                quantity: line.quantity.get(),
                unit_price_minor: line.unit_price.minor(),
            })
            .collect(),
        total_minor: order.total.minor(),
        currency: order.total.currency().code(),
    })
}
