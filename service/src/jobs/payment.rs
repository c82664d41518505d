//! The job kind `payment`: asks the gateway to charge or refund, and settles.
//!
//! # How it works
//! The payment of an order is committed with the order and made afterwards, by this job.
//!
//! - The worker dies after the charge: the lease expires, and the gateway knows the idempotency key (the
//!   order's id), so the next attempt charges nothing.
//! - The gateway declines: the payment of the order has failed, its stock goes back.
//! - The gateway does not respond, or cannot: another attempt later.
//! - The gateway's circuit breaker is open: no call is made, and no attempt is used up.
//!
//! # Tests
//! `tests/api/payments` and `tests/api/orders/races.rs`.

use super::queue::{Job, JobError};
use crate::payments::{ResilientGateway, ResilientGatewayError};
use crate::storage::jobs::LeasedJob;
use crate::storage::order_jobs::{PaymentJob, PaymentOperation};
use crate::usecases::Services;
use crate::usecases::settle_payment::{settle_charge, settle_refund};

/// Makes payments. Clones share the gateway.
#[derive(Clone)]
pub struct Payments {
    /// For the database.
    pub services: Services,
    /// Gateway to call.
    pub gateway: ResilientGateway,
}

impl Job for Payments {
    const KIND: &'static str = PaymentJob::KIND;
    const OUTCOMES: &'static [&'static str] = &["charged", "declined", "voided", "refunded"];
    type Payload = PaymentJob;

    async fn run(&self, payment: &PaymentJob, job: &LeasedJob) -> Result<&'static str, JobError> {
        match payment.operation {
            PaymentOperation::Charge => {
                let outcome = self
                    .gateway
                    .charge(payment.order_id, payment.amount)
                    .await?;
                settle_charge(&self.services, job, payment, &outcome).await?;
                Ok(outcome.as_str())
            }
            PaymentOperation::Refund => {
                let outcome = self.gateway.refund(payment.order_id).await?;
                settle_refund(&self.services, job).await?;
                Ok(outcome.as_str())
            }
        }
    }

    /// No more than the breaker lets through.
    fn available_permits(&self) -> Option<usize> {
        let permits = self.gateway.available_permits()?;
        Some(usize::try_from(permits).unwrap_or(usize::MAX))
    }
}

impl From<ResilientGatewayError> for JobError {
    fn from(error: ResilientGatewayError) -> Self {
        match error {
            ResilientGatewayError::CircuitOpen => Self::NotAttempted,
            ResilientGatewayError::Gateway(error) if error.is_transient() => {
                Self::Transient(error.to_string())
            }
            ResilientGatewayError::Gateway(error) => Self::Permanent(error.to_string()),
        }
    }
}
