//! Builds the components of a service, each once.

use std::sync::Arc;

use anyhow::bail;
use tokio::runtime::Handle;

use crate::cache::ProductCache;
use crate::config::Settings;
use crate::events::Publisher;
use crate::health::event_loop::EventLoops;
use crate::limits::RateLimits;
use crate::limits::connections::Connections;
use crate::payments::{PaymentGateway, ResilientGateway};
use crate::redis_client::RedisClient;
use crate::resilience::backoff::Backoff;
use crate::resilience::breaker::Breaker;
use crate::resilience::concurrency_limit::InFlightLimit;
use crate::resilience::retry::{Retry, RetryBudget};
use crate::secrets::passwords::PasswordHashingPool;
use crate::secrets::tokens::TokenService;
use crate::storage::database::{Database, Databases};
use crate::storage::error::StorageError;
use crate::storage::job_notifier::JobNotifier;
use crate::storage::migrations::compatibility::{SchemaState, explain_incompatible, schema_state};
use crate::storage::session;
use crate::telemetry::metrics::Metrics;
use crate::usecases::Services;

/// What a service is made of.
pub(super) struct Components {
    pub(super) metrics: Metrics,
    pub(super) databases: Databases,
    pub(super) services: Services,
    pub(super) publisher: Arc<Publisher>,
    pub(super) gateway: ResilientGateway,
    pub(super) redis: Option<RedisClient>,
    pub(super) in_flight: InFlightLimit,
    pub(super) event_loops: EventLoops,
    pub(super) limits: RateLimits,
    pub(super) connections: ListenerConnections,
}

/// The connections of both listeners.
pub(super) struct ListenerConnections {
    pub(super) api: Connections,
    pub(super) admin: Connections,
}

impl Components {
    pub(super) fn build(settings: &Settings) -> anyhow::Result<Self> {
        let metrics = Metrics::new()?;
        (metrics.process).watch(Handle::current(), &metrics.registry);
        let databases = build_databases(settings, &metrics)?;
        let redis = build_redis(settings, &metrics)?;
        let services = Services {
            products: build_cache(settings, &metrics, redis.clone()),
            ..build_services(settings, &metrics, databases.requests.clone())?
        };
        let limits = RateLimits::new(
            settings.rate_limit.clone(),
            redis.clone(),
            metrics.rate_limits.clone(),
        );
        let connections = |listener| {
            let metrics = &metrics;
            Connections::new(
                listener,
                &settings.http,
                limits.clone(),
                metrics.connections.clone(),
                &metrics.registry,
            )
        };
        Ok(Self {
            publisher: Arc::new(Publisher::new(redis.clone(), &settings.events)?),
            connections: ListenerConnections {
                api: connections("api"),
                admin: connections("admin"),
            },
            limits,
            redis,
            gateway: build_gateway(settings, &metrics)?,
            in_flight: InFlightLimit::new(
                settings.load_shedding.clone(),
                metrics.in_flight.clone(),
            ),
            event_loops: EventLoops::default(),
            metrics,
            databases,
            services,
        })
    }
}

fn build_gateway(settings: &Settings, metrics: &Metrics) -> anyhow::Result<ResilientGateway> {
    let breaker = settings.breaker.clone();
    Ok(ResilientGateway {
        gateway: PaymentGateway::new(&settings.payments)?,
        breaker: Breaker::new("gateway", breaker, metrics.breakers.clone()),
        retry: build_retry(settings, "gateway", metrics),
        metrics: metrics.gateway.clone(),
    })
}

fn build_redis(settings: &Settings, metrics: &Metrics) -> anyhow::Result<Option<RedisClient>> {
    let Some(url) = &settings.redis.url else {
        return Ok(None);
    };
    let breaker = settings.breaker.for_redis();
    let breaker = Breaker::new("redis", breaker, metrics.breakers.clone());
    let latency = metrics.dependencies.redis_command_duration.clone();
    let runtime = Handle::current();
    let client = RedisClient::new(url.expose(), &settings.redis, breaker, latency, runtime)?;
    Ok(Some(client))
}

fn build_cache(
    settings: &Settings,
    metrics: &Metrics,
    redis: Option<RedisClient>,
) -> ProductCache<StorageError> {
    let requests = metrics.dependencies.cache_requests.clone();
    ProductCache::new(&settings.cache, redis, requests, Handle::current())
}

fn build_retry(settings: &Settings, dependency: &'static str, metrics: &Metrics) -> Retry {
    let config = &settings.retry;
    Retry {
        backoff: Backoff {
            base: config.backoff_base,
            cap: config.backoff_cap,
        },
        max_attempts: config.max_attempts,
        budget: RetryBudget::new(config.budget_ratio),
        dependency,
        retries: metrics.dependencies.retries.clone(),
    }
}

/// The dependencies of the use cases, for `serve` and for commands that run one.
///
/// # Errors
/// Returns an error if the hash parameters or the signing key of `auth` can't be used.
pub fn build_services(
    settings: &Settings,
    metrics: &Metrics,
    database: Database,
) -> anyhow::Result<Services> {
    Ok(Services {
        database,
        database_retry: build_retry(settings, "database", metrics),
        products: build_cache(settings, metrics, None),
        passwords: PasswordHashingPool::new(
            &settings.auth,
            metrics.process.password_hashes.clone(),
        )?,
        tokens: Arc::new(TokenService::new(&settings.auth)?),
        job_notifier: JobNotifier::default(),
        metrics: metrics.business.clone(),
        orders: settings.orders.clone(),
    })
}

/// The connection pools.
///
/// # Errors
/// Returns an error if `database.url` is missing or invalid, or its CA certificate can't be used.
pub fn build_databases(settings: &Settings, metrics: &Metrics) -> anyhow::Result<Databases> {
    let url = settings.database.url()?;
    Databases::new(url.expose(), &settings.database, Handle::current(), metrics)
}

/// A database for a command: a pool of its own, whose metrics nobody reads.
///
/// # Errors
/// Returns an error if `database.url` is missing or invalid, or its CA certificate can't be used.
pub fn build_database(settings: &Settings) -> anyhow::Result<Database> {
    Ok(build_databases(settings, &Metrics::new()?)?.requests)
}

/// Rejects a database on whose schema this binary does not work.
///
/// # Errors
/// Returns an error that names the migrations and the fix if the schema is behind this binary or no longer serves it, and
/// one if the database can't be reached.
pub async fn require_compatible_schema(database: &Database) -> anyhow::Result<()> {
    database.verify_addresses().await?;
    let mut conn = database.dedicated_connection().await?;
    if let Some(unsupported) = session::find_unsupported(&mut conn).await? {
        bail!(unsupported);
    }
    match schema_state(&mut conn).await? {
        SchemaState::Current => Ok(()),
        SchemaState::Ahead(newer) => {
            tracing::info!(versions = ?newer, "newer schema detected, compatible with this version");
            Ok(())
        }
        SchemaState::Behind(missing) => bail!(
            "the database lacks the migrations {}: run `orderly migrate`",
            missing.join(", ")
        ),
        SchemaState::Incompatible {
            unknown,
            oldest_compatible,
        } => bail!(
            "{}",
            explain_incompatible(&unknown, oldest_compatible.as_deref())
        ),
    }
}
