//! The deadline: how long anybody still waits for the answer.
//!
//! A timeout at each hop adds up: three waits of five seconds keep a client
//! waiting for fifteen, who left after ten, and the work goes on for nobody. A
//! deadline is one point in time for the whole request. It is set once, where the
//! request comes in, and every wait below (pool, statement, Redis, gateway) asks
//! how much is left (`bounded_timeout`).
//!
//! It travels beside the code, in a task-local, so that no function has to pass
//! it on. What a job does has one as well: a payment's is the end of its lease.
//!
//! See it break: the drill `postgres_frozen`, and `tests/api/http/deadlines.rs`.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

tokio::task_local! {
    static DEADLINE: Deadline;
}

#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    /// Whether the client chose it.
    is_requested: bool,
}

/// The time was over before the work was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deadline of the request is over")]
pub struct DeadlineExceeded;

/// Runs `work` with a deadline; it is dropped when the time is over.
///
/// # Errors
/// Returns [`DeadlineExceeded`] if `work` is not done by then.
pub async fn with_deadline<T>(
    deadline: Instant,
    work: impl Future<Output = T>,
) -> Result<T, DeadlineExceeded> {
    with_request_deadline(deadline, false, work).await
}

/// Runs `work` with the deadline of a request. If `is_requested`, the client chose it, and its
/// passing is no failure of the service.
///
/// # Errors
/// Returns [`DeadlineExceeded`] if `work` is not done by then.
pub(crate) async fn with_request_deadline<T>(
    at: Instant,
    is_requested: bool,
    work: impl Future<Output = T>,
) -> Result<T, DeadlineExceeded> {
    DEADLINE
        .scope(Deadline { at, is_requested }, timeout_at(at, work))
        .await
        .map_err(|_| DeadlineExceeded)
}

/// Returns `true` if the deadline of the current work has passed and the client chose it.
pub(crate) fn has_requested_deadline_passed() -> bool {
    DEADLINE
        .try_with(|deadline| deadline.is_requested && deadline.at <= Instant::now())
        .unwrap_or(false)
}

/// Tells `work` its deadline and does not hold it to that: so a test can see whether it
/// keeps it by itself.
#[cfg(test)]
pub(crate) fn with_unenforced_deadline<T>(
    at: Instant,
    work: impl Future<Output = T>,
) -> impl Future<Output = T> {
    let is_requested = false;
    DEADLINE.scope(Deadline { at, is_requested }, work)
}

/// `work` with the deadline of who calls this, on whichever task it is run.
pub(crate) fn with_current_deadline<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let deadline = DEADLINE.try_with(|deadline| *deadline).ok();
    async move {
        match deadline {
            Some(deadline) => DEADLINE.scope(deadline, work).await,
            None => work.await,
        }
    }
}

/// What is left until the deadline of the current work: `None` if it has none.
pub fn remaining() -> Option<Duration> {
    let deadline = DEADLINE.try_with(|deadline| deadline.at).ok()?;
    Some(deadline.saturating_duration_since(Instant::now()))
}

/// `timeout`, or what is left until the deadline if that is less.
///
/// # Errors
/// Returns [`DeadlineExceeded`] if nothing is left: do not even begin.
pub(crate) fn bounded_timeout(timeout: Duration) -> Result<Duration, DeadlineExceeded> {
    match remaining() {
        None => Ok(timeout),
        Some(Duration::ZERO) => Err(DeadlineExceeded),
        Some(remaining) => Ok(remaining.min(timeout)),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn timeout_is_bounded_by_deadline() {
        assert_eq!(bounded_timeout(5 * SECOND), Ok(5 * SECOND), "no deadline");
        with_deadline(Instant::now() + 3 * SECOND, async {
            assert_eq!(bounded_timeout(5 * SECOND), Ok(3 * SECOND));
            assert_eq!(bounded_timeout(SECOND), Ok(SECOND));
            tokio::time::advance(2 * SECOND).await;
            assert_eq!(bounded_timeout(5 * SECOND), Ok(SECOND));
        })
        .await
        .unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_dropped_at_its_deadline() {
        let began = Instant::now();
        let result = with_deadline(began + SECOND, tokio::time::sleep(9 * SECOND)).await;
        assert_eq!(result, Err(DeadlineExceeded));
        assert_eq!(began.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn only_client_is_responsible_for_requested_deadline() {
        for is_requested in [true, false] {
            let at = Instant::now() + SECOND;
            let scope = Deadline { at, is_requested };
            let work = async {
                assert!(!has_requested_deadline_passed());
                tokio::time::advance(SECOND).await;
                has_requested_deadline_passed()
            };
            assert_eq!(DEADLINE.scope(scope, work).await, is_requested);
        }
        assert!(!has_requested_deadline_passed(), "no deadline");
    }

    #[tokio::test(start_paused = true)]
    async fn returns_deadline_exceeded_when_no_time_is_left() {
        let expired = Instant::now();
        let result = with_unenforced_deadline(expired, async { bounded_timeout(SECOND) }).await;
        assert_eq!(result, Err(DeadlineExceeded));
    }
}
