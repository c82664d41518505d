//! Event loops that are late.
//!
//! An async task that computes or blocks for a second stops every other task of its
//! thread for that second: requests, timers, heartbeats. Nothing else shows it, for
//! the CPU may be idle. So each loop runs a probe: a task that asks to be woken ten
//! times a second and records how late that was. The lag of a loop whose probe does not
//! run at all is the time for which its tick is overdue.
//!
//! See it break: the tests below.

use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use prometheus::Gauge;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use super::{CheckResult, HealthCheck};
use crate::resilience::mutex::lock;

const TICK_INTERVAL: Duration = Duration::from_millis(100);

/// The event loops that have a probe. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct EventLoops(Arc<Mutex<Vec<Weak<LagProbe>>>>);

struct LagProbe {
    name: &'static str,
    sample: Mutex<LagSample>,
}

struct LagSample {
    due: Instant,
    /// Maximum since the last [`EventLoops::take_max_lag`].
    max_lag: Duration,
}

impl EventLoops {
    /// Measures the lag of the loop that runs this, for as long as that lives.
    pub(crate) async fn run_probe(self, name: &'static str) {
        let probe = Arc::new(LagProbe {
            name,
            sample: Mutex::new(LagSample {
                due: Instant::now() + TICK_INTERVAL,
                max_lag: Duration::ZERO,
            }),
        });
        lock(&self.0).push(Arc::downgrade(&probe));
        loop {
            let due = lock(&probe.sample).due;
            sleep_until(due).await;
            let mut sample = lock(&probe.sample);
            sample.max_lag = sample.max_lag.max(due.elapsed());
            sample.due = Instant::now() + TICK_INTERVAL;
        }
    }

    /// Returns the loop with the largest lag since the last call, and that lag.
    fn take_max_lag(&self) -> Option<(&'static str, Duration)> {
        let mut probes = lock(&self.0);
        probes.retain(|probe| probe.strong_count() > 0);
        let take_lag = |probe: Arc<LagProbe>| {
            let mut sample = lock(&probe.sample);
            let lag = sample.max_lag.max(sample.due.elapsed());
            sample.max_lag = Duration::ZERO;
            (probe.name, lag)
        };
        probes
            .iter()
            .filter_map(Weak::upgrade)
            .map(take_lag)
            .max_by_key(|(_, lag)| *lag)
    }
}

/// Whether a loop is late.
pub(crate) struct EventLoopCheck {
    pub(crate) loops: EventLoops,
    /// `health.event_loop_lag_threshold`
    pub(crate) degraded_from: Duration,
    /// `orderly_event_loop_lag_seconds`
    pub(crate) lag: Gauge,
}

impl HealthCheck for EventLoopCheck {
    fn name(&self) -> &'static str {
        "event_loop"
    }

    fn run(&self) -> BoxFuture<'_, anyhow::Result<CheckResult>> {
        Box::pin(async { Ok(self.evaluate(self.loops.take_max_lag())) })
    }
}

impl EventLoopCheck {
    fn evaluate(&self, max_lag: Option<(&'static str, Duration)>) -> CheckResult {
        let Some((name, lag)) = max_lag else {
            self.lag.set(0.0);
            return CheckResult::not_measured("no event loop is measured yet");
        };
        self.lag.set(lag.as_secs_f64());
        let details = json!({ "loop": name, "lag_ms": lag.as_micros() as f64 / 1e3 });
        CheckResult::degraded_if(lag >= self.degraded_from, details)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::health::HealthStatus;
    use crate::telemetry::metrics::Metrics;
    use tokio::time::{advance, sleep};

    const BLOCKED_FOR: Duration = Duration::from_millis(700);

    #[tokio::test(start_paused = true)]
    async fn reports_lag_during_and_once_after_block() {
        let loops = EventLoops::default();
        tokio::spawn(loops.clone().run_probe("a"));
        sleep(TICK_INTERVAL / 2).await;
        // The clock passes the tick, as it does during a blocking call.
        advance(BLOCKED_FOR).await;
        let (name, lag) = loops.take_max_lag().unwrap();
        assert_eq!(name, "a");
        assert!(lag >= BLOCKED_FOR - TICK_INTERVAL, "{lag:?}");
        sleep(3 * TICK_INTERVAL).await;
        assert!(
            loops.take_max_lag().unwrap().1 >= BLOCKED_FOR - TICK_INTERVAL,
            "it woke late"
        );
        sleep(3 * TICK_INTERVAL).await;
        assert!(
            loops.take_max_lag().unwrap().1 < TICK_INTERVAL,
            "that is over"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn forgets_loops_that_ended() {
        let loops = EventLoops::default();
        let task = tokio::spawn(loops.clone().run_probe("a"));
        sleep(TICK_INTERVAL).await;
        task.abort();
        task.await.unwrap_err();
        assert_eq!(loops.take_max_lag(), None);
    }

    #[test]
    fn lag_at_threshold_degrades_and_sets_gauge() {
        let limit = Duration::from_millis(250);
        let check = EventLoopCheck {
            loops: EventLoops::default(),
            degraded_from: limit,
            lag: Metrics::new().unwrap().process.event_loop_lag,
        };
        let late = check.evaluate(Some(("a", limit)));
        assert_eq!(late.status, HealthStatus::Degraded);
        assert_eq!(late.details, json!({"loop": "a", "lag_ms": 250.0}));
        assert_eq!(check.lag.get(), 0.25);
        let none = check.evaluate(None);
        let details = json!({"not_measured": "no event loop is measured yet"});
        assert_eq!(
            (none.status, none.details),
            (HealthStatus::Healthy, details)
        );
        assert_eq!(check.lag.get(), 0.0);
    }
}
