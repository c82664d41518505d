//! Which checks the service has.

use tokio::runtime::Handle;

use super::components::Components;
use crate::config::Settings;
use crate::health::connections::ConnectionsCheck;
use crate::health::dependencies::{GatewayCheck, RedisCheck};
use crate::health::event_loop::EventLoopCheck;
use crate::health::job_backlog::JobBacklogCheck;
use crate::health::memory_and_disk::{DiskCheck, MemoryCheck};
use crate::health::migrations::MigrationsCheck;
use crate::health::postgres::PostgresCheck;
use crate::health::{Health, HealthCheck};

/// All of them; a service without Redis has no check of it.
pub(super) fn build_health(settings: &Settings, components: &Components) -> Health {
    let config = &settings.health;
    let database = &components.databases.background;
    let mut checks: Vec<Box<dyn HealthCheck>> = vec![
        Box::new(PostgresCheck::new(database.clone())),
        Box::new(MigrationsCheck(database.clone())),
        Box::new(JobBacklogCheck {
            database: database.clone(),
            limit: config.job_backlog_threshold,
        }),
        Box::new(GatewayCheck(components.gateway.breaker.clone())),
        Box::new(MemoryCheck {
            degraded_from: config.memory_used_threshold,
        }),
        Box::new(DiskCheck::new(
            config.disk_path.clone(),
            config.disk_free_threshold,
        )),
        Box::new(ConnectionsCheck(components.connections.api.clone())),
        Box::new(EventLoopCheck {
            loops: components.event_loops.clone(),
            degraded_from: config.event_loop_lag_threshold,
            lag: components.metrics.process.event_loop_lag.clone(),
        }),
    ];
    if let Some(redis) = &components.redis {
        checks.push(Box::new(RedisCheck(redis.clone())));
    }
    let metric = &components.metrics.process.health_check_status;
    Health::new(checks, config, metric, &Handle::current())
}
