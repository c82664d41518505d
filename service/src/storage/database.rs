//! The connection pool.
//!
//! A connection to Postgres costs a process there and several round trips, so
//! connections are kept and shared: at most `database.pool_size` of them, and
//! whoever finds none free waits at most `database.pool_wait`.
//!
//! Two things are easy to get wrong here:
//!
//! - A connection has a background task that reads its socket, and that task
//!   lives on the runtime that opened it. Actix workers each have a runtime of
//!   their own, which dies with the server. So connections are always opened on
//!   the main runtime (`Connector`), whoever asks first. See it break:
//!   `connections_outlive_the_worker_that_opened_them` in `tests/api/pool.rs`.
//! - A ping before each use costs a round trip a request. The pool only looks
//!   whether the connection is known to be broken (`RecyclingMethod::Fast`); one
//!   that broke unnoticed costs one request a 503.

use std::time::Duration;

use deadpool::Runtime;
use diesel::{ConnectionError, ConnectionResult};
use diesel_async::pooled_connection::deadpool::{Object, Pool, PoolError};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use futures_util::FutureExt as _;
use tokio::runtime::Handle;

use super::error::StorageError;
use crate::config::DatabaseConfig;

/// A connection on loan from the pool; it goes back when it is dropped.
pub type Connection = Object<AsyncPgConnection>;

/// The pool. Clones share it.
#[derive(Clone)]
pub struct Database {
    pool: Pool<AsyncPgConnection>,
    connector: Connector,
}

impl Database {
    /// Makes the pool; it connects when a connection is first asked for.
    /// `main` is the runtime that outlives every server and job.
    ///
    /// # Errors
    /// If `url` is no Postgres URL; the message does not repeat it.
    pub fn new(url: &str, config: &DatabaseConfig, main: Handle) -> anyhow::Result<Self> {
        let connector = Connector::new(url, config, main)?;
        let mut manager = ManagerConfig::default();
        manager.recycling_method = RecyclingMethod::Fast;
        let opener = connector.clone();
        manager.custom_setup = Box::new(move |_url| {
            let opener = opener.clone();
            async move { opener.open().await }.boxed()
        });
        // The manager's URL only goes back to `custom_setup`, which knows better.
        let manager = AsyncDieselConnectionManager::new_with_config(String::new(), manager);
        let pool = Pool::builder(manager)
            .max_size(config.pool_size)
            .wait_timeout(Some(config.pool_wait))
            .create_timeout(Some(config.connect_timeout))
            .recycle_timeout(Some(Duration::from_secs(1)))
            .runtime(Runtime::Tokio1)
            .build()?;
        Ok(Self { pool, connector })
    }

    /// Borrows a connection.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`] if none is free in time or none can be opened.
    pub async fn connection(&self) -> Result<Connection, StorageError> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Timeout(step) => {
                StorageError::Unavailable(format!("timed out ({step:?}) in the connection pool"))
            }
            other => StorageError::Unavailable(other.to_string()),
        })
    }

    /// Opens a connection outside the pool, for one that is kept: `LISTEN`, or a
    /// lock that lasts as long as the session.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`].
    pub async fn dedicated_connection(&self) -> Result<AsyncPgConnection, StorageError> {
        self.connector
            .open()
            .await
            .map_err(|error| StorageError::Unavailable(error.to_string()))
    }

    /// Closes the pool: idle connections now, borrowed ones when they come back.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// One round trip, to see that there is somebody.
///
/// # Errors
/// [`StorageError`].
pub async fn ping(conn: &mut AsyncPgConnection) -> Result<(), StorageError> {
    Ok(conn.batch_execute("SELECT 1").await?)
}

/// Opens connections, always on the main runtime.
#[derive(Clone)]
struct Connector {
    session: tokio_postgres::Config,
    main: Handle,
}

impl Connector {
    fn new(url: &str, config: &DatabaseConfig, main: Handle) -> anyhow::Result<Self> {
        let mut session: tokio_postgres::Config = url.parse().map_err(|error| {
            anyhow::anyhow!("ORDERLY__DATABASE__URL is not a Postgres URL: {error}")
        })?;
        let millis = |duration: Duration| duration.as_millis();
        session
            .application_name(&config.application_name)
            .connect_timeout(config.connect_timeout)
            .options(format!(
                "-c statement_timeout={} -c lock_timeout={} \
                 -c idle_in_transaction_session_timeout={} -c timezone=UTC",
                millis(config.statement_timeout),
                millis(config.lock_timeout),
                millis(config.idle_in_transaction_timeout),
            ));
        Ok(Self { session, main })
    }

    async fn open(&self) -> ConnectionResult<AsyncPgConnection> {
        let session = self.session.clone();
        let open = async move {
            let (client, connection) = session
                .connect(tokio_postgres::NoTls)
                .await
                .map_err(|error| ConnectionError::BadConnection(with_cause(&error)))?;
            AsyncPgConnection::try_from_client_and_connection(client, connection).await
        };
        self.main.spawn(open).await.unwrap_or_else(|_| {
            Err(ConnectionError::BadConnection(
                "the main runtime is shutting down".to_owned(),
            ))
        })
    }
}

/// tokio-postgres says only "error connecting to server"; the reason is below it.
fn with_cause(error: &tokio_postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
