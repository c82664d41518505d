//! One check that many may ask: looked at once at a time, and told again for a while.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use prometheus::IntGauge;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{HealthCheck, CheckResult, HealthStatus};
use crate::config::HealthConfig;
use crate::resilience::deadline;

/// What a check found, and how long it took.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct CheckReport {
    /// How it is.
    pub(crate) status: HealthStatus,
    /// How long the look took, in milliseconds.
    pub(crate) latency_ms: f64,
    /// The figures behind it, or `error`.
    pub(crate) details: Value,
    #[serde(skip)]
    found_at: Instant,
}

/// A look under way (`None`), or what it found; all who wait for it wait for the same one.
type Look = watch::Receiver<Option<CheckReport>>;

pub(super) struct Watched {
    check: Arc<dyn HealthCheck>,
    timeout: Duration,
    cache: Duration,
    gauge: IntGauge,
    main: Handle,
    latest: Mutex<Option<Look>>,
}

impl Watched {
    pub(super) fn new(
        check: Arc<dyn HealthCheck>,
        config: &HealthConfig,
        gauge: IntGauge,
        main: Handle,
    ) -> Self {
        Self {
            check,
            timeout: config.timeout,
            cache: config.cache_ttl,
            gauge,
            main,
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
    pub(super) async fn ask(&self) -> CheckReport {
        let mut look = {
            let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
            match &*latest {
                Some(look) if self.is_fresh(look) => look.clone(),
                _ => latest.insert(self.look()).clone(),
            }
        };
        let asked_at = Instant::now();
        match look.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(report)) => report.clone(),
            // Dropped with its runtime.
            _ => report(asked_at, lost(self.check.as_ref(), "the service is ending")),
        }
    }

    fn is_fresh(&self, look: &Look) -> bool {
        (look.borrow().as_ref()).is_none_or(|report| report.found_at.elapsed() < self.cache)
    }

    /// Looks in a task of its own, to the end: what was found counts from then on, even
    /// if all who asked have left.
    fn look(&self) -> Look {
        let (check, limit, gauge) = (Arc::clone(&self.check), self.timeout, self.gauge.clone());
        let (found, look) = watch::channel(None);
        self.main.spawn(async move {
            let began = Instant::now();
            let finding = finding(check.as_ref(), limit).await;
            let CheckResult { status, details } = &finding;
            let before = gauge.get();
            gauge.set(*status as i64);
            if before != *status as i64 {
                tracing::warn!(check = check.name(), ?status, %details, "a health check changed");
            }
            found.send_replace(Some(report(began, finding)));
        });
        look
    }
}

/// What a check finds within `limit`, whatever it does.
async fn finding(check: &dyn HealthCheck, limit: Duration) -> CheckResult {
    let look = deadline::with_deadline(Instant::now() + limit, check.run());
    match AssertUnwindSafe(look).catch_unwind().await {
        Ok(Ok(Ok(finding))) => finding,
        Ok(Ok(Err(error))) => lost(check, &format!("{error:#}")),
        Ok(Err(_)) => lost(check, &format!("no answer within {limit:?}")),
        Err(_) => lost(check, "the check panicked"),
    }
}

fn lost(check: &dyn HealthCheck, error: &str) -> CheckResult {
    let status = match check.is_essential() {
        true => HealthStatus::Unhealthy,
        false => HealthStatus::Degraded,
    };
    CheckResult {
        status,
        details: json!({ "error": error }),
    }
}

fn report(began: Instant, CheckResult { status, details }: CheckResult) -> CheckReport {
    CheckReport {
        status,
        latency_ms: began.elapsed().as_micros() as f64 / 1e3,
        details,
        found_at: Instant::now(),
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
    enum Does {
        Find(HealthStatus),
        Fail,
        Hang,
        Panic,
    }

    struct Fake {
        does: Does,
        essential: bool,
        looks: Arc<AtomicU32>,
    }

    impl HealthCheck for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }

        fn is_essential(&self) -> bool {
            self.essential
        }

        fn run(&self) -> BoxFuture<'_, anyhow::Result<CheckResult>> {
            Box::pin(async {
                self.looks.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_millis(10)).await;
                match self.does {
                    Does::Find(status) => Ok(CheckResult {
                        status,
                        details: json!({}),
                    }),
                    Does::Fail => bail!("it is gone"),
                    Does::Hang => std::future::pending().await,
                    Does::Panic => panic!("a bug"),
                }
            })
        }
    }

    fn watched(does: Does, essential: bool) -> (Watched, Arc<AtomicU32>) {
        let looks = Arc::new(AtomicU32::new(0));
        let fake = Fake {
            does,
            essential,
            looks: Arc::clone(&looks),
        };
        let config = HealthConfig {
            timeout: Duration::from_millis(800),
            cache_ttl: Duration::from_secs(1),
            ..HealthConfig::default()
        };
        let gauge = IntGauge::new("status", "status").unwrap();
        let watched = Watched::new(Arc::new(fake), &config, gauge, Handle::current());
        (watched, looks)
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_share_one_look() {
        let (watched, looks) = watched(Does::Find(HealthStatus::Healthy), true);
        let reports = futures_util::future::join_all((0..100).map(|_| watched.ask())).await;
        assert!(reports.iter().all(|report| report.latency_ms >= 10.0));
        assert_eq!(looks.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_found_is_told_again_for_a_while() {
        let (watched, looks) = watched(Does::Find(HealthStatus::Healthy), true);
        watched.ask().await;
        advance(Duration::from_millis(999)).await;
        watched.ask().await;
        assert_eq!(looks.load(Ordering::SeqCst), 1);
        advance(Duration::from_millis(1)).await;
        watched.ask().await;
        assert_eq!(looks.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_does_not_stop_the_look_for_others() {
        let (watched, looks) = watched(Does::Find(HealthStatus::Healthy), true);
        let impatient = timeout(Duration::from_millis(1), watched.ask()).await;
        assert!(impatient.is_err());
        assert_eq!(watched.ask().await.status, HealthStatus::Healthy);
        assert_eq!(looks.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_waited_for_is_found_all_the_same_and_grows_old() {
        let (watched, looks) = watched(Does::Find(HealthStatus::Degraded), true);
        let impatient = timeout(Duration::from_millis(1), watched.ask()).await;
        assert!(impatient.is_err());
        sleep(Duration::from_mins(5)).await;
        assert_eq!(watched.gauge.get(), HealthStatus::Degraded as i64);
        watched.ask().await;
        assert_eq!(looks.load(Ordering::SeqCst), 2, "not what it found then");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_lost_is_unhealthy_only_if_it_is_essential() {
        for (does, error) in [
            (Does::Fail, "it is gone"),
            (Does::Hang, "no answer within 800ms"),
            (Does::Panic, "the check panicked"),
        ] {
            for (essential, status) in [(true, HealthStatus::Unhealthy), (false, HealthStatus::Degraded)] {
                let (watched, _) = watched(does, essential);
                let report = watched.ask().await;
                assert_eq!(report.status, status, "{error}");
                assert_eq!(report.details["error"], error);
                assert_eq!(watched.gauge.get(), status as i64);
            }
        }
    }
}
