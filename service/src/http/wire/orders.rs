//! Orders on the wire.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::MoneyBody;
use crate::domain::basket::{Basket, BasketLine, Quantity};
use crate::domain::ids::ProductId;
use crate::domain::order::{Order, OrderLine};
use crate::domain::order_status::{FailureReason, OrderStatus};
use crate::http::extract::FieldErrors;
use crate::http::problem::Problem;

/// What a customer wants.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaceOrderRequest {
    /// No product twice, all in one currency.
    #[schema(min_items = 1, max_items = 100)]
    lines: Vec<LineRequest>,
}

/// So many of that.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct LineRequest {
    /// Of what.
    product_id: Uuid,
    /// How many.
    #[schema(minimum = 1, maximum = 1000, example = 2)]
    quantity: i64,
}

impl PlaceOrderRequest {
    /// What the domain makes of it.
    ///
    /// # Errors
    /// Returns a problem that names every invalid field.
    pub(crate) fn check(&self) -> Result<Basket, Problem> {
        let mut fields = FieldErrors::default();
        let lines: Option<Vec<BasketLine>> = self
            .lines
            .iter()
            .enumerate()
            .map(|(index, line)| {
                let pointer = format!("/lines/{index}/quantity");
                let quantity = fields.check(&pointer, Quantity::new(line.quantity))?;
                Some(BasketLine {
                    product_id: ProductId(line.product_id),
                    quantity,
                })
            })
            // Not straight into an `Option`: that would stop at the first fault.
            .collect::<Vec<_>>()
            .into_iter()
            .collect();
        let basket = lines.map(Basket::new).and_then(|checked| match checked {
            Ok(basket) => Some(basket),
            Err(error) => {
                let pointer = error.line.map_or_else(
                    || "/lines".to_owned(),
                    |line| format!("/lines/{line}/product_id"),
                );
                fields.check(&pointer, Err(error.invalid))
            }
        });
        fields.finish(basket)
    }
}

/// An order.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrderResponse {
    /// Names the order.
    id: Uuid,
    /// Where it stands: `pending`, `paid`, `shipped`, `cancelled` or `payment_failed`.
    #[schema(value_type = String, example = "pending")]
    status: OrderStatus,
    /// Why it is `payment_failed`: `declined` (the charge was declined) or `expired` (it was not paid in
    /// time); null in any other status.
    #[schema(value_type = Option<String>, example = "expired")]
    failure_reason: Option<FailureReason>,
    /// In the customer's order.
    lines: Vec<LineResponse>,
    /// What it costs.
    total: MoneyBody,
    /// When it was placed.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

/// A line of an order, with the price of the day.
#[derive(Serialize, ToSchema)]
struct LineResponse {
    /// What was ordered.
    product_id: Uuid,
    /// How many.
    quantity: u16,
    /// What one cost when it was ordered.
    unit_price: MoneyBody,
    /// What the line costs.
    line_total: MoneyBody,
}

impl From<&Order> for OrderResponse {
    fn from(order: &Order) -> Self {
        Self {
            id: order.id.0,
            status: order.status,
            failure_reason: order.failure_reason,
            lines: order.lines.iter().map(LineResponse::from).collect(),
            total: order.total.into(),
            created_at: order.created_at,
            updated_at: order.updated_at,
        }
    }
}

impl From<&OrderLine> for LineResponse {
    fn from(line: &OrderLine) -> Self {
        Self {
            product_id: line.product_id.0,
            quantity: line.quantity.get(),
            unit_price: line.unit_price.into(),
            line_total: line.line_total.into(),
        }
    }
}
