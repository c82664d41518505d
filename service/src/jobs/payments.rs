//! The payment worker: leases due jobs, asks the gateway, settles.
//!
//! ```text
//! lease (commit) -> charge over HTTP, no transaction open -> settle (commit)
//! ```
//!
//! - Dies before the charge: the lease ends, the job is due again.
//! - Dies after the charge: the same, and the gateway knows the idempotency key
//!   (the order's id), so asking again charges nothing.
//! - The gateway says no: the order has failed, its stock goes back.
//! - The gateway says nothing, or that it can't: try again later, with backoff;
//!   after `payments.max_attempts` tries the job is given up and waits for a
//!   person (`orderly jobs`).
//!
//! See it break: `payments.rs`, `payment_workers.rs` and `races.rs` in `tests/api`.

use std::sync::Arc;

use chrono::Utc;
use prometheus::IntCounterVec;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Wakeups;
use crate::config::PaymentsConfig;
use crate::domain::ids::new_v7;
use crate::payments::{ChargeOutcome, GatewayError, PaymentGateway, RefundOutcome};
use crate::resilience::backoff::Backoff;
use crate::storage::error::StorageError;
use crate::storage::payment_jobs::{self, JobKind, LeasedJob};
use crate::usecases::settle_payment::{settle_charge, settle_refund};
use crate::usecases::{Services, UseCaseError};

/// What the worker needs. Clones share it.
#[derive(Clone)]
pub struct PaymentWorker {
    /// For the database.
    pub services: Services,
    /// Whom to ask.
    pub gateway: PaymentGateway,
    /// How patiently.
    pub config: PaymentsConfig,
    /// Counts the tries by outcome.
    pub outcomes: IntCounterVec,
}

impl PaymentWorker {
    /// Works until told to stop, on up to `payments.concurrency` jobs at once,
    /// then ends those.
    pub async fn run(self, wakeups: Arc<Wakeups>, stop: CancellationToken) {
        let mut at_work = JoinSet::new();
        let mut may_be_more = true;
        while !stop.is_cancelled() {
            let free = self.config.concurrency.saturating_sub(at_work.len());
            if may_be_more && free > 0 {
                let leased = self.lease(free).await;
                may_be_more = leased.len() == free;
                for job in leased {
                    let worker = self.clone();
                    at_work.spawn(async move { worker.work_on(&job).await });
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = wakeups.payments.notified() => may_be_more = true,
                () = tokio::time::sleep(self.config.poll_interval) => may_be_more = true,
                Some(_) = at_work.join_next() => {}
            }
        }
        while at_work.join_next().await.is_some() {}
    }

    /// Takes up to `limit` due jobs; none if the database is away.
    pub async fn lease(&self, limit: usize) -> Vec<LeasedJob> {
        let leased = async {
            let mut conn = self.services.database.connection().await?;
            let token = new_v7(Utc::now());
            payment_jobs::lease(&mut conn, token, self.config.lease, limit).await
        };
        leased.await.unwrap_or_else(|error: StorageError| {
            tracing::warn!(%error, "no payment jobs can be leased");
            Vec::new()
        })
    }

    /// Asks the gateway about one job and settles what it says.
    pub async fn work_on(&self, job: &LeasedJob) {
        let asked = match job.kind {
            JobKind::Charge => self.charge(job).await,
            JobKind::Refund => self.refund(job).await,
        };
        let settled = match asked {
            Ok(outcome) => Ok(outcome),
            Err(Failure::Gateway(error)) => self.put_off(job, &error).await,
            // Our own trouble ends like the gateway's: not by trying for ever.
            Err(Failure::Settling(error)) if job.attempt >= self.config.max_attempts => {
                self.give_up(job, &error.to_string()).await
            }
            Err(Failure::Settling(error)) => Err(error),
        };
        match settled {
            Ok(outcome) => {
                self.outcomes.with_label_values(&[outcome]).inc();
                tracing::info!(order_id = %job.order_id, attempt = job.attempt, outcome, "payment");
            }
            // The lease ends, and the job is due again.
            Err(error) => {
                tracing::warn!(order_id = %job.order_id, %error, "a payment can't be settled now");
            }
        }
    }

    async fn charge(&self, job: &LeasedJob) -> Result<&'static str, Failure> {
        let currency = job.amount.currency().code();
        let outcome = self
            .gateway
            .charge(job.order_id.0, job.amount.minor(), currency)
            .await?;
        settle_charge(&self.services, job, &outcome).await?;
        Ok(match outcome {
            ChargeOutcome::Charged { .. } => "charged",
            ChargeOutcome::Declined { .. } => "declined",
            ChargeOutcome::Voided => "voided",
        })
    }

    async fn refund(&self, job: &LeasedJob) -> Result<&'static str, Failure> {
        let outcome = self.gateway.refund(job.order_id.0).await?;
        settle_refund(&self.services, job).await?;
        Ok(match outcome {
            RefundOutcome::Refunded { .. } => "refunded",
            RefundOutcome::Voided => "voided",
        })
    }

    async fn put_off(
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
        if error.is_transient() && job.attempt < self.config.max_attempts {
            let delay = backoff.delay(job.attempt, rand::random());
            payment_jobs::retry_later(&mut conn, job, delay, &reason).await?;
            return Ok("retried");
        }
        drop(conn);
        self.give_up(job, &reason).await
    }

    async fn give_up(&self, job: &LeasedJob, reason: &str) -> Result<&'static str, UseCaseError> {
        let mut conn = self.services.database.connection().await?;
        tracing::error!(order_id = %job.order_id, reason, "a payment was given up");
        payment_jobs::bury(&mut conn, job, reason).await?;
        Ok("buried")
    }
}

enum Failure {
    Gateway(GatewayError),
    Settling(UseCaseError),
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        Self::Gateway(error)
    }
}

impl From<UseCaseError> for Failure {
    fn from(error: UseCaseError) -> Self {
        Self::Settling(error)
    }
}
