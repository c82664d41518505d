//! Which checks the service has.

use tokio::runtime::Handle;

use super::parts::Parts;
use crate::config::Settings;
use crate::health::dependencies::{Gateway, Redis};
use crate::health::event_loop::EventLoop;
use crate::health::machine::{Disk, Memory};
use crate::health::postgres::{JobBacklog, Migrations, Postgres};
use crate::health::{Check, Health};

/// All of them; a service without Redis has no check of it.
pub(super) fn checks(settings: &Settings, parts: &Parts) -> Health {
    let config = &settings.health;
    let database = &parts.databases.background;
    let mut checks: Vec<Box<dyn Check>> = vec![
        Box::new(Postgres::new(database.clone())),
        Box::new(Migrations(database.clone())),
        Box::new(JobBacklog {
            database: database.clone(),
            most: config.job_backlog_threshold,
        }),
        Box::new(Gateway(parts.gateway.breaker.clone())),
        Box::new(Memory {
            degraded_from: config.memory_used_threshold,
        }),
        Box::new(Disk::new(config.disk_path.clone(), config.disk_free_threshold)),
        Box::new(EventLoop {
            loops: parts.event_loops.clone(),
            degraded_from: config.event_loop_lag_threshold,
            lag: parts.metrics.event_loop_lag.clone(),
        }),
    ];
    if let Some(redis) = &parts.redis {
        checks.push(Box::new(Redis(redis.clone())));
    }
    let metric = &parts.metrics.health_checks;
    Health::new(checks, config, metric, &Handle::current())
}
