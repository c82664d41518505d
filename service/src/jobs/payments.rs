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
//!   after `payments.max_attempts` tries, and not before `payments.min_retry_duration`,
//!   the job is given up and waits for a person (`orderly jobs`).
//! - The gateway's circuit breaker is open: nobody is asked, no try is used up.
//! - The service stops: what was asked is settled, what was only leased is handed
//!   back, and another replica has it at once.
//!
//! See it break: `tests/api/payments` and `tests/api/orders/races.rs`.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use prometheus::IntCounterVec;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::{JobWakeups, with_timeout};
use crate::config::PaymentsConfig;
use crate::domain::ids::new_v7;
use crate::payments::ResilientGateway;
use crate::resilience::deadline;
use crate::storage::error::StorageError;
use crate::storage::payment_jobs::{self, LeasedJob};
use crate::telemetry::trace_context;
use crate::usecases::Services;

/// What the worker needs. Clones share it.
#[derive(Clone)]
pub struct PaymentWorker {
    /// For the database.
    pub services: Services,
    /// Whom to ask.
    pub gateway: ResilientGateway,
    /// How patiently.
    pub config: PaymentsConfig,
    /// Counts the tries by outcome.
    pub outcomes: IntCounterVec,
}

impl PaymentWorker {
    /// Works until told to stop, on up to `payments.concurrency` jobs at once,
    /// then ends those.
    pub(crate) async fn run(self, wakeups: Arc<JobWakeups>, stop: CancellationToken) {
        let mut tasks = JoinSet::new();
        let mut may_be_more = true;
        while !stop.is_cancelled() {
            let slots = self.free_slots(tasks.len());
            if may_be_more && slots > 0 {
                let leased = self.lease(slots).await;
                may_be_more = leased.len() == slots;
                for job in leased {
                    let (worker, stop) = (self.clone(), stop.clone());
                    tasks.spawn(async move { worker.process_unless_stopped(&job, &stop).await });
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = wakeups.payments.notified() => may_be_more = true,
                () = tokio::time::sleep(self.config.poll_interval) => may_be_more = true,
                Some(result) = tasks.join_next() => self.record_task_end(&result),
            }
        }
        while let Some(result) = tasks.join_next().await {
            self.record_task_end(&result);
        }
    }

    /// A panic ends its own job's work only; the lease ends, and the job is due again.
    fn record_task_end(&self, result: &Result<(), JoinError>) {
        if let Err(error) = result {
            self.outcomes.with_label_values(&["panicked"]).inc();
            tracing::error!(%error, "the work on a payment panicked");
        }
    }

    /// How many more jobs to lease: what the concurrency leaves, and no more than
    /// the gateway's breaker would let through.
    fn free_slots(&self, running: usize) -> usize {
        let free = self.config.concurrency.saturating_sub(running);
        match self.gateway.available_permits() {
            Some(permits) => free.min(usize::try_from(permits).unwrap_or(usize::MAX)),
            None => free,
        }
    }

    /// Leases up to `limit` due jobs; none if the database is away.
    pub async fn lease(&self, limit: usize) -> Vec<LeasedJob> {
        let lease_jobs = async {
            let mut conn = self.services.database.connection().await?;
            let token = new_v7(Utc::now());
            payment_jobs::lease(&mut conn, token, self.config.lease_duration, limit).await
        };
        with_timeout(lease_jobs)
            .await
            .unwrap_or_else(|error: StorageError| {
                tracing::warn!(%error, "no payment jobs can be leased");
                Vec::new()
            })
    }

    /// Works on one job, or gives it back to the others if there is no time to
    /// begin: a lease of a process that ends would hide the job until it is over.
    pub async fn process_unless_stopped(&self, job: &LeasedJob, stop: &CancellationToken) {
        if stop.is_cancelled() {
            self.record_outcome(job, self.release(job, Duration::ZERO).await);
        } else {
            let lease_end = Instant::now() + self.config.lease_duration;
            let work = deadline::with_deadline(lease_end, self.process(job));
            let span = job_span(job);
            if work.instrument(span.clone()).await.is_err() {
                let _entered = span.enter();
                tracing::warn!(order_id = %job.order_id, "a payment took longer than its lease");
            }
        }
    }
}

/// A trace of its own: the request that caused the job was answered long ago.
fn job_span(job: &LeasedJob) -> Span {
    let span = tracing::info_span!(
        parent: None,
        "payment",
        otel.name = %format_args!("payment {}", job.kind.as_str()),
        otel.kind = "consumer",
        otel.status_code = Empty,
        orderly.order_id = %job.order_id,
        orderly.attempt = job.attempt,
        orderly.outcome = Empty,
    );
    trace_context::link(&span, job.trace_context.as_deref());
    span
}
