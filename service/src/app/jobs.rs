//! Starts the jobs.

use std::sync::Arc;

use super::components::Components;
use crate::config::Settings;
use crate::jobs::outbox_relay::OutboxRelay;
use crate::jobs::payments::PaymentWorker;
use crate::jobs::{
    JobWakeups, cache_invalidations, expired_keys, idle_connections, job_notifications,
    queue_depth, rate_limit_sweep,
};
use crate::lifecycle::supervisor::Supervisor;

/// Starts every job under a supervisor, on the pool for jobs and probes.
pub(super) fn spawn_jobs(settings: &Settings, components: &Components) -> Supervisor {
    let supervisor = Supervisor::new(components.metrics.jobs.task_restarts.clone());
    let wakeups = Arc::new(JobWakeups::default());
    let database = components.databases.background.clone();

    let worker = PaymentWorker {
        services: components.services.with_database(database.clone()),
        gateway: components.gateway.clone(),
        config: settings.payments.clone(),
        outcomes: components.metrics.jobs.payment_attempts.clone(),
    };
    let job_wakeups = Arc::clone(&wakeups);
    supervisor.spawn("payments", move |stop| {
        worker.clone().run(Arc::clone(&job_wakeups), stop)
    });

    let relay = OutboxRelay {
        database: database.clone(),
        publisher: Arc::clone(&components.publisher),
        config: settings.events.clone(),
        published: components.metrics.jobs.events_published.clone(),
    };
    let job_wakeups = Arc::clone(&wakeups);
    supervisor.spawn("outbox_relay", move |stop| {
        relay.clone().run(Arc::clone(&job_wakeups), stop)
    });

    let (notifier, db) = (components.services.job_notifier.clone(), database.clone());
    supervisor.spawn("job_notification_sender", move |stop| {
        job_notifications::run_sender(db.clone(), notifier.clone(), stop)
    });
    let db = database.clone();
    supervisor.spawn("job_notification_listener", move |stop| {
        job_notifications::run_listener(db.clone(), Arc::clone(&wakeups), stop)
    });
    let db = database.clone();
    supervisor.spawn("expired_keys", move |stop| {
        expired_keys::run(db.clone(), stop)
    });
    let loops = components.event_loops.clone();
    supervisor.spawn("event_loop_lag", move |stop| {
        let probe = loops.clone().run_probe("main");
        async move {
            stop.run_until_cancelled(probe).await;
        }
    });
    if components.redis.is_some() {
        let cache = components.services.products.clone();
        supervisor.spawn("invalidations", move |stop| {
            cache_invalidations::run(cache.clone(), stop)
        });
    }
    let pools = components.databases.clone();
    supervisor.spawn("idle_connections", move |stop| {
        idle_connections::run(pools.clone(), stop)
    });
    let limits = components.limits.clone();
    supervisor.spawn("rate_limit_sweep", move |stop| {
        rate_limit_sweep::run(limits.clone(), stop)
    });
    let (queues, interval) = (
        components.metrics.queues.clone(),
        settings.payments.poll_interval,
    );
    supervisor.spawn("queue_depth", move |stop| {
        queue_depth::run(database.clone(), queues.clone(), interval, stop)
    });
    supervisor
}
