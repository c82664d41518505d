//! The composition root: where everything is made, once, and put together.
//!
//! Configuration -> metrics -> pool -> schema check -> services -> jobs ->
//! servers; and down again the other way round.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::{Server, ServerHandle};
use anyhow::{Context as _, bail};
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::config::{Settings, ShutdownConfig};
use crate::events::Publisher;
use crate::http::{admin, server};
use crate::jobs::outbox_relay::OutboxRelay;
use crate::jobs::payments::PaymentWorker;
use crate::jobs::{Jobs, Wakeups, doorbell, expired_keys, queue_depth};
use crate::lifecycle::readiness::Readiness;
use crate::payments::PaymentGateway;
use crate::secrets::passwords::Passwords;
use crate::secrets::tokens::Tokens;
use crate::storage::database::Database;
use crate::storage::doorbell::Doorbell;
use crate::storage::migrations::{self, SchemaState};
use crate::telemetry::metrics::Metrics;
use crate::usecases::Services;

/// A service that runs.
pub struct App {
    /// Where the API listens.
    pub address: SocketAddr,
    /// Where probes and metrics are.
    pub admin_address: SocketAddr,
    /// What the stories need, for whoever runs one without HTTP.
    pub services: Services,
    /// Where events go.
    pub publisher: Arc<Publisher>,
    readiness: Readiness,
    api: Running,
    admin: Running,
    jobs: Jobs,
    shutdown: ShutdownConfig,
}

struct Running {
    handle: ServerHandle,
    task: JoinHandle<std::io::Result<()>>,
}

impl App {
    /// Starts everything, or nothing. Must be called on the multi-thread runtime
    /// that will outlive the service.
    ///
    /// # Errors
    /// What is missing: a setting, the database, its schema, a free port.
    pub async fn start(settings: &Settings) -> anyhow::Result<Self> {
        let metrics = Metrics::new()?;
        let services = services(settings, &metrics)?;
        require_current_schema(&services.database).await?;
        let publisher = Arc::new(Publisher::new(&settings.redis, &settings.events)?);
        if let Publisher::InProcess(_) = *publisher {
            tracing::warn!("no ORDERLY__REDIS__URL: events stay in this process");
        }

        let http = &settings.http;
        let api = bind(http.bind, http.port, "ORDERLY__HTTP__PORT")?;
        let admin = bind(
            settings.admin.bind,
            settings.admin.port,
            "ORDERLY__ADMIN__PORT",
        )?;
        let (address, admin_address) = (api.local_addr()?, admin.local_addr()?);

        let readiness = Readiness::default();
        let registry: Registry = metrics.registry.clone();
        let api = run(server::start(
            api,
            http,
            &settings.shutdown,
            services.clone(),
            registry.clone(),
        )?);
        let admin = run(admin::start(
            admin,
            services.clone(),
            readiness.clone(),
            registry,
        )?);
        let jobs = start_jobs(settings, &services, &metrics, &publisher)?;
        readiness.begin();
        tracing::info!(%address, %admin_address, "ready");
        Ok(Self {
            address,
            admin_address,
            services,
            publisher,
            readiness,
            api,
            admin,
            jobs,
            shutdown: settings.shutdown.clone(),
        })
    }

    /// Stops in order: no longer ready, no new connections and the requests in
    /// flight answered, the jobs ended, the pool closed, the probes last.
    ///
    /// # Errors
    /// If a server had failed.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.readiness.end();
        self.api.handle.stop(true).await;
        self.api.task.await??;
        tracing::info!("the API has stopped");
        if !self.jobs.stop(self.shutdown.jobs).await {
            tracing::warn!("some jobs were left; their leases will end");
        }
        self.services.database.close();
        self.admin.handle.stop(true).await;
        self.admin.task.await??;
        tracing::info!("stopped");
        Ok(())
    }
}

/// What the stories need, for `serve` and for commands that run a story.
///
/// # Errors
/// What is wrong with the settings.
pub fn services(settings: &Settings, metrics: &Metrics) -> anyhow::Result<Services> {
    Ok(Services {
        database: database(settings)?,
        passwords: Passwords::new(&settings.auth, metrics.password_hashes.clone())?,
        tokens: Arc::new(Tokens::new(&settings.auth)?),
        doorbell: Doorbell::default(),
        orders: settings.orders.clone(),
    })
}

/// The database alone.
///
/// # Errors
/// If its URL is missing or none.
pub fn database(settings: &Settings) -> anyhow::Result<Database> {
    let url = settings.database.url()?;
    Database::new(url.expose(), &settings.database, Handle::current())
}

/// Refuses a database whose schema this binary does not know.
///
/// # Errors
/// What is wrong with it, and the cure.
pub async fn require_current_schema(database: &Database) -> anyhow::Result<()> {
    let mut conn = database.dedicated_connection().await?;
    match migrations::state(&mut conn).await? {
        SchemaState::Current => Ok(()),
        SchemaState::Behind(missing) => bail!(
            "the database lacks the migrations {}: run `orderly migrate`",
            missing.join(", ")
        ),
        SchemaState::Ahead(unknown) => bail!(
            "the database has the migrations {}, which this version of orderly does not know: \
             run the version that made them, or a newer one",
            unknown.join(", ")
        ),
    }
}

fn start_jobs(
    settings: &Settings,
    services: &Services,
    metrics: &Metrics,
    publisher: &Arc<Publisher>,
) -> anyhow::Result<Jobs> {
    let jobs = Jobs::default();
    let wakeups = Arc::new(Wakeups::default());
    let database = || services.database.clone();
    let payments = &settings.payments;
    let worker = PaymentWorker {
        services: services.clone(),
        gateway: PaymentGateway::new(
            &payments.gateway_url,
            payments.connect_timeout,
            payments.timeout,
        )?,
        config: payments.clone(),
        outcomes: metrics.payments.clone(),
    };
    let relay = OutboxRelay {
        database: database(),
        publisher: Arc::clone(publisher),
        config: settings.events.clone(),
        published: metrics.events_published.clone(),
    };
    let stop = || jobs.stop_token();
    jobs.start(worker.run(Arc::clone(&wakeups), stop()));
    jobs.start(relay.run(Arc::clone(&wakeups), stop()));
    jobs.start(doorbell::pass_on(
        database(),
        services.doorbell.clone(),
        stop(),
    ));
    jobs.start(doorbell::listen(database(), wakeups, stop()));
    jobs.start(expired_keys::run(database(), stop()));
    jobs.start(queue_depth::run(
        database(),
        metrics.payment_jobs.clone(),
        payments.poll_interval,
        stop(),
    ));
    Ok(jobs)
}

fn bind(address: IpAddr, port: u16, variable: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind((address, port)).with_context(|| {
        format!("{variable}: {address}:{port} can't be listened on; free it or choose another port")
    })
}

fn run(server: Server) -> Running {
    Running {
        handle: server.handle(),
        task: tokio::spawn(server),
    }
}
