//! The worker of one kind: leases due jobs and runs them, up to its concurrency.

use std::time::Duration;

use chrono::Utc;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::Job;
use crate::config::JobConfig;
use crate::domain::ids::new_v7;
use crate::jobs::with_timeout;
use crate::resilience::deadline;
use crate::storage::database::Database;
use crate::storage::error::StorageError;
use crate::storage::jobs::{self, LeasedJob};
use crate::telemetry::metrics::JobMetrics;
use crate::telemetry::trace_context;

/// Runs the jobs of one kind. Clones share the metrics.
#[derive(Clone)]
pub struct JobWorker<J> {
    /// Kind to run.
    pub job: J,
    /// Pool for leases and their ends.
    pub database: Database,
    /// Concurrency, leases and retries.
    pub config: JobConfig,
    /// Attempts by outcome.
    pub metrics: JobMetrics,
}

impl<J: Job> JobWorker<J> {
    /// Works on up to `concurrency` jobs at a time until `stop`, then finishes those.
    pub async fn run(self, mut notifications: watch::Receiver<()>, stop: CancellationToken) {
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
                Ok(()) = notifications.changed(), if J::WAKES_ON_NOTIFICATION => may_be_more = true,
                () = tokio::time::sleep(self.config.poll_interval) => may_be_more = true,
                Some(result) = tasks.join_next() => self.record_task_end(&result),
            }
        }
        while let Some(result) = tasks.join_next().await {
            self.record_task_end(&result);
        }
    }

    /// A panic ends the work on its own job only; the lease expires, and the job is due again.
    fn record_task_end(&self, result: &Result<(), JoinError>) {
        if let Err(error) = result {
            self.count_outcome("panicked");
            tracing::error!(kind = J::KIND, %error, "job panicked");
        }
    }

    pub(super) fn count_outcome(&self, outcome: &str) {
        let attempts = &self.metrics.job_attempts;
        attempts.with_label_values(&[J::KIND, outcome]).inc();
    }

    /// Number of jobs to lease: what the concurrency leaves, and what the kind permits.
    fn free_slots(&self, running: usize) -> usize {
        let free = self.config.concurrency.saturating_sub(running);
        self.job
            .available_permits()
            .map_or(free, |permits| free.min(permits))
    }

    /// Leases up to `limit` due jobs; none if the database is unavailable.
    pub async fn lease(&self, limit: usize) -> Vec<LeasedJob> {
        let lease_jobs = async {
            let mut conn = self.database.connection().await?;
            let (token, duration) = (new_v7(Utc::now()), self.config.lease_duration);
            jobs::lease(&mut conn, J::KIND, token, duration, limit).await
        };
        with_timeout(lease_jobs)
            .await
            .unwrap_or_else(|error: StorageError| {
                tracing::warn!(kind = J::KIND, %error, "job lease failed");
                Vec::new()
            })
    }

    /// Works on one job, or releases it if there is no time to begin: the lease of a process that ends
    /// would hide the job until it expires.
    pub async fn process_unless_stopped(&self, job: &LeasedJob, stop: &CancellationToken) {
        if stop.is_cancelled() {
            self.record(job, self.release(job, Duration::ZERO).await);
            return;
        }
        let lease_end = Instant::now() + self.config.lease_duration;
        let work = deadline::with_deadline(lease_end, self.process(job));
        let span = job_span::<J>(job);
        if work.instrument(span.clone()).await.is_err() {
            let _entered = span.enter();
            tracing::warn!(kind = J::KIND, key = job.key, "job outlasted its lease");
        }
    }
}

/// A trace of its own, linked to the request that caused the job and ended long ago.
fn job_span<J: Job>(job: &LeasedJob) -> Span {
    let span = tracing::info_span!(
        parent: None,
        "job",
        otel.name = %format_args!("{} job", J::KIND),
        otel.kind = "consumer",
        otel.status_code = Empty,
        orderly.job_key = job.key,
        orderly.attempt = job.attempt,
        orderly.outcome = Empty,
    );
    trace_context::link(&span, job.trace_context.as_deref());
    span
}
