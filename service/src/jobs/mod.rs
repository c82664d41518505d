//! The second way in: work that nobody waits for.
//!
//! Each job is a loop that can be told to stop and then ends what it has begun;
//! `lifecycle::supervisor` starts it again if it panics. Many replicas
//! run the same jobs on the same database: leases and locks there see to it that
//! each piece of work is done by one of them at a time.

pub(crate) mod cache_invalidations;
pub(crate) mod expired_keys;
pub(crate) mod idle_connections;
pub(crate) mod job_notifications;
pub mod order_expiry;
pub mod outbox_relay;
pub mod payment;
pub mod queue;
pub(crate) mod queue_depth;
pub(crate) mod rate_limit_sweep;
pub(crate) mod search_keys;

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::resilience::deadline::{self, DeadlineExceeded};

/// Upper bound on the database work of a job. A Postgres that hangs does not enforce its own statement
/// timeout. The job stops waiting and continues with the Postgres that takes over. Longer than any
/// statement of a job may take.
const QUERY_TIMEOUT: Duration = Duration::from_mins(1);

/// Wakes the workers and the relay when a notification comes.
#[derive(Default)]
pub struct JobWakeups(watch::Sender<()>);

impl JobWakeups {
    /// Returns a receiver that changes with each notification from now on.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }

    fn wake_all(&self) {
        self.0.send_replace(());
    }
}

/// What a job asks of the database at a time, no longer than [`QUERY_TIMEOUT`].
async fn with_timeout<T, E: From<DeadlineExceeded>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    deadline::with_deadline(Instant::now() + QUERY_TIMEOUT, work).await?
}

/// Waits for `duration`, or until told to stop. `true`: go on.
async fn sleep_unless_stopped(stop: &CancellationToken, duration: Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(duration) => true,
    }
}
