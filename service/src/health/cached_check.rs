//! One check that many may ask: run once at a time, and its report cached for a while.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use prometheus::IntGauge;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{CheckResult, HealthCheck, HealthStatus};
use crate::config::HealthConfig;
use crate::resilience::deadline;
use crate::resilience::mutex::lock;

/// What a check found, and how long it took.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CheckReport {
    pub(crate) status: HealthStatus,
    /// How long the run took, in milliseconds.
    latency_ms: f64,
    /// The figures behind it, or `error`.
    pub(crate) details: Value,
    #[serde(skip)]
    completed_at: Instant,
}

/// The report of a run, or `None` while it is in progress; all who wait share one run.
type PendingReport = watch::Receiver<Option<CheckReport>>;

pub(super) struct CachedCheck {
    check: Arc<dyn HealthCheck>,
    timeout: Duration,
    max_age: Duration,
    gauge: IntGauge,
    runtime: Handle,
    latest: Mutex<Option<PendingReport>>,
}

impl CachedCheck {
    pub(super) fn new(
        check: Arc<dyn HealthCheck>,
        config: &HealthConfig,
        gauge: IntGauge,
        runtime: Handle,
    ) -> Self {
        Self {
            check,
            timeout: config.timeout,
            max_age: config.cache_ttl,
            gauge,
            runtime,
            latest: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.check.name()
    }

    pub(super) fn is_essential(&self) -> bool {
        self.check.is_essential()
    }

    /// Returns the cached report if it is fresh, and otherwise that of a run.
    pub(super) async fn report(&self) -> CheckReport {
        let mut pending = {
            let mut latest = lock(&self.latest);
            match &*latest {
                Some(pending) if self.is_fresh(pending) => pending.clone(),
                _ => latest.insert(self.start()).clone(),
            }
        };
        let requested_at = Instant::now();
        match pending.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(report)) => report.clone(),
            // Dropped with its runtime.
            _ => build_report(
                requested_at,
                failed(self.check.as_ref(), "the service is ending"),
            ),
        }
    }

    fn is_fresh(&self, pending: &PendingReport) -> bool {
        (pending.borrow().as_ref())
            .is_none_or(|report| report.completed_at.elapsed() < self.max_age)
    }

    /// Runs the check in a task of its own, to the end: its report counts from then on, even
    /// if all who asked have left.
    fn start(&self) -> PendingReport {
        let (check, timeout, gauge) = (Arc::clone(&self.check), self.timeout, self.gauge.clone());
        let (report_sender, pending) = watch::channel(None);
        self.runtime.spawn(async move {
            let started_at = Instant::now();
            let result = run_check(check.as_ref(), timeout).await;
            let CheckResult { status, details } = &result;
            let previous_status = gauge.get();
            gauge.set(*status as i64);
            if previous_status != *status as i64 {
                tracing::warn!(check = check.name(), ?status, %details, "a health check changed");
            }
            report_sender.send_replace(Some(build_report(started_at, result)));
        });
        pending
    }
}

/// Returns within `timeout`, also if the check panics or hangs.
async fn run_check(check: &dyn HealthCheck, timeout: Duration) -> CheckResult {
    let run = deadline::with_deadline(Instant::now() + timeout, check.run());
    match AssertUnwindSafe(run).catch_unwind().await {
        Ok(Ok(Ok(result))) => result,
        Ok(Ok(Err(error))) => failed(check, &format!("{error:#}")),
        Ok(Err(_)) => failed(check, &format!("no answer within {timeout:?}")),
        Err(_) => failed(check, "the check panicked"),
    }
}

fn failed(check: &dyn HealthCheck, error: &str) -> CheckResult {
    let status = match check.is_essential() {
        true => HealthStatus::Unhealthy,
        false => HealthStatus::Degraded,
    };
    CheckResult {
        status,
        details: json!({ "error": error }),
    }
}

fn build_report(started_at: Instant, CheckResult { status, details }: CheckResult) -> CheckReport {
    CheckReport {
        status,
        latency_ms: started_at.elapsed().as_micros() as f64 / 1e3,
        details,
        completed_at: Instant::now(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
mod tests {
    use super::*;
    use anyhow::bail;
    use futures_util::future::BoxFuture;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::time::{advance, sleep, timeout};

    #[derive(Clone, Copy)]
    enum FakeBehaviour {
        Return(HealthStatus),
        Fail,
        Hang,
        Panic,
    }

    struct FakeCheck {
        behaviour: FakeBehaviour,
        essential: bool,
        runs: Arc<AtomicU32>,
    }

    impl HealthCheck for FakeCheck {
        fn name(&self) -> &'static str {
            "fake"
        }

        fn is_essential(&self) -> bool {
            self.essential
        }

        fn run(&self) -> BoxFuture<'_, anyhow::Result<CheckResult>> {
            Box::pin(async {
                self.runs.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_millis(10)).await;
                match self.behaviour {
                    FakeBehaviour::Return(status) => Ok(CheckResult {
                        status,
                        details: json!({}),
                    }),
                    FakeBehaviour::Fail => bail!("it is gone"),
                    FakeBehaviour::Hang => std::future::pending().await,
                    FakeBehaviour::Panic => panic!("a bug"),
                }
            })
        }
    }

    fn cached_check(behaviour: FakeBehaviour, essential: bool) -> (CachedCheck, Arc<AtomicU32>) {
        let runs = Arc::new(AtomicU32::new(0));
        let fake = FakeCheck {
            behaviour,
            essential,
            runs: Arc::clone(&runs),
        };
        let config = HealthConfig {
            timeout: Duration::from_millis(800),
            cache_ttl: Duration::from_secs(1),
            ..HealthConfig::default()
        };
        let gauge = IntGauge::new("status", "status").unwrap();
        let cached = CachedCheck::new(Arc::new(fake), &config, gauge, Handle::current());
        (cached, runs)
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_callers_share_one_run() {
        let (cached, runs) = cached_check(FakeBehaviour::Return(HealthStatus::Healthy), true);
        let reports = futures_util::future::join_all((0..100).map(|_| cached.report())).await;
        assert!(reports.iter().all(|report| report.latency_ms >= 10.0));
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn report_is_cached_for_ttl() {
        let (cached, runs) = cached_check(FakeBehaviour::Return(HealthStatus::Healthy), true);
        cached.report().await;
        advance(Duration::from_millis(999)).await;
        cached.report().await;
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        advance(Duration::from_millis(1)).await;
        cached.report().await;
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn run_continues_when_caller_leaves() {
        let (cached, runs) = cached_check(FakeBehaviour::Return(HealthStatus::Healthy), true);
        let abandoned = timeout(Duration::from_millis(1), cached.report()).await;
        assert!(abandoned.is_err());
        assert_eq!(cached.report().await.status, HealthStatus::Healthy);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn abandoned_run_updates_gauge_and_expires() {
        let (cached, runs) = cached_check(FakeBehaviour::Return(HealthStatus::Degraded), true);
        let abandoned = timeout(Duration::from_millis(1), cached.report()).await;
        assert!(abandoned.is_err());
        sleep(Duration::from_mins(5)).await;
        assert_eq!(cached.gauge.get(), HealthStatus::Degraded as i64);
        cached.report().await;
        assert_eq!(
            runs.load(Ordering::SeqCst),
            2,
            "the report of the abandoned run is stale"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn failed_check_is_unhealthy_only_if_essential() {
        for (behaviour, error) in [
            (FakeBehaviour::Fail, "it is gone"),
            (FakeBehaviour::Hang, "no answer within 800ms"),
            (FakeBehaviour::Panic, "the check panicked"),
        ] {
            for (essential, status) in [
                (true, HealthStatus::Unhealthy),
                (false, HealthStatus::Degraded),
            ] {
                let (cached, _) = cached_check(behaviour, essential);
                let report = cached.report().await;
                assert_eq!(report.status, status, "{error}");
                assert_eq!(report.details["error"], error);
                assert_eq!(cached.gauge.get(), status as i64);
            }
        }
    }
}
