//! Customers who come at a constant rate, whether or not the earlier ones were served.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// When customers come.
#[derive(Debug, Clone, Copy)]
pub struct ConstantArrivalRate {
    /// Iterations per second.
    pub rate: f64,
    /// For how long; `None`: until told to stop.
    pub duration: Option<Duration>,
    /// How many may be under way. A generator that let in any number would drown itself, and then
    /// measure that.
    pub max_in_flight: usize,
}

/// Numbers of iterations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IterationCounts {
    /// All that should have started.
    pub scheduled: u64,
    /// Of these, those not started, as too many were in flight. They count as failed.
    pub dropped: u64,
}

impl ConstantArrivalRate {
    /// Lets them come, and waits until the last one has left. `iteration` is given the customer's
    /// number and when they should have come, which is when their waiting begins.
    pub async fn run<V, F>(&self, stop: &CancellationToken, iteration: V) -> IterationCounts
    where
        V: Fn(u64, Instant) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let started_at = Instant::now();
        let permits = Arc::new(Semaphore::new(self.max_in_flight));
        let in_flight = TaskTracker::new();
        let mut counts = IterationCounts::default();
        loop {
            let offset = Duration::from_secs_f64(counts.scheduled as f64 / self.rate);
            if self.duration.is_some_and(|duration| offset >= duration) {
                break;
            }
            let due = started_at + offset;
            // One that is overdue comes at once: nobody is left out.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep_until(due) => {}
            }
            match Arc::clone(&permits).try_acquire_owned() {
                Ok(permit) => {
                    let iteration = iteration(counts.scheduled, due);
                    in_flight.spawn(async move {
                        iteration.await;
                        drop(permit);
                    });
                }
                Err(_) => counts.dropped += 1,
            }
            counts.scheduled += 1;
        }
        in_flight.close();
        in_flight.wait().await;
        counts
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::Mutex;

    use tokio::time::sleep;

    use super::*;

    fn ten_per_second(max_in_flight: usize) -> ConstantArrivalRate {
        ConstantArrivalRate {
            rate: 10.0,
            duration: Some(Duration::from_secs(3)),
            max_in_flight,
        }
    }

    /// The service does not answer during the second second. In a closed model one customer
    /// would wait; here ten come meanwhile, and each waits for what is left of it.
    #[tokio::test(start_paused = true)]
    async fn counts_stall_for_every_iteration_due_during_it() {
        let waits = Arc::new(Mutex::new(Vec::new()));
        let stalled_at = Instant::now() + Duration::from_secs(1);
        let recovered_at = stalled_at + Duration::from_secs(1);
        let iteration = |_, due: Instant| {
            let waits = Arc::clone(&waits);
            async move {
                if (stalled_at..recovered_at).contains(&Instant::now()) {
                    sleep_until(recovered_at).await;
                }
                waits.lock().unwrap().push(due.elapsed().as_millis());
            }
        };
        let counts = ten_per_second(100)
            .run(&CancellationToken::new(), iteration)
            .await;
        assert_eq!((counts.scheduled, counts.dropped), (30, 0));
        let mut waits = waits.lock().unwrap().clone();
        waits.sort_unstable();
        let slow: Vec<_> = waits.into_iter().filter(|wait| *wait > 50).collect();
        assert_eq!(slow.len(), 10, "{slow:?}");
        assert!(slow[9] >= 990 && slow[0] >= 90, "{slow:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn drops_and_counts_iterations_above_max_in_flight() {
        let slow = |_, _| sleep(Duration::from_secs(10));
        let counts = ten_per_second(5).run(&CancellationToken::new(), slow).await;
        assert_eq!((counts.scheduled, counts.dropped), (30, 25));
    }
}
