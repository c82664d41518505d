//! Starts the jobs.

use std::sync::Arc;

use super::parts::Parts;
use crate::config::Settings;
use crate::jobs::outbox_relay::OutboxRelay;
use crate::jobs::payments::PaymentWorker;
use crate::jobs::{
    Wakeups, doorbell, expired_keys, idle_connections, invalidations, queue_depth, rate_limit_sweep,
};
use crate::lifecycle::supervisor::Supervisor;

/// Starts every job under a supervisor, on the pool for jobs and probes.
pub(super) fn start(settings: &Settings, parts: &Parts) -> Supervisor {
    let supervisor = Supervisor::new(parts.metrics.task_restarts.clone());
    let wakeups = Arc::new(Wakeups::default());
    let database = parts.databases.background.clone();

    let worker = PaymentWorker {
        services: parts.services.with_database(database.clone()),
        gateway: parts.gateway.clone(),
        config: settings.payments.clone(),
        outcomes: parts.metrics.payments.clone(),
    };
    let woken = Arc::clone(&wakeups);
    supervisor.spawn("payments", move |stop| {
        worker.clone().run(Arc::clone(&woken), stop)
    });

    let relay = OutboxRelay {
        database: database.clone(),
        publisher: Arc::clone(&parts.publisher),
        config: settings.events.clone(),
        published: parts.metrics.events_published.clone(),
    };
    let woken = Arc::clone(&wakeups);
    supervisor.spawn("outbox_relay", move |stop| {
        relay.clone().run(Arc::clone(&woken), stop)
    });

    let (bell, pool) = (parts.services.job_notifier.clone(), database.clone());
    supervisor.spawn("doorbell_out", move |stop| {
        doorbell::pass_on(pool.clone(), bell.clone(), stop)
    });
    let pool = database.clone();
    supervisor.spawn("doorbell_in", move |stop| {
        doorbell::listen(pool.clone(), Arc::clone(&wakeups), stop)
    });
    let pool = database.clone();
    supervisor.spawn("expired_keys", move |stop| {
        expired_keys::run(pool.clone(), stop)
    });
    let loops = parts.event_loops.clone();
    supervisor.spawn("event_loop", move |stop| {
        let beat = loops.clone().beat("main");
        async move {
            stop.run_until_cancelled(beat).await;
        }
    });
    if parts.redis.is_some() {
        let cache = parts.services.products.clone();
        supervisor.spawn("invalidations", move |stop| {
            invalidations::run(cache.clone(), stop)
        });
    }
    let pools = parts.databases.clone();
    supervisor.spawn("idle_connections", move |stop| {
        idle_connections::run(pools.clone(), stop)
    });
    let limits = parts.limits.clone();
    supervisor.spawn("rate_limit_sweep", move |stop| {
        rate_limit_sweep::run(limits.clone(), stop)
    });
    let (queues, interval) = (
        parts.metrics.queues.clone(),
        settings.payments.poll_interval,
    );
    supervisor.spawn("queue_depth", move |stop| {
        queue_depth::run(database.clone(), queues.clone(), interval, stop)
    });
    supervisor
}
