//! One attempt at one payment job: calls the gateway, settles, and otherwise releases, reschedules
//! or dead-letters the job; see [`super::payments`].

use std::time::Duration;

use tracing::Span;

use super::payments::PaymentWorker;
use crate::payments::{GatewayError, ResilientGatewayError};
use crate::resilience::backoff::Backoff;
use crate::storage::payment_jobs::{self, JobKind, LeasedJob};
use crate::usecases::UseCaseError;
use crate::usecases::settle_payment::{settle_charge, settle_refund};

/// The outcome of a job that was released without an attempt.
const RELEASED: &str = "released";

enum PaymentFailure {
    CircuitOpen,
    Gateway(GatewayError),
    Settlement(UseCaseError),
}

impl From<ResilientGatewayError> for PaymentFailure {
    fn from(error: ResilientGatewayError) -> Self {
        match error {
            ResilientGatewayError::CircuitOpen => Self::CircuitOpen,
            ResilientGatewayError::Gateway(error) => Self::Gateway(error),
        }
    }
}

impl From<UseCaseError> for PaymentFailure {
    fn from(error: UseCaseError) -> Self {
        Self::Settlement(error)
    }
}

impl PaymentWorker {
    /// Asks the gateway about one job and settles what it says.
    pub async fn process(&self, job: &LeasedJob) {
        let result = match job.kind {
            JobKind::Charge => self.charge(job).await,
            JobKind::Refund => self.refund(job).await,
        };
        let outcome = match result {
            Ok(outcome) => Ok(outcome),
            Err(PaymentFailure::CircuitOpen) => self.release(job, self.config.poll_interval).await,
            Err(PaymentFailure::Gateway(error)) => {
                self.reschedule_or_dead_letter(job, &error).await
            }
            // Our own trouble ends like the gateway's: not by trying for ever.
            Err(PaymentFailure::Settlement(error)) if self.is_exhausted(job) => {
                self.dead_letter(job, &error.to_string()).await
            }
            Err(PaymentFailure::Settlement(error)) => Err(error),
        };
        self.record_outcome(job, outcome);
    }

    pub(super) fn record_outcome(
        &self,
        job: &LeasedJob,
        result: Result<&'static str, UseCaseError>,
    ) {
        match result {
            Ok(outcome) => {
                self.outcomes.with_label_values(&[outcome]).inc();
                Span::current().record("orderly.outcome", outcome);
                let (order_id, attempt) = (job.order_id, job.attempt);
                // Nobody was asked, for hours perhaps: a line for each would be a flood.
                if outcome == RELEASED {
                    tracing::debug!(%order_id, attempt, outcome, "payment");
                } else {
                    tracing::info!(%order_id, attempt, outcome, "payment");
                }
            }
            // The lease ends, and the job is due again.
            Err(error) => {
                Span::current().record("otel.status_code", "ERROR");
                tracing::warn!(order_id = %job.order_id, %error, "a payment can't be settled now");
            }
        }
    }

    async fn charge(&self, job: &LeasedJob) -> Result<&'static str, PaymentFailure> {
        let outcome = self.gateway.charge(job.order_id, job.amount).await?;
        settle_charge(&self.services, job, &outcome).await?;
        Ok(outcome.as_str())
    }

    async fn refund(&self, job: &LeasedJob) -> Result<&'static str, PaymentFailure> {
        let outcome = self.gateway.refund(job.order_id).await?;
        settle_refund(&self.services, job).await?;
        Ok(outcome.as_str())
    }

    pub(super) async fn release(
        &self,
        job: &LeasedJob,
        delay: Duration,
    ) -> Result<&'static str, UseCaseError> {
        let mut conn = self.services.database.connection().await?;
        payment_jobs::release(&mut conn, job, delay).await?;
        Ok(RELEASED)
    }

    async fn reschedule_or_dead_letter(
        &self,
        job: &LeasedJob,
        error: &GatewayError,
    ) -> Result<&'static str, UseCaseError> {
        let backoff = Backoff {
            base: self.config.backoff_base,
            cap: self.config.backoff_cap,
        };
        let reason = error.to_string();
        let mut conn = self.services.database.connection().await?;
        if error.is_transient() && !self.is_exhausted(job) {
            let delay = backoff.delay(job.attempt, rand::random());
            payment_jobs::reschedule(&mut conn, job, delay, &reason).await?;
            tracing::warn!(
                order_id = %job.order_id,
                kind = job.kind.as_str(),
                attempt = job.attempt,
                reason,
                retry_in_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
                "a payment was put off"
            );
            return Ok("rescheduled");
        }
        drop(conn);
        self.dead_letter(job, &reason).await
    }

    /// Whether nothing is to be hoped from another try. Both: an outage is no reason,
    /// however many tries fall into it, and neither is a long wait with few of them.
    fn is_exhausted(&self, job: &LeasedJob) -> bool {
        job.attempt >= self.config.max_attempts && job.age >= self.config.min_retry_duration
    }

    async fn dead_letter(
        &self,
        job: &LeasedJob,
        reason: &str,
    ) -> Result<&'static str, UseCaseError> {
        let mut conn = self.services.database.connection().await?;
        tracing::error!(order_id = %job.order_id, reason, "a payment was given up");
        payment_jobs::dead_letter(&mut conn, job, reason).await?;
        Ok("dead_lettered")
    }
}
