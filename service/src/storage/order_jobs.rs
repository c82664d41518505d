//! The jobs of an order: its payment and its expiry, both named by the order's id.
//!
//! A pending order has a charge and an expiry. Both are inserted with the order
//! ([`place_order_statement`](super::place_order_statement)) and end in the transaction in which the order
//! leaves `pending`, in one `DELETE`.

use diesel::sql_types::{Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::StorageError;
use super::jobs::{LeasedJob, NewJob, enqueue};
use super::rows::money;
use super::statement::statement;
use crate::domain::ids::OrderId;
use crate::domain::money::Money;
use crate::domain::order::Order;

/// Direction of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PaymentOperation {
    /// Takes the money.
    Charge,
    /// Makes sure that no money was taken, or gives it back.
    Refund,
}

/// Payload of the job that makes the payment of an order.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "PaymentPayload", into = "PaymentPayload")]
pub struct PaymentJob {
    pub(crate) operation: PaymentOperation,
    /// Order to pay for.
    pub order_id: OrderId,
    /// Total of the order.
    pub amount: Money,
}

#[derive(Serialize, Deserialize)]
struct PaymentPayload {
    operation: PaymentOperation,
    order_id: OrderId,
    amount_minor: i64,
    currency: String,
}

impl PaymentJob {
    /// Kind of the job; the statements below spell it out.
    pub const KIND: &'static str = "payment";

    pub(super) fn new(operation: PaymentOperation, order: &Order) -> Self {
        Self {
            operation,
            order_id: order.id,
            amount: order.total,
        }
    }
}

impl TryFrom<PaymentPayload> for PaymentJob {
    type Error = StorageError;

    fn try_from(payload: PaymentPayload) -> Result<Self, StorageError> {
        Ok(Self {
            operation: payload.operation,
            order_id: payload.order_id,
            amount: money(payload.amount_minor, &payload.currency)?,
        })
    }
}

impl From<PaymentJob> for PaymentPayload {
    fn from(job: PaymentJob) -> Self {
        Self {
            operation: job.operation,
            order_id: job.order_id,
            amount_minor: job.amount.minor(),
            currency: job.amount.currency().code().to_owned(),
        }
    }
}

/// Payload of the job that ends an order which is still unpaid after `orders.payment_window`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct OrderExpiryJob {
    /// Order to expire.
    pub(crate) order_id: OrderId,
}

impl OrderExpiryJob {
    /// Kind of the job; the statements below spell it out.
    pub const KIND: &'static str = "order_expiry";
}

statement! {
    CompletePayment { order_id: Uuid, token: Uuid } returns ();
    "DELETE FROM jobs WHERE kind IN ('payment', 'order_expiry') \
     AND key = " {order_id: SqlUuid} "::text \
     AND (kind = 'order_expiry' OR lease_token = " {token: SqlUuid} ")"
}

/// Deletes the payment of a settled order, and its expiry. Without the lease the payment stays.
pub(crate) async fn complete_payment(
    conn: &mut AsyncPgConnection,
    job: &LeasedJob,
    order_id: OrderId,
) -> Result<(), StorageError> {
    CompletePayment {
        order_id: order_id.0,
        token: job.token,
    }
    .execute(conn)
    .await?;
    Ok(())
}

statement! {
    DeleteUnattempted { order_id: Uuid } returns Text;
    "DELETE FROM jobs WHERE kind IN ('payment', 'order_expiry') \
     AND key = " {order_id: SqlUuid} "::text \
     AND (kind = 'order_expiry' OR attempts = 0) RETURNING kind"
}

/// Takes back the charge of an order that is not to be paid, in the transaction in which it leaves
/// `pending`, and deletes its expiry. A charge that no worker ever began is deleted. Any other charge may
/// have been made, even one that an operator has deleted: it becomes a refund, due now, and the lease of
/// its worker ends.
pub(crate) async fn cancel_or_refund(
    conn: &mut AsyncPgConnection,
    order: &Order,
) -> Result<(), StorageError> {
    let order_id = order.id.0;
    let deleted: Vec<String> = DeleteUnattempted { order_id }.load(conn).await?;
    if deleted.iter().any(|kind| kind == PaymentJob::KIND) {
        return Ok(());
    }
    let refund = NewJob {
        kind: PaymentJob::KIND,
        key: Some(&order.id.to_string()),
        payload: &PaymentJob::new(PaymentOperation::Refund, order),
        delay: std::time::Duration::ZERO,
    };
    enqueue(conn, refund).await
}
