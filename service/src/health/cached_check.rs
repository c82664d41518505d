//! One check that many may ask: looked at once at a time, and told again for a while.

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
use crate::resilience::lock::lock;

/// What a check found, and how long it took.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CheckReport {
    /// How it is.
    pub(crate) status: HealthStatus,
    /// How long the look took, in milliseconds.
    latency_ms: f64,
    /// The figures behind it, or `error`.
    pub(crate) details: Value,
    #[serde(skip)]
    completed_at: Instant,
}

/// A look under way (`None`), or what it found; all who wait for it wait for the same one.
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

    /// What it found just now, or finds when it looks.
    pub(super) async fn report(&self) -> CheckReport {
        let mut pending = {
            let mut latest = lock(&self.latest);
            match &*latest {
                Some(look) if self.is_fresh(look) => look.clone(),
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

    /// Looks in a task of its own, to the end: what was found counts from then on, even
    /// if all who asked have left.
    fn start(&self) -> PendingReport {
        let (check, limit, gauge) = (Arc::clone(&self.check), self.timeout, self.gauge.clone());
        let (report_sender, pending) = watch::channel(None);
        self.runtime.spawn(async move {
            let began = Instant::now();
            let finding = run_check(check.as_ref(), limit).await;
            let CheckResult { status, details } = &finding;
            let before = gauge.get();
            gauge.set(*status as i64);
            if before != *status as i64 {
                tracing::warn!(check = check.name(), ?status, %details, "a health check changed");
            }
            report_sender.send_replace(Some(build_report(began, finding)));
        });
        pending
    }
}

/// What a check finds within `limit`, whatever it does.
async fn run_check(check: &dyn HealthCheck, limit: Duration) -> CheckResult {
    let run = deadline::with_deadline(Instant::now() + limit, check.run());
    match AssertUnwindSafe(run).catch_unwind().await {
        Ok(Ok(Ok(finding))) => finding,
        Ok(Ok(Err(error))) => failed(check, &format!("{error:#}")),
        Ok(Err(_)) => failed(check, &format!("no answer within {limit:?}")),
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

fn build_report(began: Instant, CheckResult { status, details }: CheckResult) -> CheckReport {
    CheckReport {
        status,
        latency_ms: began.elapsed().as_micros() as f64 / 1e3,
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
        Find(HealthStatus),
        Fail,
        Hang,
        Panic,
    }

    struct FakeCheck {
        does: FakeBehaviour,
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
                match self.does {
                    FakeBehaviour::Find(status) => Ok(CheckResult {
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

    fn cached_check(does: FakeBehaviour, essential: bool) -> (CachedCheck, Arc<AtomicU32>) {
        let looks = Arc::new(AtomicU32::new(0));
        let fake = FakeCheck {
            does,
            essential,
            runs: Arc::clone(&looks),
        };
        let config = HealthConfig {
            timeout: Duration::from_millis(800),
            cache_ttl: Duration::from_secs(1),
            ..HealthConfig::default()
        };
        let gauge = IntGauge::new("status", "status").unwrap();
        let watched = CachedCheck::new(Arc::new(fake), &config, gauge, Handle::current());
        (watched, looks)
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_share_one_look() {
        let (watched, looks) = cached_check(FakeBehaviour::Find(HealthStatus::Healthy), true);
        let reports = futures_util::future::join_all((0..100).map(|_| watched.report())).await;
        assert!(reports.iter().all(|report| report.latency_ms >= 10.0));
        assert_eq!(looks.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_found_is_told_again_for_a_while() {
        let (watched, looks) = cached_check(FakeBehaviour::Find(HealthStatus::Healthy), true);
        watched.report().await;
        advance(Duration::from_millis(999)).await;
        watched.report().await;
        assert_eq!(looks.load(Ordering::SeqCst), 1);
        advance(Duration::from_millis(1)).await;
        watched.report().await;
        assert_eq!(looks.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_does_not_stop_the_look_for_others() {
        let (watched, looks) = cached_check(FakeBehaviour::Find(HealthStatus::Healthy), true);
        let impatient = timeout(Duration::from_millis(1), watched.report()).await;
        assert!(impatient.is_err());
        assert_eq!(watched.report().await.status, HealthStatus::Healthy);
        assert_eq!(looks.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waited_for_is_found_all_the_same_and_grows_old() {
        let (watched, looks) = cached_check(FakeBehaviour::Find(HealthStatus::Degraded), true);
        let impatient = timeout(Duration::from_millis(1), watched.report()).await;
        assert!(impatient.is_err());
        sleep(Duration::from_mins(5)).await;
        assert_eq!(watched.gauge.get(), HealthStatus::Degraded as i64);
        watched.report().await;
        assert_eq!(looks.load(Ordering::SeqCst), 2, "not what it found then");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_lost_is_unhealthy_only_if_it_is_essential() {
        for (does, error) in [
            (FakeBehaviour::Fail, "it is gone"),
            (FakeBehaviour::Hang, "no answer within 800ms"),
            (FakeBehaviour::Panic, "the check panicked"),
        ] {
            for (essential, status) in [
                (true, HealthStatus::Unhealthy),
                (false, HealthStatus::Degraded),
            ] {
                let (watched, _) = cached_check(does, essential);
                let report = watched.report().await;
                assert_eq!(report.status, status, "{error}");
                assert_eq!(report.details["error"], error);
                assert_eq!(watched.gauge.get(), status as i64);
            }
        }
    }
}
