//! The job queue: how many jobs wait, and whether any is dead-lettered.

use futures_util::future::BoxFuture;
use serde_json::json;

use super::{CheckResult, HealthCheck};
use crate::storage::database::Database;
use crate::storage::queue_depth;

/// Whether too many jobs of all kinds wait, or any is dead-lettered.
pub(crate) struct JobBacklogCheck {
    pub(crate) database: Database,
    /// `health.job_backlog_threshold`
    pub(crate) limit: i64,
}

impl HealthCheck for JobBacklogCheck {
    fn name(&self) -> &'static str {
        "job_backlog"
    }

    fn run(&self) -> BoxFuture<'_, anyhow::Result<CheckResult>> {
        Box::pin(async {
            let mut conn = self.database.connection().await?;
            let depths = queue_depth::measure(&mut conn).await?;
            let waiting = depths.iter().map(|depth| depth.waiting).sum();
            let dead = depths.iter().map(|depth| depth.dead_lettered).sum();
            Ok(evaluate_backlog(waiting, dead, self.limit))
        })
    }
}

fn evaluate_backlog(waiting: i64, dead: i64, limit: i64) -> CheckResult {
    let details = json!({ "waiting": waiting, "dead_lettered": dead, "limit": limit });
    CheckResult::degraded_if(waiting > limit || dead > 0, details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::HealthStatus;

    #[test]
    fn long_queue_or_dead_job_degrades() {
        let status = |waiting, dead| evaluate_backlog(waiting, dead, 10).status;
        assert_eq!(status(10, 0), HealthStatus::Healthy);
        assert_eq!(status(11, 0), HealthStatus::Degraded);
        assert_eq!(status(0, 1), HealthStatus::Degraded);
    }
}
