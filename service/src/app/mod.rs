//! The composition root: where everything is made, once, and put together.
//!
//! Configuration -> metrics -> pools -> services -> admin listener -> schema check
//! -> API -> jobs; and down again in the phases of `lifecycle::shutdown`.

mod components;
mod health;
mod jobs;
pub(crate) mod metrics;
pub mod reload;
mod running_server;

use std::net::SocketAddr;
use std::sync::Arc;

pub use components::{build_database, build_databases, build_services, require_compatible_schema};
pub(crate) use jobs::job_kinds;

use crate::config::{Settings, ShutdownConfig};
use crate::events::Publisher;
use crate::http::{admin, server};
use crate::lifecycle::readiness::Readiness;
use crate::lifecycle::shutdown::{self, ShutdownPhase};
use crate::lifecycle::supervisor::Supervisor;
use crate::storage::database::Databases;
use crate::tls;
use crate::usecases::Services;
use components::Components;
use reload::Reloader;
use running_server::{RunningServer, bind_listener};

/// A service that runs.
pub struct App {
    /// Where the API listens.
    pub address: SocketAddr,
    /// Where probes and metrics are.
    pub admin_address: SocketAddr,
    /// The dependencies of the use cases, for callers that run one without HTTP.
    pub services: Services,
    /// Where events go.
    pub publisher: Arc<Publisher>,
    /// Applies a changed configuration.
    pub reloader: Reloader,
    readiness: Readiness,
    api: RunningServer,
    admin: RunningServer,
    jobs: Supervisor,
    databases: Databases,
    shutdown: ShutdownConfig,
}

impl App {
    /// Starts everything, or nothing. Must be called on the multi-thread runtime
    /// that will outlive the service.
    ///
    /// # Errors
    /// Returns an error if a setting is missing or can't be used, the database can't be reached, its schema is not compatible,
    /// or a port is taken.
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let components = Components::build(settings)?;
        let (http, admin) = (&settings.http, &settings.admin);
        let tls = tls::server::config(http)?;
        let admin = bind_listener(admin.bind, admin.port, "ORDERLY__ADMIN__PORT")?;
        let admin_address = admin.local_addr()?;
        let readiness = Readiness::default();
        let connections = &components.connections;
        let admin = admin::start(
            admin,
            connections.admin.clone(),
            health::build_health(settings, &components),
            readiness.clone(),
            components.metrics.registry.clone(),
        )?;
        let admin = RunningServer::spawn(admin, connections.admin.clone());
        require_compatible_schema(&components.databases.background).await?;
        if matches!(*components.publisher, Publisher::Log) {
            tracing::warn!(
                "no ORDERLY__REDIS__URL: events go to the log, and the cache stays in this process"
            );
        }

        let api = bind_listener(http.bind, http.port, "ORDERLY__HTTP__PORT")?;
        let address = api.local_addr()?;
        let dependencies = server::ServerDependencies {
            services: components.services.clone(),
            in_flight: components.in_flight.clone(),
            readiness: readiness.clone(),
            connections: connections.api.clone(),
            event_loops: components.event_loops.clone(),
            limits: components.limits.clone(),
            metrics: components.metrics.clone(),
        };
        let api = server::start(api, tls, http, dependencies)?;
        let api = RunningServer::spawn(api, connections.api.clone());
        let jobs = jobs::spawn_jobs(settings, &components);
        readiness.mark_ready();
        tracing::info!(%address, %admin_address, "ready");
        Ok(Self {
            address,
            admin_address,
            reloader: Reloader::new(settings, &components),
            services: components.services,
            publisher: components.publisher,
            databases: components.databases,
            readiness,
            api,
            admin,
            jobs,
            shutdown: settings.shutdown.clone(),
        })
    }

    /// Stops in the phases that `lifecycle::shutdown` explains.
    ///
    /// # Errors
    /// Returns the first failure of a phase, or else `ShutdownTimedOut` if a phase ran over its deadline.
    pub async fn stop(self) -> anyhow::Result<()> {
        let ShutdownConfig {
            drain_delay,
            drain_timeout,
            jobs_timeout,
            pools_timeout,
            ..
        } = self.shutdown;
        let (supervisor, databases) = (self.jobs, self.databases);
        let products = self.services.products;
        let stop_jobs = async move {
            supervisor.stop().await;
            // A payment that was declined meanwhile has put goods back, and the job that
            // would tell the other replicas has ended like the rest.
            if let Err(error) = products.flush_invalidations().await {
                tracing::warn!(%error, "Redis was not told what has changed");
            }
            Ok(())
        };
        let close_pools = async move {
            databases.close().await;
            Ok(())
        };
        self.readiness.mark_stopping();
        let result = shutdown::run_phases(vec![
            ShutdownPhase::delay("drain_delay", drain_delay),
            self.api.drain(drain_timeout),
            ShutdownPhase::with_deadline("jobs", jobs_timeout, stop_jobs),
            ShutdownPhase::with_deadline("pools", pools_timeout, close_pools),
        ])
        .await;
        // Until now a probe was told that this shuts down.
        drop(self.admin);
        tracing::info!("stopped");
        result
    }
}
