//! The connection pools.
//!
//! A connection to Postgres costs a process there and several round trips, so
//! connections are kept and shared. There are two pools: one for requests, and a
//! small one for jobs and probes, so that a flood of requests can starve neither
//! the payments nor the answer to "are you alive?".
//!
//! Easy to get wrong, and see it break in `tests/api/storage/connection_pool.rs`:
//!
//! - A connection has a background task that reads its socket, and that task
//!   lives on the runtime that opened it. Actix workers each have a runtime of
//!   their own, which dies with the server. So connections are always opened on
//!   the main runtime (`Connector`), whoever asks first:
//!   `connections_outlive_worker_that_opened_them`.
//! - A ping before each use costs a round trip a request. The pool only looks
//!   whether the connection is known to be broken (`SessionManager`); one
//!   that broke unnoticed costs one request a 503.
//! - A request whose deadline has passed leaves its statement running, and the next borrower
//!   would wait for it: see `abandoned_statement`.
//! - A session can be unusable without being broken: see `sqlstate`.
//! - Each answer then wakes two threads: the one that reads the socket, and the
//!   one of the worker that waits for it. Who sends several statements, and often,
//!   goes to the connections instead, and comes back with the result: see
//!   [`Database::run_on_db_runtime`].
//! - Connections that live for ever never notice a failover, and ones that all
//!   end in the same second come back in a storm: each has a lifetime of its own.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{Hook, HookError, PoolError, Timeouts};
use diesel_async::AsyncPgConnection;
use futures_util::future::join_all;
use prometheus::Histogram;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::connection::Connection;
use super::connector::{Address, Connector};
use super::error::StorageError;
use super::pool_metrics::watch_pool;
use super::pooler;
use super::session_manager::{SessionManager, SessionPool};
use crate::config::{DatabaseConfig, Pooler};
use crate::resilience::deadline;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::sampled_span::sampled_span;

/// A pool. Clones share it.
#[derive(Clone)]
pub struct Database {
    name: &'static str,
    pool: SessionPool,
    connector: Connector,
    /// Opens sessions at Postgres itself.
    sessions: Connector,
    config: Arc<DatabaseConfig>,
    wait_seconds: Histogram,
}

/// The pools of a service.
#[derive(Clone)]
pub struct Databases {
    /// For requests.
    pub requests: Database,
    /// For jobs and probes.
    pub background: Database,
}

impl Databases {
    /// Makes both pools; they connect when a connection is first asked for.
    /// `runtime` is the one that outlives every server and job.
    ///
    /// # Errors
    /// Returns an error if `url` is no Postgres URL, without repeating it, or if
    /// `database.ca_certificate` can't be used.
    pub fn new(
        url: &str,
        config: &DatabaseConfig,
        runtime: Handle,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let connect_to = |key, url, pooler| {
            let address = Address { key, url, pooler };
            Connector::new(address, config, runtime.clone(), metrics.sessions.clone())
        };
        let connector = connect_to("database.url", url, config.pooler)?;
        let sessions = match &config.direct_url {
            Some(url) => connect_to("database.direct_url", url.expose(), Pooler::None)?,
            None => connector.clone(),
        };
        let pool = |name, size| {
            let connectors = (connector.clone(), sessions.clone());
            Database::new(connectors, config, name, size, metrics)
        };
        Ok(Self {
            requests: pool("requests", config.pool_size)?,
            background: pool("background", config.background_pool_size)?,
        })
    }

    /// Closes both pools: idle connections now, borrowed ones when they come back;
    /// waits for these.
    pub async fn close(&self) {
        let pools = [&self.requests.pool, &self.background.pool];
        for pool in pools {
            pool.close();
        }
        while pools.iter().any(|pool| pool.status().size > 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Database {
    fn new(
        (connector, sessions): (Connector, Connector),
        config: &DatabaseConfig,
        name: &'static str,
        size: usize,
        metrics: &Metrics,
    ) -> anyhow::Result<Self> {
        let pool = SessionPool::builder(SessionManager(connector.clone()))
            .max_size(size)
            .runtime(Runtime::Tokio1)
            .pre_recycle(lifetime_hook(config.max_lifetime))
            .build()?;
        watch_pool(metrics, name, pool.clone());
        Ok(Self {
            name,
            pool,
            connector,
            sessions,
            config: Arc::new(config.clone()),
            wait_seconds: metrics.pools.pool_wait.with_label_values(&[name]),
        })
    }

    /// Borrows a connection, waiting no longer than `database.acquire_timeout` and no
    /// longer than the request's deadline.
    ///
    /// # Errors
    /// Returns [`StorageError::PoolExhausted`] if none is free in time, [`StorageError::Unavailable`]
    /// if none can be opened, and [`StorageError::DeadlineExceeded`] if the request's deadline passes
    /// first.
    pub async fn connection(&self) -> Result<Connection, StorageError> {
        let timeouts = Timeouts {
            wait: Some(deadline::bounded_timeout(self.config.acquire_timeout)?),
            create: Some(deadline::bounded_timeout(self.config.connect_timeout)?),
            recycle: Some(self.config.recycle_timeout),
        };
        let began = Instant::now();
        let span = sampled_span!("pool_wait", otel.name = "pool wait", pool = self.name);
        let borrowed = self.pool.timeout_get(&timeouts).instrument(span).await;
        self.wait_seconds.observe(began.elapsed().as_secs_f64());
        match borrowed {
            Ok(pooled) => Ok(Connection::new(pooled, self.connector.clone())),
            Err(PoolError::Timeout(deadpool::managed::TimeoutType::Wait)) => {
                deadline::bounded_timeout(Duration::MAX)?;
                Err(StorageError::PoolExhausted)
            }
            Err(PoolError::Timeout(_)) => {
                deadline::bounded_timeout(Duration::MAX)?;
                Err(StorageError::Unavailable(
                    "timed out while connecting".to_owned(),
                ))
            }
            Err(other) => Err(StorageError::Unavailable(other.to_string())),
        }
    }

    /// Runs `work` on the runtime that the connections live on, as if it ran here: with
    /// the deadline and the span of who calls, to whom it hands its panic, and with whom
    /// it ends.
    ///
    /// # Errors
    /// Returns [`StorageError::Unavailable`] if that runtime is shutting down.
    pub async fn run_on_db_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, StorageError> {
        let work = deadline::with_current_deadline(work).in_current_span();
        match AbortOnDropHandle::new(self.connector.runtime.spawn(work)).await {
            Ok(output) => Ok(output),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StorageError::Unavailable(
                    "the main runtime is shutting down".to_owned(),
                )),
            },
        }
    }

    /// Opens a session at Postgres itself, outside the pool: for `LISTEN`, for a lock that lasts as
    /// long as the session, or for migrations. It leads to `database.direct_url` if that is set.
    ///
    /// # Errors
    /// Returns [`StorageError::Unavailable`] if none can be opened, or if the address leads to a pooler.
    pub async fn dedicated_connection(&self) -> Result<AsyncPgConnection, StorageError> {
        let mut conn = open_unpooled(&self.sessions).await?;
        pooler::require_session(&mut conn, self.sessions.url_key).await?;
        Ok(conn)
    }

    /// Opens a connection outside the pool that leads where those of the pool lead.
    ///
    /// # Errors
    /// Returns [`StorageError::Unavailable`] if none can be opened.
    pub(crate) async fn probe_connection(&self) -> Result<AsyncPgConnection, StorageError> {
        open_unpooled(&self.connector).await
    }

    /// Checks that the addresses lead where `database.pooler` says.
    ///
    /// # Errors
    /// Returns an error that names the setting to change, and one if a server can't be reached.
    pub(crate) async fn verify_addresses(&self) -> anyhow::Result<()> {
        pooler::verify_addresses(self, &self.connector, &self.sessions).await
    }

    /// Opens a session for [`super::migrations::runner`].
    ///
    /// # Errors
    /// Returns [`StorageError::Unavailable`] if none can be opened, or if the address leads to a pooler.
    pub async fn migration_session(&self) -> Result<tokio_postgres::Client, StorageError> {
        let opened = self.sessions.open_client().await;
        opened.map_err(|error| StorageError::Unavailable(error.to_string()))
    }

    /// Lets [`Self::cancel_statements`] find the sessions that are opened from now on; for commands.
    pub(crate) fn track_sessions(&self) {
        self.connector.open_sessions.track();
        self.sessions.open_sessions.track();
    }

    /// Cancels the statements that run in the tracked sessions. Returns `false` if there is no such session.
    pub(crate) async fn cancel_statements(&self) -> bool {
        let mut has_sessions = false;
        for connector in [&self.connector, &self.sessions] {
            let tokens = connector.open_sessions.tokens();
            join_all(tokens.iter().map(|token| connector.cancel(token))).await;
            has_sessions |= !tokens.is_empty();
        }
        has_sessions
    }

    /// Closes connections that nobody has used for `database.idle_timeout`.
    pub fn close_idle(&self) {
        let idle = self.config.idle_timeout;
        self.pool.retain(|_, metrics| metrics.last_used() < idle);
    }

    /// Closes all that nobody uses now, since one of them has broken. Postgres says that it
    /// ends a session a moment before it does, and on a busy machine that moment is long
    /// enough for the connection to be lent again: it does not look broken yet.
    pub(crate) fn close_all_idle(&self) {
        self.pool.retain(|_, _| false);
    }
}

async fn open_unpooled(connector: &Connector) -> Result<AsyncPgConnection, StorageError> {
    let opened = connector.open("dedicated").await;
    let opened = opened.map_err(|error| StorageError::Unavailable(error.to_string()))?;
    let mut conn = opened.conn;
    connector.instrument_statements(&mut conn);
    Ok(conn)
}

/// Refuses to hand out a connection that is too old. Each has a lifetime of its
/// own, shorter than `max` by up to a fifth, picked by the moment it was made.
fn lifetime_hook(max: Duration) -> Hook<SessionManager> {
    Hook::sync_fn(move |_, metrics| {
        let mut hasher = DefaultHasher::new();
        metrics.created.hash(&mut hasher);
        let fifth = (hasher.finish() % 1000) as f64 / 5000.0;
        if metrics.age() > max.mul_f64(1.0 - fifth) {
            return Err(HookError::message(
                "the connection has reached its lifetime",
            ));
        }
        Ok(())
    })
}
