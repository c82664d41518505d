//! Records the outcome of a payment.
//!
//! A worker may die between the charge and this. Then its lease expires, another worker asks the gateway
//! again with the same idempotency key, receives the same charge, and settles. So a second or late run
//! must do no harm: the state machine lets an order be paid once, and only the worker that holds the lease
//! deletes the job. Test: `tests/api/payments/leases.rs`.

use super::clock::current_time;
use super::commit_outcome::finish;
use super::status_change::save_status;
use super::{Services, UseCaseError};
use crate::domain::order_status::OrderTransition;
use crate::payments::ChargeOutcome;
use crate::storage::jobs::{self, LeasedJob};
use crate::storage::order_jobs::{self, PaymentJob};
use crate::storage::{AsyncConnection as _, orders, outbox, payments, stock};

/// Records the outcome of a charge: the order is paid, or its payment has failed and its stock goes back.
/// If the order was cancelled or has expired since, it stays so; the job has become a refund and stays as
/// well.
///
/// # Errors
/// Returns an error if the database fails; the job stays and is retried.
pub(crate) async fn settle_charge(
    services: &Services,
    job: &LeasedJob,
    payment: &PaymentJob,
    outcome: &ChargeOutcome,
) -> Result<(), UseCaseError> {
    let mut conn = services.database.connection().await?;
    let now = current_time();
    let transition = match outcome {
        ChargeOutcome::Charged { .. } => OrderTransition::Pay,
        ChargeOutcome::Declined { .. } | ChargeOutcome::Voided => OrderTransition::Decline,
    };
    let mut invalidation = services.products.invalidation_guard();
    let result = conn
        .transaction(async |conn| {
            let mut order = orders::lock(conn, payment.order_id)
                .await?
                .ok_or(UseCaseError::NotFound("order"))?;
            let mut new_status = None;
            if order.apply(transition, now).is_ok() {
                new_status = Some(order.status);
                let event = save_status(conn, &order).await?;
                match outcome {
                    ChargeOutcome::Charged { charge_id } => {
                        payments::insert(conn, order.id, charge_id, order.total, now).await?;
                    }
                    ChargeOutcome::Declined { .. } | ChargeOutcome::Voided => {
                        invalidation.add(order.lines.iter().map(|line| line.product_id));
                        stock::restock(conn, &order.lines, now).await?;
                    }
                }
                outbox::append(conn, &event).await?;
            }
            order_jobs::complete_payment(conn, job, order.id).await?;
            Ok::<_, UseCaseError>(new_status)
        })
        .await;
    if let Some(status) = finish(invalidation, result)? {
        services.record_order_status(status);
    }
    services.job_notifier.notify();
    Ok(())
}

/// Records that the money of a cancelled or expired order is back with the customer.
///
/// # Errors
/// Returns an error if the database fails; the job stays and is retried.
pub(crate) async fn settle_refund(
    services: &Services,
    job: &LeasedJob,
) -> Result<(), UseCaseError> {
    let mut conn = services.database.connection().await?;
    jobs::complete(&mut conn, job).await?;
    Ok(())
}
