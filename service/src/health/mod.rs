//! How the service is, check by check.
//!
//! A probe that looks too little sends requests into a hole; one that looks at too
//! much takes every replica out because a mail server is slow. So:
//!
//! - *Unhealthy* is only what the service can't do without: Postgres. It un-readies.
//! - *Degraded* is everything else that is wrong: somebody should look, and the
//!   requests are still answered here as well as anywhere.
//! - A liveness probe looks at none of this: to restart the service mends no
//!   dependency.
//!
//! The checks run at the same time, each with a timeout, so that one that hangs
//! names itself and hides no other. A report is cached for
//! `health.cache_ttl`, and one that runs is joined and not run twice: probes are no load,
//! however many there are (`cached_check.rs`). None of them needs a connection of the
//! pool for requests: a flood of those can't make the service look dead.
//!
//! | check | looks at | wrong: |
//! |---|---|---|
//! | `postgres` | a round trip on a connection of its own | unhealthy |
//! | | whether orders can be written | degraded |
//! | `migrations` | whether this binary works on the schema | degraded |
//! | `job_backlog` | jobs of all kinds that wait or are dead-lettered | degraded |
//! | `redis` | a write through the circuit breaker, if Redis is used | degraded |
//! | `gateway` | the payment gateway's circuit breaker | degraded |
//! | `memory` | use against the cgroup's limit | degraded |
//! | `disk` | free space of a file system | degraded |
//! | `connections` | the connections of the API listener, against `http.max_connections` | degraded |
//! | `event_loop` | how late the event loops are | degraded |
//!
//! See it break: `tests/api/operations/health.rs`.

mod cached_check;
pub(crate) mod connections;
pub(crate) mod dependencies;
pub(crate) mod event_loop;
pub(crate) mod job_backlog;
pub(crate) mod memory_and_disk;
pub(crate) mod migrations;
pub(crate) mod postgres;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use prometheus::IntGaugeVec;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::config::HealthConfig;
use cached_check::CachedCheck;
pub(crate) use cached_check::CheckReport;

/// How something is. The numbers are those of `orderly_health_check_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum HealthStatus {
    /// As it should be.
    Healthy = 0,
    /// Somebody should look; requests can be answered.
    Degraded = 1,
    /// Requests can't be answered.
    Unhealthy = 2,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CheckResult {
    status: HealthStatus,
    /// The figures behind that: a JSON object.
    details: Value,
}

impl CheckResult {
    /// Degraded if `is_degraded`, else healthy.
    fn degraded_if(is_degraded: bool, details: Value) -> Self {
        let status = if is_degraded {
            HealthStatus::Degraded
        } else {
            HealthStatus::Healthy
        };
        Self { status, details }
    }

    /// Healthy, for want of anything to compare with.
    fn not_measured(reason: &str) -> Self {
        Self {
            status: HealthStatus::Healthy,
            details: json!({ "not_measured": reason }),
        }
    }
}

/// Something to look at.
pub(crate) trait HealthCheck: Send + Sync + 'static {
    /// Its name in reports and metrics.
    fn name(&self) -> &'static str;

    /// Whether the service can do nothing without it.
    fn is_essential(&self) -> bool {
        false
    }

    /// Runs the check. An error, or taking longer than `health.timeout`, is unhealthy for
    /// what is essential and degraded for the rest.
    fn run(&self) -> BoxFuture<'_, anyhow::Result<CheckResult>>;
}

/// All checks, or some.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct HealthReport {
    /// The worst of them.
    pub(crate) status: HealthStatus,
    /// Each by its name.
    pub(crate) checks: BTreeMap<&'static str, CheckReport>,
}

impl HealthReport {
    fn of(checks: impl IntoIterator<Item = (&'static str, CheckReport)>) -> Self {
        let checks: BTreeMap<_, _> = checks.into_iter().collect();
        let status = checks.values().map(|check| check.status).max();
        Self {
            status: status.unwrap_or(HealthStatus::Healthy),
            checks,
        }
    }
}

/// The checks of a service. Clones share the cached reports.
#[derive(Clone)]
pub(crate) struct Health(Arc<[CachedCheck]>);

impl Health {
    /// Runs nothing yet. The checks run on `runtime`, whoever asks for them;
    /// `metric` is `orderly_health_check_status{check}`.
    pub(crate) fn new(
        checks: Vec<Box<dyn HealthCheck>>,
        config: &HealthConfig,
        metric: &IntGaugeVec,
        runtime: &Handle,
    ) -> Self {
        let cached = |check: Box<dyn HealthCheck>| {
            let gauge = metric.with_label_values(&[check.name()]);
            CachedCheck::new(check.into(), config, gauge, runtime.clone())
        };
        Self(checks.into_iter().map(cached).collect())
    }

    pub(crate) async fn report(&self) -> HealthReport {
        self.run_checks(|_| true).await
    }

    /// The checks of what the service can't do without.
    pub(crate) async fn essential_report(&self) -> HealthReport {
        self.run_checks(CachedCheck::is_essential).await
    }

    async fn run_checks(&self, is_selected: impl Fn(&CachedCheck) -> bool) -> HealthReport {
        let reports = (self.0.iter())
            .filter(|check| is_selected(check))
            .map(|check| async { (check.name(), check.report().await) });
        HealthReport::of(join_all(reports).await)
    }
}
