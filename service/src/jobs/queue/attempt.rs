//! One attempt at one job: runs it, and releases, reschedules or dead-letters it if it is not completed.

use std::time::Duration;

use tokio::time::Instant;
use tracing::Span;

use super::worker::JobWorker;
use super::{Job, JobError};
use crate::resilience::backoff::Backoff;
use crate::storage::error::StorageError;
use crate::storage::jobs::{self, LeasedJob};

/// Transient, because a newer version may have written the payload: one of its workers can run the job.
const UNREADABLE_PAYLOAD: &str = "unreadable payload";

impl<J: Job> JobWorker<J> {
    /// Runs one job and ends its lease.
    pub async fn process(&self, job: &LeasedJob) {
        let started = Instant::now();
        let result = match serde_json::from_value(job.payload.clone()) {
            Ok(payload) => self.job.run(&payload, job).await,
            // The text of the error may quote the payload.
            Err(_) => Err(JobError::Transient(UNREADABLE_PAYLOAD.to_owned())),
        };
        let outcome = match result {
            Ok(outcome) => {
                let (key, attempt) = (job.key.as_str(), job.attempt);
                tracing::info!(kind = J::KIND, key, attempt, outcome, "job completed");
                Ok(outcome)
            }
            Err(JobError::NotAttempted) => self.release(job, self.config.poll_interval).await,
            Err(JobError::Transient(reason)) if !self.is_exhausted(job) => {
                self.reschedule(job, &reason).await
            }
            Err(JobError::Transient(reason) | JobError::Permanent(reason)) => {
                self.dead_letter(job, &reason).await
            }
        };
        let duration = self.metrics.job_duration.with_label_values(&[J::KIND]);
        duration.observe(started.elapsed().as_secs_f64());
        self.record(job, outcome);
    }

    pub(super) fn record(&self, job: &LeasedJob, outcome: Result<&'static str, StorageError>) {
        match outcome {
            Ok(outcome) => {
                self.count_outcome(outcome);
                Span::current().record("orderly.outcome", outcome);
            }
            // The lease expires, and the job is due again.
            Err(error) => {
                Span::current().record("otel.status_code", "ERROR");
                let key = job.key.as_str();
                tracing::warn!(kind = J::KIND, key, %error, "job update failed");
            }
        }
    }

    /// Logged at DEBUG: while a circuit breaker is open, each job is released again and again.
    pub(super) async fn release(
        &self,
        job: &LeasedJob,
        delay: Duration,
    ) -> Result<&'static str, StorageError> {
        let mut conn = self.database.connection().await?;
        jobs::release(&mut conn, job, delay).await?;
        let (key, attempt) = (job.key.as_str(), job.attempt);
        tracing::debug!(kind = J::KIND, key, attempt, "job released");
        Ok("released")
    }

    async fn reschedule(
        &self,
        job: &LeasedJob,
        reason: &str,
    ) -> Result<&'static str, StorageError> {
        let backoff = Backoff {
            base: self.config.backoff_base,
            cap: self.config.backoff_cap,
        };
        let delay = backoff.delay(job.attempt, rand::random());
        let mut conn = self.database.connection().await?;
        jobs::reschedule(&mut conn, job, delay, reason).await?;
        tracing::warn!(
            kind = J::KIND,
            key = job.key,
            attempt = job.attempt,
            reason,
            retry_in_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
            "job rescheduled"
        );
        Ok("rescheduled")
    }

    /// Returns `true` once both the attempt limit and the time limit are exceeded, so that an outage alone
    /// never dead-letters a job.
    fn is_exhausted(&self, job: &LeasedJob) -> bool {
        job.attempt >= self.config.max_attempts && job.age >= self.config.min_retry_duration
    }

    async fn dead_letter(
        &self,
        job: &LeasedJob,
        reason: &str,
    ) -> Result<&'static str, StorageError> {
        let mut conn = self.database.connection().await?;
        jobs::dead_letter(&mut conn, job, reason).await?;
        tracing::error!(
            kind = J::KIND,
            key = job.key,
            attempt = job.attempt,
            reason,
            "job dead-lettered"
        );
        Ok("dead_lettered")
    }
}
