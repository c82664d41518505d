//! The job kind `order_expiry`: ends orders that are still unpaid after `orders.payment_window`.
//!
//! Tests: `tests/api/jobs/expiry.rs`.

use super::queue::{Job, JobError};
use crate::storage::jobs::LeasedJob;
use crate::storage::order_jobs::OrderExpiryJob;
use crate::usecases::Services;
use crate::usecases::expire_order::expire_order;

/// Expires orders.
#[derive(Clone)]
pub struct OrderExpiry(pub Services);

impl Job for OrderExpiry {
    const KIND: &'static str = OrderExpiryJob::KIND;
    const OUTCOMES: &'static [&'static str] = &["expired", "not_pending"];
    const WAKES_ON_NOTIFICATION: bool = false;
    type Payload = OrderExpiryJob;

    async fn run(
        &self,
        expiry: &OrderExpiryJob,
        job: &LeasedJob,
    ) -> Result<&'static str, JobError> {
        let has_expired = expire_order(&self.0, job, expiry.order_id).await?;
        Ok(if has_expired {
            "expired"
        } else {
            "not_pending"
        })
    }
}
