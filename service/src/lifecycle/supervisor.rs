//! Background tasks that come back.
//!
//! A task that panics is gone without a sound: the process lives, the probes are
//! green, and no payment is ever made again. So each is watched: when it ends
//! without having been told to, it is started again, after a wait that grows, and
//! counted in `orderly_task_restarts_total{task}`.

use std::future::Future;
use std::time::{Duration, Instant};

use prometheus::IntCounterVec;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::resilience::backoff::Backoff;

const RESTART_BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(1),
    cap: Duration::from_secs(30),
};

/// A task that ran for this long has recovered: its next wait is short again.
const RECOVERED_AFTER: Duration = Duration::from_secs(60);

/// The tasks that run, and the way to end them.
#[derive(Clone)]
pub(crate) struct Supervisor {
    stop: CancellationToken,
    tasks: TaskTracker,
    restarts: IntCounterVec,
}

impl Supervisor {
    /// Supervises nothing yet; `restarts` is `orderly_task_restarts_total{task}`.
    pub(crate) fn new(restarts: IntCounterVec) -> Self {
        Self {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            restarts,
        }
    }

    /// Starts `task`, and starts it again whenever it ends before it was told to.
    /// It is told by the token that it gets.
    pub(crate) fn spawn<F>(
        &self,
        name: &'static str,
        task: impl Fn(CancellationToken) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        // The series exists before the first restart, so that its increase is visible.
        let restarts = self.restarts.with_label_values(&[name]);
        self.tasks.spawn(async move {
            let mut failures = 0;
            loop {
                let started = Instant::now();
                let result = tokio::spawn(task(stop.clone())).await;
                if stop.is_cancelled() {
                    return;
                }
                failures = if started.elapsed() < RECOVERED_AFTER {
                    failures + 1
                } else {
                    1
                };
                let reason = result
                    .err()
                    .map_or("it returned".to_owned(), |error| error.to_string());
                tracing::error!(
                    task = name,
                    reason,
                    "a background task ended; it is started again"
                );
                restarts.inc();
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(RESTART_BACKOFF.delay(failures, rand::random())) => {}
                }
            }
        });
    }

    /// Tells all tasks to stop and waits until they have ended what they had
    /// begun. Not to wait so long harms nothing, it only delays: their leases end,
    /// and another replica takes over.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
mod tests {
    use super::*;
    use prometheus::Opts;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::Notify;

    fn supervisor() -> Supervisor {
        let opts = Opts::new("restarts", "restarts");
        Supervisor::new(IntCounterVec::new(opts, &["task"]).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn restarts_and_counts_panicking_task() {
        let supervisor = supervisor();
        let (runs, third) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let (counted, reached) = (Arc::clone(&runs), Arc::clone(&third));
        supervisor.spawn("flaky", move |stop| {
            let (runs, third) = (Arc::clone(&counted), Arc::clone(&reached));
            async move {
                if runs.fetch_add(1, Ordering::SeqCst) < 2 {
                    panic!("not yet");
                }
                third.notify_one();
                stop.cancelled().await;
            }
        });
        third.notified().await;
        assert_eq!(supervisor.restarts.with_label_values(&["flaky"]).get(), 2);
        supervisor.stop().await;
        assert_eq!(
            runs.load(Ordering::SeqCst),
            3,
            "not after it was told to stop"
        );
    }
}
