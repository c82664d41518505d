//! Limits the rate at which connections are opened.
//!
//! # Problem
//! Postgres starts a process for each connection, and for each cancellation of a statement. Clients
//! that make the service open many spend the time of all others there.
//!
//! # How it works
//! There are permits for a second's connections, or for full pools if that is more. A connection takes
//! a permit, which comes back so late that the permits of all connections keep to the rate. An
//! attempt that failed gives its permit back immediately: it started no process. So requests are
//! rejected fast while the server is down, however many attempts they make.
//!
//! # Tests
//! `cancellations_stay_within_budget` in `tests/api/storage/abandoned_statements.rs`, and the drill
//! `postgres_killed`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use crate::config::DatabaseConfig;

/// Budget for new connections: `database.max_new_connections_per_second`. Clones share it.
#[derive(Clone)]
pub(super) struct ConnectionBudget {
    permits: Arc<Semaphore>,
    /// Time in which an opened connection keeps its permit.
    period: Duration,
}

/// The right to open one connection.
pub(super) struct ConnectionPermit {
    _permit: OwnedSemaphorePermit,
    period: Duration,
}

impl ConnectionBudget {
    /// Returns a budget with which full pools can be opened immediately.
    pub(super) fn new(config: &DatabaseConfig) -> Self {
        let rate = config.max_new_connections_per_second;
        let pools = config.pool_size + config.background_pool_size;
        let permits = u32::try_from(pools).unwrap_or(u32::MAX).max(rate);
        Self {
            permits: Arc::new(Semaphore::new(permits as usize)),
            period: Duration::from_secs_f64(f64::from(permits) / f64::from(rate)),
        }
    }

    /// Waits for a permit. The budget is never closed, so there is always one.
    pub(super) async fn acquire(&self) -> Option<ConnectionPermit> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        permit.ok().map(|permit| self.permit(permit))
    }

    /// Returns a permit if one is left.
    pub(super) fn try_acquire(&self) -> Option<ConnectionPermit> {
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        permit.ok().map(|permit| self.permit(permit))
    }

    fn permit(&self, permit: OwnedSemaphorePermit) -> ConnectionPermit {
        ConnectionPermit {
            _permit: permit,
            period: self.period,
        }
    }
}

impl ConnectionPermit {
    /// Keeps the permit for as long as the connection counts.
    pub(super) async fn spend(self) {
        sleep(self.period).await;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn budget_of(rate: u32) -> ConnectionBudget {
        ConnectionBudget::new(&DatabaseConfig {
            pool_size: 1,
            background_pool_size: 2,
            max_new_connections_per_second: rate,
            ..DatabaseConfig::default()
        })
    }

    #[tokio::test(start_paused = true)]
    async fn opened_connections_keep_to_rate() {
        let budget = budget_of(5);
        for _ in 0..5 {
            tokio::spawn(budget.try_acquire().unwrap().spend());
        }
        tokio::task::yield_now().await;
        assert!(budget.try_acquire().is_none());
        sleep(Duration::from_millis(1001)).await;
        assert!(budget.try_acquire().is_some());
    }

    #[tokio::test]
    async fn failed_attempts_do_not_count() {
        let budget = budget_of(5);
        for _ in 0..100 {
            drop(budget.acquire().await);
        }
        assert!(budget.try_acquire().is_some());
    }

    #[test]
    fn full_pools_can_be_opened_immediately() {
        let budget = budget_of(1);
        let permits: Vec<_> = (0..3).map(|_| budget.try_acquire().unwrap()).collect();
        assert!(budget.try_acquire().is_none());
        drop(permits);
    }
}
