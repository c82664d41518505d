//! The gateway has answered: what that means for the order.
//!
//! A worker may die between the charge and this. Then its lease ends, another
//! worker asks the gateway again with the same idempotency key, is told of the
//! same charge, and settles. So this must do no harm when it comes twice or too
//! late: the state machine lets an order be paid once, and the job is only
//! deleted by who holds its lease. Run it: `tests/api/payments/leases.rs`.

use super::clock::current_time;
use super::commit_outcome::finish;
use super::status_change::change_status;
use super::{Services, UseCaseError};
use crate::domain::order_status::OrderTransition;
use crate::payments::ChargeOutcome;
use crate::storage::payment_jobs::LeasedJob;
use crate::storage::{AsyncConnection as _, orders, outbox, payment_jobs, payments, stock};

/// Writes down what came of a charge: the order is paid, or it has failed and
/// its stock goes back. If the order was cancelled meanwhile it stays so, and the
/// job, which has become a refund, stays as well.
///
/// # Errors
/// Returns an error if the database fails; the job stays and is retried.
pub(crate) async fn settle_charge(
    services: &Services,
    job: &LeasedJob,
    outcome: &ChargeOutcome,
) -> Result<(), UseCaseError> {
    let mut conn = services.database.connection().await?;
    let now = current_time();
    let transition = match outcome {
        ChargeOutcome::Charged { .. } => OrderTransition::Pay,
        ChargeOutcome::Declined { .. } | ChargeOutcome::Voided => OrderTransition::Decline,
    };
    let mut invalidation = services.products.invalidation_guard();
    let mut new_status = None;
    let result = conn
        .transaction(async |conn| {
            let mut order = orders::lock(conn, job.order_id)
                .await?
                .ok_or(UseCaseError::NotFound("order"))?;
            if let Ok(status) = order.status.apply(transition) {
                new_status = Some(status);
                let event = change_status(conn, &mut order, status, now).await?;
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
            payment_jobs::complete(conn, job).await?;
            Ok::<_, UseCaseError>(())
        })
        .await;
    finish(invalidation, result)?;
    if let Some(status) = new_status {
        services.record_order_status(status);
    }
    services.job_notifier.notify();
    Ok(())
}

/// Writes down that a cancelled order's money is where it belongs.
pub(crate) async fn settle_refund(
    services: &Services,
    job: &LeasedJob,
) -> Result<(), UseCaseError> {
    let mut conn = services.database.connection().await?;
    payment_jobs::complete(&mut conn, job).await?;
    Ok(())
}
