//! Starts the jobs.

use std::sync::Arc;

use super::components::Components;
use crate::config::{JobConfig, Settings};
use crate::jobs::order_expiry::OrderExpiry;
use crate::jobs::outbox_relay::OutboxRelay;
use crate::jobs::payment::Payments;
use crate::jobs::queue::{Job, JobWorker};
use crate::jobs::{
    JobWakeups, cache_invalidations, expired_keys, idle_connections, job_notifications,
    queue_depth, rate_limit_sweep, search_keys,
};
use crate::lifecycle::supervisor::Supervisor;
use crate::storage::database::Database;
use crate::usecases::Services;

/// A kind of job and the start of its worker.
struct JobKind {
    name: &'static str,
    spawn_worker: fn(&JobQueue<'_>),
}

/// Every kind of job.
const JOB_KINDS: &[JobKind] = &[
    JobKind {
        name: OrderExpiry::KIND,
        spawn_worker: |queue| {
            let services = queue.services.clone();
            queue.spawn(OrderExpiry(services), &queue.settings.order_expiry_jobs);
        },
    },
    JobKind {
        name: Payments::KIND,
        spawn_worker: |queue| {
            let (services, gateway) = (queue.services.clone(), queue.components.gateway.clone());
            queue.spawn(Payments { services, gateway }, &queue.settings.payment_jobs);
        },
    },
];

/// Returns the name of each kind of job.
pub(crate) fn job_kinds() -> impl Iterator<Item = &'static str> {
    JOB_KINDS.iter().map(|kind| kind.name)
}

/// Starts every job under a supervisor, on the pool for jobs and probes.
pub(super) fn spawn_jobs(settings: &Settings, components: &Components) -> Supervisor {
    let supervisor = Supervisor::new(components.metrics.jobs.task_restarts.clone());
    let wakeups = Arc::new(JobWakeups::default());
    let database = components.databases.background.clone();

    let queue = JobQueue {
        supervisor: &supervisor,
        services: components.services.with_database(database.clone()),
        database: &database,
        wakeups: &wakeups,
        components,
        settings,
    };
    for kind in JOB_KINDS {
        (kind.spawn_worker)(&queue);
    }

    let relay = OutboxRelay {
        database: database.clone(),
        publisher: Arc::clone(&components.publisher),
        config: settings.events.clone(),
        published: components.metrics.jobs.events_published.clone(),
    };
    let job_wakeups = Arc::clone(&wakeups);
    supervisor.spawn("outbox_relay", move |stop| {
        relay.clone().run(job_wakeups.subscribe(), stop)
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
    let db = database.clone();
    supervisor.spawn("search_keys", move |stop| {
        search_keys::run(db.clone(), stop)
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
    let queues = components.metrics.queues.clone();
    supervisor.spawn("queue_depth", move |stop| {
        queue_depth::run(database.clone(), queues.clone(), stop)
    });
    supervisor
}

/// Dependencies that the workers of all kinds share.
struct JobQueue<'a> {
    supervisor: &'a Supervisor,
    /// Use cases on the pool for jobs.
    services: Services,
    database: &'a Database,
    wakeups: &'a Arc<JobWakeups>,
    components: &'a Components,
    settings: &'a Settings,
}

impl JobQueue<'_> {
    /// Starts the worker of a kind.
    fn spawn<J: Job>(&self, job: J, config: &JobConfig) {
        let metrics = &self.components.metrics;
        metrics.queues.initialize_kind(J::KIND);
        metrics.jobs.initialize_kind(J::KIND, J::OUTCOMES);
        let worker = JobWorker {
            job,
            database: self.database.clone(),
            config: config.clone(),
            metrics: metrics.jobs.clone(),
        };
        let wakeups = Arc::clone(self.wakeups);
        self.supervisor.spawn(J::KIND, move |stop| {
            worker.clone().run(wakeups.subscribe(), stop)
        });
    }
}
