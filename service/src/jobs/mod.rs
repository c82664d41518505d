//! The second way in: work that nobody waits for.
//!
//! Each job is a loop that can be told to stop and then ends what it has begun.
//! Many replicas run the same jobs on the same database: leases and locks there
//! see to it that each piece of work is done by one of them at a time.

pub mod doorbell;
pub mod expired_keys;
pub mod outbox_relay;
pub mod payments;
pub mod queue_depth;

use std::future::Future;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Wakes the jobs that have work when the doorbell rings.
#[derive(Default)]
pub struct Wakeups {
    /// For [`payments`].
    pub payments: Notify,
    /// For [`outbox_relay`].
    pub relay: Notify,
}

impl Wakeups {
    /// There is work for all.
    pub fn all(&self) {
        self.payments.notify_one();
        self.relay.notify_one();
    }
}

/// The jobs that run, and the way to end them.
#[derive(Default)]
pub struct Jobs {
    stop: CancellationToken,
    running: TaskTracker,
}

impl Jobs {
    /// Tells a job to stop when it is cancelled.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a job.
    pub fn start(&self, job: impl Future<Output = ()> + Send + 'static) {
        self.running.spawn(job);
    }

    /// Tells all jobs to stop and waits until they have ended what they had
    /// begun. `false`: some had not when `deadline` was over. That harms nothing,
    /// it only delays: their leases end, and another replica takes over.
    pub async fn stop(&self, deadline: Duration) -> bool {
        self.stop.cancel();
        self.running.close();
        tokio::time::timeout(deadline, self.running.wait())
            .await
            .is_ok()
    }
}

/// Waits for `pause`, or until told to stop. `true`: go on.
async fn pause(stop: &CancellationToken, pause: Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(pause) => true,
    }
}
