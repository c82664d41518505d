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
pub struct Arrivals {
    /// A second.
    pub rate: f64,
    /// For how long; `None`: until told to stop.
    pub duration: Option<Duration>,
    /// How many may be under way. A generator that let in any number would drown itself, and then
    /// measure that.
    pub most_at_once: usize,
}

/// How it went with the coming.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Came {
    /// All who should have come.
    pub arrivals: u64,
    /// Of these, those who were sent home, as too many were under way. They count as failed.
    pub sent_home: u64,
}

impl Arrivals {
    /// Lets them come, and waits until the last one has left. `visit` is told the customer's
    /// number and when they should have come, which is when their waiting begins.
    pub async fn drive<V, F>(&self, stop: &CancellationToken, visit: V) -> Came
    where
        V: Fn(u64, Instant) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let began = Instant::now();
        let places = Arc::new(Semaphore::new(self.most_at_once));
        let under_way = TaskTracker::new();
        let mut came = Came::default();
        loop {
            let after = Duration::from_secs_f64(came.arrivals as f64 / self.rate);
            if self.duration.is_some_and(|duration| after >= duration) {
                break;
            }
            let due = began + after;
            // One that is overdue comes at once: nobody is left out.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep_until(due) => {}
            }
            match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let visit = visit(came.arrivals, due);
                    under_way.spawn(async move {
                        visit.await;
                        drop(place);
                    });
                }
                Err(_) => came.sent_home += 1,
            }
            came.arrivals += 1;
        }
        under_way.close();
        under_way.wait().await;
        came
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::sync::Mutex;

    use tokio::time::sleep;

    use super::*;

    fn ten_a_second(most_at_once: usize) -> Arrivals {
        Arrivals {
            rate: 10.0,
            duration: Some(Duration::from_secs(3)),
            most_at_once,
        }
    }

    /// The service does not answer during the second second. In a closed model one customer
    /// would wait; here ten come meanwhile, and each waits for what is left of it.
    #[tokio::test(start_paused = true)]
    async fn a_stall_is_counted_for_all_who_came_meanwhile() {
        let waited = Arc::new(Mutex::new(Vec::new()));
        let stall = Instant::now() + Duration::from_secs(1);
        let well_again = stall + Duration::from_secs(1);
        let visit = |_, due: Instant| {
            let waited = Arc::clone(&waited);
            async move {
                if (stall..well_again).contains(&Instant::now()) {
                    sleep_until(well_again).await;
                }
                waited.lock().unwrap().push(due.elapsed().as_millis());
            }
        };
        let came = ten_a_second(100)
            .drive(&CancellationToken::new(), visit)
            .await;
        assert_eq!((came.arrivals, came.sent_home), (30, 0));
        let mut waited = waited.lock().unwrap().clone();
        waited.sort_unstable();
        let long: Vec<_> = waited.into_iter().filter(|wait| *wait > 50).collect();
        assert_eq!(long.len(), 10, "{long:?}");
        assert!(long[9] >= 990 && long[0] >= 90, "{long:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_is_sent_home_and_counted() {
        let slow = |_, _| sleep(Duration::from_secs(10));
        let came = ten_a_second(5).drive(&CancellationToken::new(), slow).await;
        assert_eq!((came.arrivals, came.sent_home), (30, 25));
    }
}
