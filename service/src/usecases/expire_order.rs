//! An order is still unpaid when its time is over.
//!
//! The payment may be in progress at this moment. As in [`cancel_order`](super::cancel_order), the lock on
//! the order's row decides which of both comes first, and a charge that has begun becomes a refund: a late
//! charge cannot win. Tests: `expiry_races_with_payment_consistently` in `tests/api/orders/races.rs`, and
//! `tests/api/jobs/expiry.rs`.

use super::clock::current_time;
use super::commit_outcome::finish;
use super::status_change::end_unpaid_order;
use super::{Services, UseCaseError};
use crate::domain::ids::OrderId;
use crate::domain::order_status::{OrderStatus, OrderTransition};
use crate::storage::jobs::{self, LeasedJob};
use crate::storage::{AsyncConnection as _, orders};

/// Ends an order that is still pending and puts its stock back. Returns `false` if it is not pending any
/// more. Either way the job is completed.
///
/// # Errors
/// Returns an error if the database fails; the job stays and is retried.
pub(crate) async fn expire_order(
    services: &Services,
    job: &LeasedJob,
    order_id: OrderId,
) -> Result<bool, UseCaseError> {
    let mut conn = services.database.connection().await?;
    let now = current_time();
    let mut invalidation = services.products.invalidation_guard();
    let result = conn
        .transaction(async |conn| {
            let mut order = orders::lock(conn, order_id)
                .await?
                .ok_or(UseCaseError::NotFound("order"))?;
            let is_pending = order.status == OrderStatus::Pending;
            if is_pending {
                let expire = OrderTransition::Expire;
                end_unpaid_order(conn, &mut order, expire, now, &mut invalidation).await?;
            } else {
                jobs::complete(conn, job).await?;
            }
            Ok::<_, UseCaseError>(is_pending)
        })
        .await;
    let has_expired = finish(invalidation, result)?;
    if has_expired {
        services.record_order_status(OrderStatus::PaymentFailed);
        services.job_notifier.notify();
    }
    Ok(has_expired)
}
