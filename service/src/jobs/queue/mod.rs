//! The job queue: runs the jobs of each registered kind.
//!
//! # Problem
//! Each kind of background work needs the same: one worker at a time, retries, a limit to them, a
//! hand-over when the process stops, and metrics. A copy of that for each kind is where the copies differ.
//!
//! # How it works
//! A kind is a [`Job`]: a name, a payload and `run`. Everything else is the [`JobWorker`], one for each
//! kind and process:
//!
//! ```text
//! lease (commit) -> run: call other systems, no transaction open -> complete in the transaction of the work
//! ```
//!
//! - The worker dies: the lease expires, and the job is due again.
//! - `run` fails: the job is retried with backoff; after `max_attempts`, and not before
//!   `min_retry_duration`, it is dead-lettered and waits for an operator (`orderly jobs`).
//! - `run` cannot begin, for instance because a circuit breaker is open: the job is released, and the
//!   attempt does not count.
//! - `run` panics or outlasts its lease: only this job is affected.
//! - The payload is unreadable: the job is retried like one that failed. During a rolling upgrade the
//!   version that wrote the payload may lease it next (`migrations/README.md`).
//! - The service stops: jobs in progress finish, leased ones that have not begun are released, so that
//!   another replica has them immediately.
//!
//! To add a kind:
//! 1. Write its payload, with the name of the kind, in the use case that causes the job. If several use
//!    cases do, or a statement spells the name out, write it in `storage`, as `storage/order_jobs.rs` does.
//! 2. Insert the job with `storage::jobs::enqueue`, in the transaction of that use case.
//! 3. Write its `Job` in a file of this folder's parent, such as `jobs/order_expiry.rs`.
//! 4. Register it with one entry of `JOB_KINDS` in `app/jobs.rs`.
//!
//! A kind may use the settings of another one, or have a section of its own: one line in `config/mod.rs`.
//!
//! # Tests
//! `tests/api/jobs/queue.rs`, `tests/api/payments` and `tests/api/orders/races.rs`.

mod attempt;
mod worker;

use serde::de::DeserializeOwned;

pub use worker::JobWorker;

use crate::storage::jobs::LeasedJob;
use crate::usecases::UseCaseError;

/// A kind of job.
pub trait Job: Clone + Send + Sync + 'static {
    /// Name of the kind in the table, in metrics, logs and `orderly jobs`.
    const KIND: &'static str;

    /// Outcomes that [`run`](Self::run) returns. Their series exist from the start.
    const OUTCOMES: &'static [&'static str];

    /// Whether a job notification wakes the worker. A kind whose jobs are due later needs only the poll.
    const WAKES_ON_NOTIFICATION: bool = true;

    /// Work to do, read from the JSON of the row.
    type Payload: DeserializeOwned + Send + Sync;

    /// Runs a job and completes it, both so that a second run does no harm. Returns one of
    /// [`OUTCOMES`](Self::OUTCOMES), a label value of `orderly_job_attempts_total`.
    fn run(
        &self,
        payload: &Self::Payload,
        job: &LeasedJob,
    ) -> impl Future<Output = Result<&'static str, JobError>> + Send;

    /// Number of jobs that may be leased now, beside the concurrency; `None` means any number.
    fn available_permits(&self) -> Option<usize> {
        None
    }
}

/// Reason why a job was not completed.
#[derive(Debug)]
pub enum JobError {
    /// Nothing was attempted; the job is released.
    NotAttempted,
    /// Another attempt may succeed.
    Transient(String),
    /// No further attempt will succeed; the job is dead-lettered.
    Permanent(String),
}

impl From<UseCaseError> for JobError {
    fn from(error: UseCaseError) -> Self {
        Self::Transient(error.to_string())
    }
}
