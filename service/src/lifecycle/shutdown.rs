//! Shutting down without losing anything.
//!
//! A process that just exits breaks the requests in flight, and one that just
//! stops to listen refuses the requests that a load balancer still sends, since
//! that learns of the end some seconds later. So the end comes in phases, and the
//! order matters:
//!
//! | phase | what happens | its deadline | when that is over |
//! |---|---|---|---|
//! | `drain_delay` | `/readyz` says 503, requests are still answered, with `Connection: close` | `shutdown.drain_delay` | it always takes that long |
//! | `drain` | no new connections; idle ones are closed at once, requests in flight are answered | `shutdown.drain_timeout` | they are cut; connections that only wait for their client are closed, which is no failure |
//! | `jobs` | what a job has begun it ends, what it has only leased it releases | `shutdown.jobs_timeout` | their leases end later |
//! | `pools` | connections come back and are closed | `shutdown.pools_timeout` | Postgres notices when the process is gone |
//! | (telemetry) | the last spans are exported ([`crate::telemetry::traces::shutdown`]) | `shutdown.telemetry_timeout` | they are lost, which is no failure |
//! | (log) | the last lines are written ([`crate::telemetry::logging::LogFlushGuard`]) | half a second | they are lost |
//!
//! Each has a deadline of its own, so that one that hangs can't take the time of
//! those after it; together they fit into `shutdown.grace_period`, after which the
//! supervisor would use SIGKILL (a rule of the configuration sees to that). The
//! admin listener ends last: until then a probe is told "shutting down" and not
//! refused, and the metrics of the drain can be scraped.
//!
//! The exit code tells a clean end from one where something ran over
//! ([`ShutdownTimedOut`]). A second signal ends the process at once: whoever sends it has
//! waited long enough.
//!
//! See it break: `tests/process/shutdown_phases.rs`, and the drill
//! `sigterm_under_load`.

use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tracing::Instrument as _;

type PhaseFuture = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// One step of the end.
pub(crate) struct ShutdownPhase {
    name: &'static str,
    deadline: Option<Duration>,
    work: PhaseFuture,
    /// Returns whether the phase counts as done when its deadline is over.
    is_complete: Box<dyn Fn() -> bool + Send>,
}

impl ShutdownPhase {
    /// Work that is dropped when `deadline` is over.
    pub(crate) fn with_deadline(
        name: &'static str,
        deadline: Duration,
        work: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) -> Self {
        Self {
            name,
            deadline: Some(deadline),
            work: Box::pin(work),
            is_complete: Box::new(|| false),
        }
    }

    /// The same, except that work which is dropped at the deadline is no failure if `is_complete` returns `true` then.
    pub(crate) fn complete_if(self, is_complete: impl Fn() -> bool + Send + 'static) -> Self {
        Self {
            is_complete: Box::new(is_complete),
            ..self
        }
    }

    /// A wait, in which others do something.
    pub(crate) fn delay(name: &'static str, duration: Duration) -> Self {
        Self {
            name,
            deadline: None,
            work: Box::pin(async move {
                sleep(duration).await;
                Ok(())
            }),
            is_complete: Box::new(|| false),
        }
    }
}

/// Some phases were not done when their deadline was over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the shutdown ran over its deadline in: {}", .phases.join(", "))]
pub(crate) struct ShutdownTimedOut {
    phases: Vec<&'static str>,
}

/// Goes through `phases` one after the other, to the last one whatever happens.
///
/// # Errors
/// Returns the first failure of a phase, or else [`ShutdownTimedOut`].
pub(crate) async fn run_phases(phases: Vec<ShutdownPhase>) -> anyhow::Result<()> {
    let (mut first_error, mut timed_out) = (Ok(()), Vec::new());
    for ShutdownPhase {
        name,
        deadline,
        work,
        is_complete,
    } in phases
    {
        let started = Instant::now();
        let span = tracing::info_span!("shutdown_phase", phase = name);
        let deadline_ms = deadline.as_ref().map(whole_milliseconds);
        tracing::info!(phase = name, deadline_ms, "shutting down");
        let mut work = work.instrument(span);
        let result = timeout(deadline.unwrap_or(Duration::MAX), &mut work).await;
        // Before the work is dropped: that closes the connections whose requests make it incomplete.
        let is_complete = result.is_ok() || is_complete();
        drop(work);
        let duration_ms = whole_milliseconds(&started.elapsed());
        match result {
            Ok(Ok(())) => tracing::info!(phase = name, duration_ms, "phase ended"),
            Ok(Err(error)) => {
                tracing::error!(phase = name, duration_ms, %error, "phase failed");
                first_error = first_error.and(Err(error.context(name)));
            }
            Err(_) if is_complete => tracing::info!(phase = name, duration_ms, "phase ended"),
            Err(_) => {
                tracing::warn!(phase = name, duration_ms, "phase ran over its deadline");
                timed_out.push(name);
            }
        }
    }
    first_error?;
    if timed_out.is_empty() {
        return Ok(());
    }
    Err(ShutdownTimedOut { phases: timed_out }.into())
}

fn whole_milliseconds(duration: &Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    const SECOND: Duration = Duration::from_secs(1);

    type CompletedPhases = Arc<Mutex<Vec<(&'static str, Duration)>>>;

    /// A phase that takes `duration` and logs when it is done.
    fn phase(
        log: &CompletedPhases,
        name: &'static str,
        duration: Duration,
        deadline: Duration,
    ) -> ShutdownPhase {
        let (log, start) = (Arc::clone(log), Instant::now());
        ShutdownPhase::with_deadline(name, deadline, async move {
            sleep(duration).await;
            log.lock().unwrap().push((name, start.elapsed()));
            Ok(())
        })
    }

    #[tokio::test(start_paused = true)]
    async fn runs_phases_in_order() {
        let log = CompletedPhases::default();
        let phases = vec![
            ShutdownPhase::delay("wait", 5 * SECOND),
            phase(&log, "one", SECOND, 9 * SECOND),
            phase(&log, "two", SECOND, 9 * SECOND),
        ];
        run_phases(phases).await.unwrap();
        assert_eq!(
            *log.lock().unwrap(),
            [("one", 6 * SECOND), ("two", 7 * SECOND)]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn hung_phase_takes_no_time_from_later_phases() {
        let log = CompletedPhases::default();
        let phases = vec![
            phase(&log, "hangs", 99 * SECOND, 2 * SECOND),
            phase(&log, "next", SECOND, 2 * SECOND),
            phase(&log, "hangs too", 99 * SECOND, 2 * SECOND),
        ];
        let error = run_phases(phases).await.unwrap_err();
        let phases = vec!["hangs", "hangs too"];
        assert_eq!(
            *error.downcast_ref::<ShutdownTimedOut>().unwrap(),
            ShutdownTimedOut { phases }
        );
        assert_eq!(*log.lock().unwrap(), [("next", 3 * SECOND)]);
    }

    /// A server that is dropped has no connections any more.
    #[tokio::test(start_paused = true)]
    async fn phase_is_judged_before_its_work_is_dropped() {
        let connection = Arc::new(());
        let (held, observed) = (Arc::clone(&connection), Arc::downgrade(&connection));
        drop(connection);
        let work = async move {
            sleep(99 * SECOND).await;
            drop(held);
            Ok(())
        };
        let phase = ShutdownPhase::with_deadline("drain", SECOND, work)
            .complete_if(move || observed.strong_count() == 0);
        let error = run_phases(vec![phase]).await.unwrap_err();
        assert!(error.is::<ShutdownTimedOut>(), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn returns_failure_after_running_all_phases() {
        let log = CompletedPhases::default();
        let phases = vec![
            ShutdownPhase::with_deadline("fails", SECOND, async { Err(anyhow::anyhow!("why")) }),
            phase(&log, "next", SECOND, 2 * SECOND),
        ];
        let error = run_phases(phases).await.unwrap_err();
        assert_eq!(format!("{error:#}"), "fails: why");
        assert_eq!(*log.lock().unwrap(), [("next", SECOND)]);
    }
}
